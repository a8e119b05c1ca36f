/* Configuration and forward passes of the decoder. */
#include "models/llama.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/str.h"
#include "models/text.h"
#include "nn/init.h"

static double number(const json_t *o, const char *key, double fallback)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : fallback;
}

static int64_t whole(const json_t *o, const char *key, int64_t fallback)
{
    double v = number(o, key, (double)fallback);
    return v >= 0 && v <= 1 << 30 ? (int64_t)v : -1;
}

static int check(const struct llama_config *c, const char *path, struct error *error)
{
    const struct {
        const char *name;
        int64_t value;
    } sizes[] = {{"vocab_size", c->vocab_size},        {"hidden_size", c->width},
                 {"num_hidden_layers", c->layers},     {"num_attention_heads", c->heads},
                 {"num_key_value_heads", c->kv_heads}, {"head_dim", c->head_dim},
                 {"intermediate_size", c->mlp_width},  {"max_position_embeddings", c->context}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].value < 1 || sizes[i].value > 1 << 24)
            return error_set(error, ERROR_USAGE, "%s: %s is missing or no size", path, sizes[i].name);
    if (c->heads % c->kv_heads)
        return error_set(error, ERROR_USAGE, "%s: %ld heads do not share %ld of keys and values", path, (long)c->heads,
                         (long)c->kv_heads);
    if (c->head_dim % 2) return error_set(error, ERROR_USAGE, "%s: head_dim %ld is odd", path, (long)c->head_dim);
    if (!(c->norm_eps > 0) || !(c->rope_theta > 0) || !(c->rope_factor >= 1) || !(c->rope_high > c->rope_low) ||
        !(c->init_std > 0))
        return error_set(error, ERROR_USAGE,
                         "%s: rms_norm_eps, initializer_range, rope_theta or rope_scaling make no sense", path);
    return 0;
}

static int parse_params(struct llama_config *c, const char *path, const json_t *o, struct error *error)
{
    c->width = whole(o, "dim", 0);
    c->layers = whole(o, "n_layers", 0);
    c->heads = whole(o, "n_heads", 0);
    c->kv_heads = whole(o, "n_kv_heads", c->heads);
    c->head_dim = whole(o, "head_dim", c->heads > 0 ? c->width / c->heads : 0);
    c->vocab_size = whole(o, "vocab_size", 0);
    int64_t multiple = whole(o, "multiple_of", 256),
            hidden = (int64_t)(number(o, "ffn_dim_multiplier", 1) * (double)(2 * (4 * c->width) / 3));
    c->mlp_width = multiple > 0 ? (hidden + multiple - 1) / multiple * multiple : 0;
    c->norm_eps = number(o, "norm_eps", 1e-5);
    c->rope_theta = number(o, "rope_theta", 500000);
    c->context = whole(o, "max_seqlen", whole(o, "max_seq_len", 8192));
    c->tied = json_is_true(json_object_get(o, "weight_tying"));
    if (json_is_true(json_object_get(o, "use_scaled_rope")) || number(o, "rope_scale_factor", 1) > 1) {
        c->rope_factor = number(o, "rope_scale_factor", 8);
        c->rope_low = number(o, "low_freq_factor", 1);
        c->rope_high = number(o, "high_freq_factor", 4);
        c->rope_context = number(o, "old_context_len", 8192);
    }
    return check(c, path, error);
}

int llama_config_parse(struct llama_config *config, const char *path, const json_t *root, struct error *error)
{
    struct llama_config c = {.init_std = .02, .rope_factor = 1, .rope_low = 1, .rope_high = 4, .rope_context = 8192};
    const json_t *o = json_object_get(root, "text_config"), *model = json_object_get(root, "model");
    if (!o) o = json_is_object(model) ? model : root;
    int rc;
    if (json_object_get(o, "n_layers"))
        rc = parse_params(&c, path, o, error);
    else {
        const json_t *rope = json_object_get(o, "rope_parameters");
        if (!rope) rope = json_object_get(o, "rope_scaling");
        c.vocab_size = whole(o, "vocab_size", 0);
        c.width = whole(o, "hidden_size", 0);
        c.layers = whole(o, "num_hidden_layers", 0);
        c.heads = whole(o, "num_attention_heads", 0);
        c.kv_heads = whole(o, "num_key_value_heads", c.heads);
        c.head_dim = whole(o, "head_dim", c.heads > 0 ? c.width / c.heads : 0);
        c.mlp_width = whole(o, "intermediate_size", 0);
        c.context = whole(o, "max_position_embeddings", 2048);
        c.norm_eps = number(o, "rms_norm_eps", 1e-6);
        c.init_std = number(o, "initializer_range", c.init_std);
        c.rope_theta = number(rope, "rope_theta", number(o, "rope_theta", 10000));
        c.tied = json_is_true(json_object_get(o, "tie_word_embeddings")) ||
                 json_is_true(json_object_get(root, "tie_word_embeddings"));
        const char *type = json_string_value(json_object_get(rope, "rope_type")),
                   *act = json_string_value(json_object_get(o, "hidden_act"));
        if (!type) type = json_string_value(json_object_get(rope, "type"));
        if (type && strcmp(type, "llama3") && strcmp(type, "default"))
            return error_set(error, ERROR_USAGE, "%s: rope_scaling of type %.40s is not known", path, type);
        if (act && strcmp(act, "silu"))
            return error_set(error, ERROR_USAGE, "%s: hidden_act %.40s, Llama has silu", path, act);
        if (json_is_true(json_object_get(o, "attention_bias")) || json_is_true(json_object_get(o, "mlp_bias")))
            return error_set(error, ERROR_USAGE, "%s: has biases, Llama has none", path);
        if (type && !strcmp(type, "llama3")) {
            c.rope_factor = number(rope, "factor", 8);
            c.rope_low = number(rope, "low_freq_factor", 1);
            c.rope_high = number(rope, "high_freq_factor", 4);
            c.rope_context = number(rope, "original_max_position_embeddings", 8192);
        }
        rc = check(&c, path, error);
    }
    if (rc == 0) *config = c;
    return rc;
}

json_t *llama_config_json(const struct llama_config *c)
{
    json_t *o = json_pack("{s:[s], s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:s, s:b, s:b, s:b, s:f, s:f}",
                          "architectures", "LlamaForCausalLM", "model_type", "llama", "vocab_size",
                          (json_int_t)c->vocab_size, "hidden_size", (json_int_t)c->width, "num_hidden_layers",
                          (json_int_t)c->layers, "num_attention_heads", (json_int_t)c->heads, "num_key_value_heads",
                          (json_int_t)c->kv_heads, "head_dim", (json_int_t)c->head_dim, "intermediate_size",
                          (json_int_t)c->mlp_width, "max_position_embeddings", (json_int_t)c->context, "rms_norm_eps",
                          c->norm_eps, "hidden_act", "silu", "tie_word_embeddings", c->tied, "attention_bias", 0,
                          "mlp_bias", 0, "rope_theta", c->rope_theta, "initializer_range", c->init_std);
    if (c->rope_factor > 1)
        json_object_set_new(o, "rope_scaling",
                            json_pack("{s:s, s:f, s:f, s:f, s:I}", "rope_type", "llama3", "factor", c->rope_factor,
                                      "low_freq_factor", c->rope_low, "high_freq_factor", c->rope_high,
                                      "original_max_position_embeddings", (json_int_t)c->rope_context));
    return o;
}

static struct tensor *add(struct parameters *p, int64_t layer, const char *name, int64_t rows, int64_t cols)
{
    char full[128];
    if (layer < 0)
        snprintf(full, sizeof full, "decoder.%s.weight", name);
    else
        snprintf(full, sizeof full, "decoder.layers.%ld.%s.weight", (long)layer, name);
    return parameters_add(p, full, cols ? 2 : 1, (int64_t[]){rows, cols});
}

void llama_register(struct llama *l, struct parameters *p, const struct llama_config *c)
{
    *l = (struct llama){.config = *c, .blocks = mem_alloc((size_t)c->layers, sizeof *l->blocks)};
    l->embedding = add(p, -1, "embedding", c->vocab_size, c->width);
    for (int64_t i = 0; i < c->layers; i++) {
        struct llama_block *b = &l->blocks[i];
        b->attention_norm = add(p, i, "attention_norm", c->width, 0);
        b->qkv = add(p, i, "attention.qkv", (c->heads + 2 * c->kv_heads) * c->head_dim, c->width);
        b->out = add(p, i, "attention.out", c->width, c->heads * c->head_dim);
        b->ffn_norm = add(p, i, "ffn_norm", c->width, 0);
        b->gate_up = add(p, i, "feed_forward.gate_up", 2 * c->mlp_width, c->width);
        b->down = add(p, i, "feed_forward.down", c->width, c->mlp_width);
    }
    l->norm = add(p, -1, "norm", c->width, 0);
    l->head = c->tied ? l->embedding : add(p, -1, "head", c->vocab_size, c->width);
}

static void release_rope(struct llama *l, struct device *device)
{
    device->kernels->unmap(device, l->rope.cosine, l->rope_bytes);
    device->kernels->unmap(device, l->rope.sine, l->rope_bytes);
}

void llama_free(struct llama *l, struct device *device)
{
    if (device) release_rope(l, device);
    free(l->blocks);
    *l = (struct llama){0};
}

void llama_init(struct llama *l, struct parameters *p, uint64_t seed)
{
    double init_std = l->config.init_std, into_stream = init_std / sqrt(2. * (double)l->config.layers);
    for (int64_t i = 0; i < p->count; i++) {
        struct parameter *it = p->list[i];
        if (!str_starts_with(it->name, "decoder.")) continue;
        bool back =
            str_ends_with(it->name, "attention.out.weight") || str_ends_with(it->name, "feed_forward.down.weight");
        if (it->ndim == 1)
            for (int64_t k = 0; k < it->tensor.cols; k++) it->values[k] = 1;
        else
            init_normal(it, seed, back ? into_stream : init_std);
    }
}

/* Frequency of pair i, low ones slowed down as Llama 3.1 does. */
static float frequency(const struct llama_config *c, int64_t i)
{
    float f = (float)(1 / pow(c->rope_theta, 2. * (double)i / (double)c->head_dim));
    double wavelength = 2 * M_PI / (double)f, low = c->rope_context / c->rope_low,
           high = c->rope_context / c->rope_high;
    if (c->rope_factor <= 1 || wavelength < high) return f;
    if (wavelength > low) return (float)((double)f / c->rope_factor);
    double smooth = (c->rope_context / wavelength - c->rope_low) / (c->rope_high - c->rope_low);
    return (float)((1 - smooth) * (double)f / c->rope_factor + smooth * (double)f);
}

void llama_reserve(struct llama *l, struct device *device, int64_t places)
{
    if (l->rope.tokens >= places) return;
    const struct kernels *k = device->kernels;
    int64_t pairs = l->config.head_dim / 2;
    size_t bytes = (size_t)(places * pairs) * sizeof(float);
    float *cosine = mem_alloc(bytes, 1), *sine = mem_alloc(bytes, 1);
    for (int64_t i = 0; i < pairs; i++) {
        float f = frequency(&l->config, i);
        for (int64_t t = 0; t < places; t++)
            cosine[t * pairs + i] = cosf((float)t * f), sine[t * pairs + i] = sinf((float)t * f);
    }
    k->wait(device);
    release_rope(l, device);
    l->rope = (struct rotary_table){.tokens = places, .cosine = k->map(device, bytes), .sine = k->map(device, bytes)};
    l->rope_bytes = bytes;
    k->upload(device, l->rope.cosine, cosine, bytes);
    k->upload(device, l->rope.sine, sine, bytes);
    k->wait(device);
    free(cosine);
    free(sine);
}

struct llama_batch llama_pack(struct arena *host, struct device *device, struct arena *arena, const int32_t *ids,
                              const int32_t *starts, int64_t count)
{
    int64_t rows = starts[count], longest = 0;
    size_t bytes = (size_t)rows * sizeof *ids, starts_bytes = (size_t)(count + 1) * sizeof *starts;
    int32_t *my_ids = memcpy(arena_take(host, bytes, 1), ids, bytes),
            *my_starts = memcpy(arena_take(host, starts_bytes, 1), starts, starts_bytes);
    int32_t *places = arena_take(host, bytes, 1), *order = arena_take(host, bytes, 1);
    for (int64_t s = 0; s < count; s++) {
        for (int32_t r = starts[s]; r < starts[s + 1]; r++) places[r] = r - starts[s];
        if (starts[s + 1] - starts[s] > longest) longest = starts[s + 1] - starts[s];
    }
    text_order(order, ids, rows);
    struct llama_batch b = {.rows = rows};
    const int32_t *there = device_bring(device, arena, my_starts, starts_bytes);
    b.ids = device_bring(device, arena, my_ids, bytes);
    b.places = device_bring(device, arena, places, bytes);
    b.order = device_bring(device, arena, order, bytes);
    b.sequences = (struct sequences){
        .count = count, .q_start = there, .k_start = there, .q_longest = longest, .k_longest = longest};
    return b;
}

size_t llama_pack_bytes(int64_t count, int64_t rows)
{
    return (size_t)(3 * rows + count + 1) * sizeof(int32_t) + 2048;
}

/* One block; cache NULL: attention within the batch. */
static struct tensor *block(struct tape *t, struct llama *l, const struct llama_block *b, struct tensor *x,
                            const struct llama_batch *batch, const struct cache_layer *cache,
                            const struct cache_rows *rows)
{
    const struct llama_config *c = &l->config;
    float eps = (float)c->norm_eps;
    tape_open_segment(t);
    struct tensor *qkv = op_linear(t, op_rms(t, x, b->attention_norm, eps), (struct linear){.weight = b->qkv});
    qkv = op_rotary_places(t, qkv, c->heads, c->kv_heads, &l->rope, batch->places);
    struct tensor *heads = cache ? op_cached_attention(t, qkv, c->heads, c->kv_heads, *cache, *rows)
                                 : op_grouped_attention(t, qkv, c->heads, c->kv_heads, batch->sequences);
    struct tensor *mixed = op_linear(t, heads, (struct linear){.weight = b->out, .residual = x});
    struct tensor *gate =
        op_gate(t, op_linear(t, op_rms(t, mixed, b->ffn_norm, eps), (struct linear){.weight = b->gate_up}));
    return tape_close_segment(t, x, op_linear(t, gate, (struct linear){.weight = b->down, .residual = mixed}));
}

static struct tensor *embed(struct tape *t, struct llama *l, const struct llama_batch *batch)
{
    tape_open_segment(t);
    struct tensor *x = op_embed(t, l->embedding, NULL, batch->ids, NULL, batch->order, batch->rows);
    if (batch->inserted) x = op_put(t, x, batch->inserted, batch->inserted_rows);
    return tape_close_segment(t, batch->inserted, x);
}

struct tensor *llama_forward(struct tape *t, struct llama *l, const struct llama_batch *batch)
{
    struct tensor *x = embed(t, l, batch);
    for (int64_t i = 0; i < l->config.layers; i++) x = block(t, l, &l->blocks[i], x, batch, NULL, NULL);
    return x;
}

struct tensor *llama_forward_cached(struct tape *t, struct llama *l, const struct llama_batch *batch,
                                    const struct cache_layer *caches, struct cache_rows rows)
{
    struct tensor *x = embed(t, l, batch);
    for (int64_t i = 0; i < l->config.layers; i++) x = block(t, l, &l->blocks[i], x, batch, &caches[i], &rows);
    return x;
}

struct tensor *llama_loss(struct tape *t, struct llama *l, struct tensor *hidden, const int32_t *rows,
                          const int32_t *targets, int64_t n)
{
    tape_open_segment(t);
    struct tensor *x = op_rms(t, op_gather(t, hidden, rows, n), l->norm, (float)l->config.norm_eps);
    return tape_close_segment(t, hidden, op_loss(t, x, l->head, NULL, targets));
}

struct tensor *llama_logits(struct tape *t, struct llama *l, struct tensor *hidden, const int32_t *rows, int64_t n)
{
    tape_open_segment(t);
    struct tensor *x = op_rms(t, op_gather(t, hidden, rows, n), l->norm, (float)l->config.norm_eps);
    return tape_close_segment(t, hidden, op_logits(t, x, l->head, NULL));
}

double llama_macs(const struct llama_config *c, double n, double squares)
{
    double width = (double)c->width, heads = (double)(c->heads * c->head_dim), kv = (double)(c->kv_heads * c->head_dim);
    double row = width * (heads + 2 * kv) + heads * width + 3 * width * (double)c->mlp_width;
    return (double)c->layers * (n * row + squares * heads); /* causal: half of q k^T and of p v */
}
