/* Tokens of a tile of prompts through both layers. */
#include "models/sam2/decoder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/memory.h"
#include "models/sam2/layer.h"

enum { POINT = 6, QUALITY = 1, FIRST_MASK = 2 }; /* among the tokens of a prompt */

/* --- parameters --- */

static void add_attention(struct parameters *p, struct sam2_attention *a, int64_t channels, int64_t inner,
                          const char *prefix)
{
    layer_register(p, a->q, prefix, "q_proj", inner, channels);
    layer_register(p, a->k, prefix, "k_proj", inner, channels);
    layer_register(p, a->v, prefix, "v_proj", inner, channels);
    layer_register(p, a->out, prefix, "out_proj", channels, inner);
}

static void add_layer(struct parameters *p, struct sam2_layer *l, const struct sam2_widths *w, int number)
{
    char prefix[64], inner[128];
    snprintf(prefix, sizeof prefix, "sam_mask_decoder.transformer.layers.%d", number);
    snprintf(inner, sizeof inner, "%s.self_attn", prefix);
    add_attention(p, &l->self, w->channels, w->channels, inner);
    snprintf(inner, sizeof inner, "%s.cross_attn_token_to_image", prefix);
    add_attention(p, &l->read, w->channels, w->inner, inner);
    snprintf(inner, sizeof inner, "%s.cross_attn_image_to_token", prefix);
    add_attention(p, &l->write, w->channels, w->inner, inner);
    static const char *const norms[] = {"norm1", "norm2", "norm3", "norm4"};
    for (int i = 0; i < 4; i++) layer_register(p, l->norm[i], prefix, norms[i], w->channels, 0);
    layer_register(p, l->mlp[0], prefix, "mlp.layers.0", w->mlp, w->channels);
    layer_register(p, l->mlp[1], prefix, "mlp.layers.1", w->channels, w->mlp);
}

static void add_mlp(struct parameters *p, struct tensor *mlp[SAM2_MLP][2], int64_t in, int64_t hidden, int64_t out,
                    const char *prefix)
{
    static const char *const names[SAM2_MLP] = {"layers.0", "layers.1", "layers.2"};
    for (int i = 0; i < SAM2_MLP; i++)
        layer_register(p, mlp[i], prefix, names[i], i == SAM2_MLP - 1 ? out : hidden, i ? hidden : in);
}

void sam2_decoder_register(struct sam2_decoder *d, struct parameters *p, const struct sam2_config *config,
                           struct sam2_widths w)
{
    int64_t side = config->size / 16;
    *d = (struct sam2_decoder){.heads = config->decoder_heads, .rows = side * side, .widths = w};
    d->tokens = parameters_add(p, "tokens", 2, (int64_t[]){SAM2_TOKENS - 1, w.channels});
    d->places = parameters_add(p, "places", 2, (int64_t[]){d->rows, w.channels});
    for (int i = 0; i < SAM2_LAYERS; i++) add_layer(p, &d->layers[i], &w, i);
    add_attention(p, &d->last, w.channels, w.inner, "sam_mask_decoder.transformer.final_attn_token_to_image");
    layer_register(p, d->last_norm, "sam_mask_decoder.transformer", "norm_final_attn", w.channels, 0);
    for (int i = 0; i < SAM2_MASKS; i++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "sam_mask_decoder.output_hypernetworks_mlps.%d", i);
        add_mlp(p, d->hyper[i], w.channels, w.channels, w.channels / 8, prefix);
    }
    add_mlp(p, d->quality, w.channels, w.quality, SAM2_MASKS, "sam_mask_decoder.iou_prediction_head");
}

/* --- where tokens lie --- */

void sam2_decoder_open(struct sam2_decoder *d, struct device *device, int64_t most)
{
    d->most = most;
    d->bytes = (size_t)(most * (SAM2_TOKENS + 1 + 1 + 2 + 2 * SAM2_MASKS + 1) + 5) * sizeof *d->ids;
    int32_t *host = mem_alloc(d->bytes, 1), *point_rows = host + most * SAM2_TOKENS, *starts = point_rows + most,
            *ends = starts + most + 1, *map_ends = ends + 2 * (most + 1), *mask_rows = map_ends + 2,
            *quality_rows = mask_rows + most * SAM2_MASKS, *hyper_rows = quality_rows + most;
    for (int64_t n = 0; n <= most; n++) {
        starts[n] = (int32_t)(n * SAM2_TOKENS);
        ends[2 * n] = 0;
        ends[2 * n + 1] = (int32_t)(n * SAM2_TOKENS);
    }
    for (int64_t n = 0; n < most; n++) {
        for (int i = 0; i < SAM2_TOKENS; i++) host[n * SAM2_TOKENS + i] = i == POINT ? -1 : i < POINT ? i : i - 1;
        point_rows[n] = starts[n] + POINT;
        quality_rows[n] = starts[n] + QUALITY;
        for (int i = 0; i < SAM2_MASKS; i++) {
            mask_rows[n * SAM2_MASKS + i] = starts[n] + FIRST_MASK + i;
            hyper_rows[i * most + n] = (int32_t)(n * SAM2_MASKS + i);
        }
    }
    map_ends[0] = 0;
    map_ends[1] = (int32_t)d->rows;
    d->ids = device->kernels->map(device, d->bytes);
    d->point_rows = d->ids + (point_rows - host);
    d->starts = d->ids + (starts - host);
    d->ends = d->ids + (ends - host);
    d->map_ends = d->ids + (map_ends - host);
    d->mask_rows = d->ids + (mask_rows - host);
    d->quality_rows = d->ids + (quality_rows - host);
    d->hyper_rows = d->ids + (hyper_rows - host);
    device->kernels->upload(device, d->ids, host, d->bytes);
    device->kernels->wait(device);
    free(host);
}

void sam2_decoder_close(struct sam2_decoder *d, struct device *device)
{
    device->kernels->unmap(device, d->ids, d->bytes);
    *d = (struct sam2_decoder){0};
}

/* --- forward --- */

static struct tensor *sum(struct tape *t, struct tensor *a, struct tensor *b)
{
    return op_branch(t, a, b, NULL, NULL, 1);
}

static struct tensor *norm(struct tape *t, struct tensor *x, struct tensor *const pair[2])
{
    return op_norm(t, x, pair[0], pair[1]);
}

static struct tensor *mlp(struct tape *t, struct tensor *x, struct tensor *const layers[SAM2_MLP][2])
{
    for (int i = 0; i + 1 < SAM2_MLP; i++) x = op_relu(t, layer_forward(t, x, layers[i], NULL));
    return layer_forward(t, x, layers[SAM2_MLP - 1], NULL);
}

struct sam2_first sam2_first_layer(struct tape *t, const struct sam2_decoder *d, struct tensor *map)
{
    const struct sam2_layer *l = &d->layers[0];
    struct tensor *placed = sum(t, map, d->places);
    return (struct sam2_first){map, layer_forward(t, placed, l->read.k, NULL), layer_forward(t, map, l->read.v, NULL),
                               layer_forward(t, placed, l->write.q, NULL)};
}

struct state {
    const struct sam2_decoder *d;
    int64_t prompts;
    struct tensor *start, *tokens, *map; /* start: the tokens at first, which say where they are */
};

static struct token_heads heads_of(const struct state *s)
{
    return (struct token_heads){s->prompts, SAM2_TOKENS, s->d->heads, s->d->widths.inner / s->d->heads};
}

static float share(const struct state *s)
{
    return 1 / sqrtf((float)heads_of(s).head_dim);
}

/* In the first layer tokens do not say where they are, and what they were is forgotten. */
static void attend_self(struct tape *t, struct state *s, const struct sam2_layer *l, bool first)
{
    const struct sam2_decoder *d = s->d;
    struct sequences each = {s->prompts, d->starts, d->starts, SAM2_TOKENS, SAM2_TOKENS, true};
    struct tensor *placed = first ? s->tokens : sum(t, s->tokens, s->start);
    struct tensor *y =
        op_attention_apart(t, layer_forward(t, placed, l->self.q, NULL), layer_forward(t, placed, l->self.k, NULL),
                           layer_forward(t, s->tokens, l->self.v, NULL), d->heads, each);
    s->tokens = norm(t, layer_forward(t, y, l->self.out, first ? NULL : s->tokens), l->norm[0]);
}

/* All prompts' tokens are queries to the one map. */
static struct tensor *read_picture(struct tape *t, const struct state *s, const struct sam2_attention *a,
                                   const struct sam2_first *first)
{
    const struct sam2_decoder *d = s->d;
    struct sequences one = {1, d->ends + 2 * s->prompts, d->map_ends, s->prompts * SAM2_TOKENS, d->rows, true};
    struct tensor *q = layer_forward(t, sum(t, s->tokens, s->start), a->q, NULL);
    return op_attention_apart(t, q, first->k, first->v, d->heads, one);
}

static struct tensor *read_map(struct tape *t, const struct state *s, const struct sam2_attention *a)
{
    struct token_heads h = heads_of(s);
    struct tensor *q = layer_forward(t, sum(t, s->tokens, s->start), a->q, NULL);
    q = op_project(t, op_heads_apart(t, q, h, share(s)), a->k[0]);
    return op_heads_together(t, layer_forward(t, op_map_to_tokens(t, q, s->map, s->d->places, h), a->v, NULL), h);
}

static void write_map(struct tape *t, struct state *s, const struct sam2_layer *l, const struct sam2_first *first)
{
    const struct sam2_attention *a = &l->write;
    struct token_heads h = heads_of(s);
    struct tensor *k = layer_forward(t, sum(t, s->tokens, s->start), a->k, NULL);
    struct tensor *v = op_heads_apart(t, layer_forward(t, s->tokens, a->v, NULL), h, 1);
    struct map_update u = {.bias = a->out[1], .scale = l->norm[3][0], .shift = l->norm[3][1]};
    u.k = op_heads_apart(t, k, h, share(s));
    u.v = op_linear(t, v, (struct linear){.weight = a->out[0]});
    if (first) {
        u.seen = first->seen;
    } else {
        u.k_bias = op_linear(t, u.k, (struct linear){.weight = a->q[1]}); /* one row: a product with each */
        u.k = op_project(t, u.k, a->q[0]);
        u.places = s->d->places;
    }
    s->map = op_tokens_to_map(t, s->map, u, h);
}

static void run_layer(struct tape *t, struct state *s, const struct sam2_layer *l, const struct sam2_first *first)
{
    attend_self(t, s, l, first);
    struct tensor *seen = first ? read_picture(t, s, &l->read, first) : read_map(t, s, &l->read);
    s->tokens = norm(t, layer_forward(t, seen, l->read.out, s->tokens), l->norm[1]);
    struct tensor *hidden = op_relu(t, layer_forward(t, s->tokens, l->mlp[0], NULL));
    s->tokens = norm(t, layer_forward(t, hidden, l->mlp[1], s->tokens), l->norm[2]);
    write_map(t, s, l, first);
}

/* Each mask's token through the network of its own. */
static struct tensor *hyper(struct tape *t, const struct state *s)
{
    const struct sam2_decoder *d = s->d;
    struct tensor *x = op_gather(t, s->tokens, d->mask_rows, s->prompts * SAM2_MASKS), *y = mlp(t, x, d->hyper[0]);
    for (int i = 1; i < SAM2_MASKS; i++) {
        const int32_t *rows = d->hyper_rows + i * d->most;
        y = op_put(t, y, mlp(t, op_gather(t, x, rows, s->prompts), d->hyper[i]), rows);
    }
    return y;
}

static struct tensor *qualities(struct tape *t, const struct state *s)
{
    struct tensor *const(*l)[2] = s->d->quality;
    struct tensor *x = op_gather(t, s->tokens, s->d->quality_rows, s->prompts);
    for (int i = 0; i + 1 < SAM2_MLP; i++) x = op_relu(t, layer_forward(t, x, l[i], NULL));
    return op_logits(t, x, l[SAM2_MLP - 1][0], l[SAM2_MLP - 1][1]);
}

struct sam2_decoded sam2_decode(struct tape *t, const struct sam2_decoder *d, const struct sam2_first *first,
                                struct tensor *points)
{
    struct state s = {.d = d, .prompts = points->rows, .map = first->map};
    CHECK(s.prompts <= d->most, "%ld prompts, room for %ld", (long)s.prompts, (long)d->most);
    s.start = op_embed(t, d->tokens, NULL, d->ids, NULL, NULL, s.prompts * SAM2_TOKENS);
    s.start = s.tokens = op_put(t, s.start, points, d->point_rows);
    for (int i = 0; i < SAM2_LAYERS; i++) run_layer(t, &s, &d->layers[i], i ? NULL : first);
    s.tokens = norm(t, layer_forward(t, read_map(t, &s, &d->last), d->last.out, s.tokens), d->last_norm);
    return (struct sam2_decoded){s.map, hyper(t, &s), qualities(t, &s)};
}
