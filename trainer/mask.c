/* The masked view of a slice. */
#include "trainer/mask.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"

static void draw(struct mask *m, struct run *r, const struct batch *b, int64_t row, int64_t patches, int64_t first)
{
    int32_t *order = arena_take(&r->arena, (size_t)patches, sizeof *order);
    memset(m->map, 0, (size_t)(m->images * patches));
    for (int64_t i = 0; i < m->images; i++) {
        struct rng rng = rng_open((uint64_t)r->config.seed, RNG_MASK, b->epochs[row + i], (uint64_t)b->samples[row + i]);
        for (int64_t k = 0; k < patches; k++) order[k] = (int32_t)k;
        for (int64_t k = 0; k < m->hidden; k++) {
            int64_t other = k + (int64_t)rng_below(&rng, (uint64_t)(patches - k));
            int32_t chosen = order[other];
            order[other] = order[k];
            m->map[i * patches + chosen] = 1;
            m->rows[i * m->hidden + k] = (int32_t)(i * (patches + first) + first) + chosen;
        }
    }
}

void mask_targets(struct mask *m, struct run *r, const struct batch *b, int64_t row, const struct tensor *tokens)
{
    const struct vision *v = &r->clip.vision;
    const struct kernels *k = r->device.kernels;
    int64_t grid = b->size / v->config.patch_size, patches = grid * grid, first = v->config.class_token, width = v->config.width;
    m->images = (int64_t)llround((double)r->slice * r->config.mask_fraction);
    if (m->images < 1) m->images = 1;
    m->hidden = (int64_t)llround((double)patches * r->config.mask_ratio);
    if (m->hidden < 1) m->hidden = 1;
    m->pixels = b->pixels + row * b->size * b->size * 3;
    m->size = b->size;
    int64_t n = m->images * m->hidden;
    m->map = arena_take(&r->arena, (size_t)(m->images * patches), 1);
    m->rows = arena_take(&r->arena, (size_t)n, sizeof *m->rows);
    draw(m, r, b, row, patches, first);
    float *raw = arena_take(&r->arena, (size_t)(n * width), sizeof *raw), *mean = arena_take(&r->arena, (size_t)n, sizeof *mean);
    float *rstd = arena_take(&r->arena, (size_t)n, sizeof *rstd);
    m->target = (struct tensor){.rows = n, .cols = width, .segment = -1, .slot = -1};
    m->target.data = arena_take(&r->arena, (size_t)(n * width), sizeof(float));
    k->gather_rows(&r->device, raw, tokens->data, m->rows, n, width);
    k->norm_stats(&r->device, mean, rstd, raw, n, width, 1e-5f);
    k->norm_forward(&r->device, m->target.data, mean, rstd, raw, v->ln_post_weight->data, v->ln_post_bias->data, n, width);
}

double mask_learn(struct mask *m, struct run *r)
{
    struct vision *v = &r->clip.vision;
    struct tape *t = &r->tape;
    int first = t->segment_count;
    t->recording = true;
    t->recompute = r->config.recompute;
    struct tensor *tokens = vision_tokens(t, v, m->pixels, m->images, m->size, m->map, v->config.layers);
    tape_open_segment(t);
    struct tensor *normed = op_norm(t, op_gather(t, tokens, m->rows, m->target.rows), v->ln_post_weight, v->ln_post_bias);
    struct tensor *cosine = tape_close_segment(t, tokens, op_cosine(t, normed, &m->target));
    double total = (double)(m->target.rows * r->slices), loss = 0;
    float *seed = arena_take(&r->arena, (size_t)m->target.rows, sizeof *seed);
    for (int64_t i = 0; i < m->target.rows; i++) {
        loss += (1 - (double)cosine->data[i]) / total;
        seed[i] = (float)(-r->config.mask_weight / total);
    }
    tape_seed(t, cosine, seed);
    tape_backward(t, first, t->segment_count);
    return loss;
}
