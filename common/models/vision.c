/* The vision tower's forward pass. */
#include "models/vision.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/str.h"
#include "nn/init.h"

void vision_register(struct vision *v, struct parameters *p, const struct vision_config *c, int64_t output)
{
    *v = (struct vision){.config = *c, .output = output};
    int64_t w = c->width, grid = c->image_size / c->patch_size;
    v->conv = parameters_add(p, "visual.conv1.weight", 4, (int64_t[]){w, 3, c->patch_size, c->patch_size});
    if (c->class_token) v->class_token = parameters_add(p, "visual.class_embedding", 1, &w);
    v->positions = parameters_add(p, "visual.positional_embedding", 2, (int64_t[]){grid * grid + c->class_token, w});
    register_pair(p, "visual", "ln_pre", w, 0, &v->ln_pre_weight, &v->ln_pre_bias);
    v->blocks = mem_alloc((size_t)c->layers, sizeof *v->blocks);
    for (int64_t i = 0; i < c->layers; i++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "visual.transformer.resblocks.%ld", (long)i);
        block_register(&v->blocks[i], p, prefix, w, c->heads, c->mlp_width, c->layer_scale > 0);
    }
    if (c->pool == POOL_NONE) return;
    register_pair(p, "visual", "ln_post", w, 0, &v->ln_post_weight, &v->ln_post_bias);
    if (c->pool == POOL_ATTENTION) {
        struct tensor *in_weight, *in_bias;
        v->pool.probe = parameters_add(p, "visual.attn_pool.probe", 3, (int64_t[]){1, 1, w});
        register_pair(p, "visual.attn_pool", "attn.in_proj_", 3 * w, w, &in_weight, &in_bias);
        v->pool.q_weight = parameters_view(p, in_weight, 0, w, w);
        v->pool.kv_weight = parameters_view(p, in_weight, w * w, 2 * w, w);
        v->pool.q_bias = parameters_view(p, in_bias, 0, 1, w);
        v->pool.kv_bias = parameters_view(p, in_bias, w, 1, 2 * w);
        register_pair(p, "visual.attn_pool", "attn.out_proj", w, w, &v->pool.out_weight, &v->pool.out_bias);
        register_pair(p, "visual.attn_pool", "layernorm", w, 0, &v->pool.ln_weight, &v->pool.ln_bias);
        register_pair(p, "visual.attn_pool", "mlp.c_fc", 4 * w, w, &v->pool.fc_weight, &v->pool.fc_bias);
        register_pair(p, "visual.attn_pool", "mlp.c_proj", w, 4 * w, &v->pool.proj_weight, &v->pool.proj_bias);
    }
    v->proj = parameters_add(p, "visual.proj", 2, (int64_t[]){w, output});
}

static size_t rows_bytes(const struct vision *v, const struct vision_rows *r)
{
    int64_t lead = v->config.class_token, patches = r->images * (r->tokens - lead);
    return (size_t)(3 * (r->images + 1) + patches * (1 + 2 * lead)) * sizeof *r->starts;
}

static size_t rope_bytes(const struct vision *v, const struct vision_rope *r) /* of each table */
{
    return (size_t)(r->table.tokens * (v->config.width / v->config.heads / 2)) * sizeof(float);
}

static void release(struct vision *v, struct device *device)
{
    const struct kernels *k = device->kernels;
    for (struct vision_rope *r = v->ropes; r; r = r->next) {
        k->unmap(device, r->table.cosine, rope_bytes(v, r));
        k->unmap(device, r->table.sine, rope_bytes(v, r));
    }
    for (struct vision_rows *r = v->rows; r; r = r->next) k->unmap(device, r->starts, rows_bytes(v, r));
}

void vision_free(struct vision *v, struct device *device)
{
    free(v->blocks);
    if (device) release(v, device);
    for (struct vision_rope *r = v->ropes, *next; r; r = next) {
        next = r->next;
        free(r);
    }
    for (struct vision_rows *r = v->rows, *next; r; r = next) {
        next = r->next;
        free(r);
    }
    *v = (struct vision){0};
}

void vision_init(struct vision *v, struct parameters *p, uint64_t seed)
{
    double scale = 1 / sqrt((double)v->config.width);
    for (int64_t i = 0; i < p->count; i++) {
        struct parameter *it = p->list[i];
        const char *name = it->name;
        if (__builtin_strncmp(name, "visual.", 7)) continue;
        if (!__builtin_strcmp(name, "visual.class_embedding") ||
            !__builtin_strcmp(name, "visual.positional_embedding") || !__builtin_strcmp(name, "visual.proj"))
            init_normal(it, seed, scale);
        else if (str_ends_with(name, ".gamma"))
            for (int64_t k = 0; k < it->tensor.cols; k++) it->values[k] = (float)v->config.layer_scale;
        else if (!__builtin_strcmp(name, "visual.attn_pool.probe"))
            init_normal(it, seed, 1);
        else
            init_by_name(it, p, seed);
    }
}

/* Angles of an image of this grid: the first half of a head turns with the column, the second with the row, pairs
 * adjacent; indices start at 1 when a class token (angle 0) leads. */
static struct vision_rope *rope_make(const struct vision *v, struct device *device, struct extent grid)
{
    const struct kernels *k = device->kernels;
    int64_t pairs = v->config.width / v->config.heads / 2, per_axis = pairs / 2;
    int64_t first = v->config.class_token, tokens = extent_area(grid) + first;
    struct vision_rope *r = mem_alloc(1, sizeof *r);
    *r = (struct vision_rope){.grid = grid, .table.tokens = tokens};
    size_t bytes = rope_bytes(v, r);
    float *cosine = mem_alloc(bytes, 1), *sine = mem_alloc(bytes, 1);
    for (int64_t t = 0; t < tokens; t++)
        for (int64_t i = 0; i < pairs; i++) {
            int64_t at = t - first, index = i < per_axis ? at % grid.width : at / grid.width;
            float frequency = (float)pow(10000, -2. * (double)(i % per_axis) / (double)(2 * per_axis));
            float angle = t < first ? 0 : (float)(index + first) * frequency;
            cosine[t * pairs + i] = cosf(angle);
            sine[t * pairs + i] = sinf(angle);
        }
    r->table.cosine = k->map(device, bytes);
    r->table.sine = k->map(device, bytes);
    k->upload(device, r->table.cosine, cosine, bytes);
    k->upload(device, r->table.sine, sine, bytes);
    k->wait(device);
    free(cosine);
    free(sine);
    return r;
}

static const struct rotary_table *rope_of(struct vision *v, struct device *device, struct extent grid)
{
    struct vision_rope *r = v->ropes;
    while (r && !extent_same(r->grid, grid)) r = r->next;
    if (!r) {
        r = rope_make(v, device, grid);
        r->next = v->ropes;
        v->ropes = r;
    }
    return &r->table;
}

static struct vision_rows *rows_make(struct vision *v, struct device *device, int64_t images, int64_t tokens)
{
    struct vision_rows *r = mem_alloc(1, sizeof *r);
    *r = (struct vision_rows){.tokens = tokens, .images = images};
    int64_t lead = v->config.class_token, patches = tokens - lead;
    size_t bytes = rows_bytes(v, r);
    int32_t *starts = mem_alloc(bytes, 1), *probes = starts + images + 1;
    int32_t *patch_starts = probes + images + 1, *rows = patch_starts + images + 1, *pairs = rows + images * patches;
    for (int64_t i = 0; i <= images; i++)
        starts[i] = (int32_t)(i * tokens), probes[i] = (int32_t)i, patch_starts[i] = (int32_t)(i * patches);
    for (int64_t i = 0; i < images * patches; i++) rows[i] = (int32_t)(i / patches * tokens + lead + i % patches);
    for (int64_t i = 0; i < images * patches * lead; i++)
        pairs[2 * i] = rows[i], pairs[2 * i + 1] = (int32_t)(i / patches * tokens);
    r->starts = device->kernels->map(device, bytes);
    r->probes = r->starts + (probes - starts);
    r->patch_starts = r->starts + (patch_starts - starts);
    r->patches = r->starts + (rows - starts);
    r->pairs = lead ? r->starts + (pairs - starts) : NULL;
    device->kernels->upload(device, r->starts, starts, bytes);
    device->kernels->wait(device);
    free(starts);
    return r;
}

/* Brings the rows of such a pass to the front; made anew for more images than ever, for twice as many as before. */
static void rows_prepare(struct vision *v, struct device *device, int64_t images, int64_t tokens)
{
    int64_t room = images;
    for (struct vision_rows **at = &v->rows, *r; (r = *at); at = &r->next) {
        if (r->tokens != tokens) continue;
        if (r->images >= images) {
            *at = r->next;
            r->next = v->rows;
            v->rows = r;
            return;
        }
        if (2 * r->images > room) room = 2 * r->images;
    }
    struct vision_rows *made = rows_make(v, device, room, tokens);
    made->next = v->rows;
    v->rows = made;
}

struct tensor *vision_tokens(struct tape *t, struct vision *v, const uint8_t *pixels, int64_t images,
                             struct extent size, const uint8_t *hidden, int64_t layers)
{
    return vision_tapped(t, v, pixels, images, size, hidden, layers, NULL);
}

struct tensor *vision_tapped(struct tape *t, struct vision *v, const uint8_t *pixels, int64_t images,
                             struct extent size, const uint8_t *hidden, int64_t layers, const struct taps *taps)
{
    const struct vision_config *c = &v->config;
    struct extent grid = extent_grid(size, c->patch_size), native = extent_square(c->image_size / c->patch_size);
    CHECK(layers >= 0 && layers <= c->layers, "%ld of %ld layers", (long)layers, (long)c->layers);
    const struct rotary_table *rope = c->rope ? rope_of(v, t->device, grid) : NULL;
    rows_prepare(v, t->device, images, extent_area(grid) + c->class_token);

    tape_open_segment(t);
    struct tensor *patches =
        op_linear(t, op_patches(t, pixels, images, size, c->patch_size), (struct linear){.weight = v->conv});
    struct tensor *x = op_tokens(t, patches, v->class_token, v->positions, native, grid, hidden, images);
    x = tape_close_segment(t, NULL, op_norm(t, x, v->ln_pre_weight, v->ln_pre_bias));
    struct sequences whole = {images, v->rows->starts, v->rows->starts, v->rows->tokens, v->rows->tokens, true};
    tape_tap(t, taps, 0, x);
    for (int64_t i = 0; i < layers; i++) {
        const float *keep = v->keep ? v->keep + i * 2 * images : NULL;
        x = block_forward(t, &v->blocks[i], x, whole, false, rope, keep);
        tape_tap(t, taps, i + 1, x);
    }
    return x;
}

static struct tensor *pool_attention(struct tape *t, struct vision *v, struct tensor *tokens, int64_t images)
{
    struct tensor *kv = op_linear(t, tokens,
                                  (struct linear){.weight = v->pool.kv_weight,
                                                  .bias = v->pool.kv_bias,
                                                  .norm_scale = v->ln_post_weight,
                                                  .norm_shift = v->ln_post_bias});
    struct tensor *probes = op_repeat(t, v->pool.probe, images);
    struct tensor *q = op_linear(t, probes, (struct linear){.weight = v->pool.q_weight, .bias = v->pool.q_bias});
    struct sequences s = {images, v->rows->probes, v->rows->starts, 1, v->rows->tokens, true};
    struct tensor *y = op_attention(t, q, kv, v->config.pool_heads, s, false);
    y = op_linear(t, y, (struct linear){.weight = v->pool.out_weight, .bias = v->pool.out_bias});
    struct tensor *hidden = op_linear(t, y,
                                      (struct linear){.weight = v->pool.fc_weight,
                                                      .bias = v->pool.fc_bias,
                                                      .norm_scale = v->pool.ln_weight,
                                                      .norm_shift = v->pool.ln_bias,
                                                      .gelu_output = true});
    return op_linear(
        t, hidden,
        (struct linear){.weight = v->pool.proj_weight, .bias = v->pool.proj_bias, .residual = y, .gelu_input = true});
}

static struct tensor *pool(struct tape *t, struct vision *v, struct tensor *tokens, int64_t images)
{
    CHECK(v->config.pool != POOL_NONE, "a tower without pooling");
    CHECK(tokens->rows == images * v->rows->tokens, "%ld token rows of %ld images of %ld", (long)tokens->rows,
          (long)images, (long)v->rows->tokens);
    if (v->config.pool == POOL_ATTENTION) return pool_attention(t, v, tokens, images);
    return op_norm(t, op_gather(t, tokens, v->rows->starts, images), v->ln_post_weight, v->ln_post_bias);
}

struct tensor *vision_pool(struct tape *t, struct vision *v, struct tensor *tokens, int64_t images,
                           const int32_t *starts, int64_t samples)
{
    tape_open_segment(t);
    struct tensor *features = op_project(t, pool(t, v, tokens, images), v->proj);
    if (starts) features = op_mean(t, features, starts, samples);
    return tape_close_segment(t, tokens, op_normalize(t, features));
}

struct tensor *vision_class(struct tape *t, struct vision *v, struct tensor *tokens, int64_t images)
{
    CHECK(v->config.class_token, "a tower without class token");
    tape_open_segment(t);
    return tape_close_segment(t, tokens, op_gather(t, tokens, v->rows->starts, images));
}

struct tensor *vision_mean(struct tape *t, struct vision *v, struct tensor *tokens, int64_t images)
{
    int64_t patches = v->rows->tokens - v->config.class_token;
    tape_open_segment(t);
    struct tensor *rows = v->config.class_token ? op_gather(t, tokens, v->rows->patches, images * patches) : tokens;
    return tape_close_segment(t, tokens, op_mean(t, rows, v->rows->patch_starts, images));
}

struct tensor *vision_grid(struct tape *t, struct vision *v, struct tensor *tokens, int64_t images)
{
    int64_t patches = v->rows->tokens - v->config.class_token;
    if (!v->config.class_token) return tokens;
    tape_open_segment(t);
    return tape_close_segment(t, tokens, op_gather(t, tokens, v->rows->patches, images * patches));
}

struct tensor *vision_pairs(struct tape *t, struct vision *v, struct tensor *tokens, int64_t images)
{
    CHECK(v->config.class_token, "a tower without class token");
    tape_open_segment(t);
    return tape_close_segment(t, tokens, op_beside(t, tokens, v->rows->pairs, images * (v->rows->tokens - 1)));
}

struct tensor *vision_pooled(struct tape *t, struct vision *v, struct tensor *tokens, int64_t images)
{
    tape_open_segment(t);
    return tape_close_segment(t, tokens, pool(t, v, tokens, images));
}

void vision_set_layer_scale(struct parameters *p, double gamma, bool preserve)
{
    for (int64_t i = 0; i < p->count; i++) {
        struct parameter *it = p->list[i];
        bool scaled =
            strstr(it->name, ".resblocks.") && (strstr(it->name, ".out_proj.") || strstr(it->name, ".c_proj."));
        if (!str_starts_with(it->name, "visual.")) continue;
        for (int64_t k = 0; k < tensor_count(&it->tensor); k++)
            if (str_ends_with(it->name, ".gamma"))
                it->values[k] = (float)gamma;
            else if (scaled && preserve)
                it->values[k] = (float)((double)it->values[k] / gamma);
    }
}

void vision_draw_keep(float *keep, int64_t layers, int64_t images, int64_t image, double rate, struct rng *rng)
{
    for (int64_t b = 0; b < 2 * layers; b++)
        keep[b * images + image] = rng_uniform(rng) < rate ? 0 : (float)(1 / (1 - rate));
}

double vision_macs(const struct vision *v, int64_t size)
{
    const struct vision_config *c = &v->config;
    double grid = (double)(size / c->patch_size), tokens = grid * grid + c->class_token, w = (double)c->width;
    double macs = grid * grid * w * 3 * (double)(c->patch_size * c->patch_size) + w * (double)v->output;
    for (int64_t i = 0; i < c->layers; i++) macs += block_macs(&v->blocks[i], tokens, tokens * tokens);
    if (c->pool == POOL_ATTENTION) macs += tokens * (2 * w * w + 2 * w) + 9 * w * w;
    return macs;
}
