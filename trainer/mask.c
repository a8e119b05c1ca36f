/* The masked view of a slice. */
#include "trainer/mask.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"

static int64_t at_least_one(double x)
{
    return llround(x) < 1 ? 1 : llround(x);
}

static int64_t patch_count(const struct run *r, int size)
{
    int64_t grid = size / r->clip.config.vision.patch_size;
    return grid * grid;
}

static void measure(struct mask *m, const struct run *r, int size)
{
    m->images = at_least_one((double)r->slice * r->config.mask_fraction);
    m->hidden = at_least_one((double)patch_count(r, size) * r->config.mask_ratio);
    m->size = size;
}

double mask_rows(const struct run *r, int size)
{
    struct mask m;
    measure(&m, r, size);
    return (double)(m.images * m.hidden * r->slices);
}

size_t mask_host_bytes(const struct run *r)
{
    struct mask m;
    if (!(r->config.mask_weight > 0)) return 0;
    measure(&m, r, r->largest);
    return (size_t)(m.images * patch_count(r, r->largest) + 4 * m.images * m.hidden + 4 * patch_count(r, r->largest)) + 4096;
}

/* map [images * patches] and rows [images * hidden] in host memory. */
static void draw(struct mask *m, struct run *r, const struct slice *x, uint8_t *map, int32_t *rows, int32_t *order)
{
    int64_t patches = patch_count(r, m->size), first = r->clip.config.vision.class_token;
    memset(map, 0, (size_t)(m->images * patches));
    for (int64_t i = 0; i < m->images; i++) {
        struct rng rng = rng_open((uint64_t)r->config.seed, RNG_MASK, x->epochs[i], (uint64_t)x->samples[i]);
        for (int64_t k = 0; k < patches; k++) order[k] = (int32_t)k;
        for (int64_t k = 0; k < m->hidden; k++) {
            int64_t other = k + (int64_t)rng_below(&rng, (uint64_t)(patches - k));
            int32_t chosen = order[other];
            order[other] = order[k];
            map[i * patches + chosen] = 1;
            rows[i * m->hidden + k] = (int32_t)(i * (patches + first) + first) + chosen;
        }
    }
}

void mask_targets(struct mask *m, struct run *r, struct arena *host, const struct slice *x)
{
    const struct vision *v = &r->clip.vision;
    const struct kernels *k = r->device.kernels;
    measure(m, r, x->size);
    m->pixels = x->pixels;
    int64_t n = m->images * m->hidden, patches = patch_count(r, x->size), width = v->config.width;
    uint8_t *map = arena_take(host, (size_t)(m->images * patches), 1);
    int32_t *rows = arena_take(host, (size_t)n, sizeof *rows);
    draw(m, r, x, map, rows, arena_take(host, (size_t)patches, sizeof(int32_t)));
    m->map = device_bring(&r->device, &r->buffers, map, (size_t)(m->images * patches));
    m->rows = device_bring(&r->device, &r->buffers, rows, (size_t)n * sizeof *rows);
    void *raw = arena_take(&r->buffers, (size_t)(n * width), k->real_bytes);
    float *mean = arena_take(&r->buffers, (size_t)n, sizeof *mean), *rstd = arena_take(&r->buffers, (size_t)n, sizeof *rstd);
    m->target = (struct tensor){.rows = n, .cols = width, .segment = -1, .slot = -1};
    m->target.data = arena_take(&r->buffers, (size_t)(n * width), k->real_bytes);
    k->gather_rows(&r->device, raw, x->tokens->data, m->rows, n, width);
    k->norm_forward(&r->device, m->target.data, mean, rstd, raw, v->ln_post_weight->master, v->ln_post_bias->master, n, width, 1e-5f);
}

void mask_forward(struct mask *m, struct run *r, double *cosines)
{
    struct vision *v = &r->clip.vision;
    struct tape *t = &r->tape;
    const struct kernels *k = r->device.kernels;
    t->recording = true;
    t->recompute = r->config.recompute;
    struct tensor *tokens = vision_tokens(t, v, m->pixels, m->images, m->size, m->map, v->config.layers);
    tape_open_segment(t);
    struct tensor *normed = op_norm(t, op_gather(t, tokens, m->rows, m->target.rows), v->ln_post_weight, v->ln_post_bias);
    struct tensor *cosine = tape_close_segment(t, tokens, op_cosine(t, normed, &m->target));
    float *seed = arena_take(&r->buffers, (size_t)m->target.rows, sizeof *seed);
    k->sum_floats(&r->device, cosines, cosine->data, m->target.rows);
    k->fill(&r->device, seed, (float)(-r->config.mask_weight / mask_rows(r, m->size)), m->target.rows);
    tape_seed(t, cosine, seed);
}
