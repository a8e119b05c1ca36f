/* The masked view of a slice. */
#include "trainer/mask.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"

static int64_t at_least_one(double x)
{
    return llround(x) < 1 ? 1 : llround(x);
}

static int64_t patch_count(const struct trainer *t, int size)
{
    int64_t grid = size / t->towers.config.vision.patch_size;
    return grid * grid;
}

static void measure(struct mask *m, const struct trainer *t, int size)
{
    m->images = at_least_one((double)t->run->plan.rows * t->settings.mask_fraction);
    m->hidden = at_least_one((double)patch_count(t, size) * t->settings.mask_ratio);
    m->size = size;
}

double mask_rows(const struct trainer *t, int size)
{
    struct mask m;
    measure(&m, t, size);
    return (double)(m.images * m.hidden * t->run->plan.slices);
}

size_t mask_host_bytes(const struct trainer *t)
{
    struct mask m;
    if (!(t->settings.mask_weight > 0)) return 0;
    measure(&m, t, t->largest);
    return (size_t)(m.images * patch_count(t, t->largest) + 4 * m.images * m.hidden + 4 * patch_count(t, t->largest)) +
           4096;
}

/* map [images * patches] and rows [images * hidden] in host memory. */
static void draw(struct mask *m, struct trainer *t, const struct slice *x, uint8_t *map, int32_t *rows, int32_t *order)
{
    int64_t patches = patch_count(t, m->size), first = t->towers.config.vision.class_token;
    memset(map, 0, (size_t)(m->images * patches));
    for (int64_t i = 0; i < m->images; i++) {
        struct rng rng = rng_open((uint64_t)t->run->settings->seed, RNG_MASK, x->epochs[i], (uint64_t)x->samples[i]);
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

void mask_targets(struct mask *m, struct trainer *t, const struct slice *x)
{
    const struct vision *v = &t->towers.vision;
    const struct kernels *k = t->run->device.kernels;
    measure(m, t, x->size);
    m->pixels = x->pixels;
    int64_t n = m->images * m->hidden, patches = patch_count(t, x->size), width = v->config.width;
    uint8_t *map = arena_take(t->step.host, (size_t)(m->images * patches), 1);
    int32_t *rows = arena_take(t->step.host, (size_t)n, sizeof *rows);
    draw(m, t, x, map, rows, arena_take(t->step.host, (size_t)patches, sizeof(int32_t)));
    m->map = device_bring(&t->run->device, &t->buffers, map, (size_t)(m->images * patches));
    m->rows = device_bring(&t->run->device, &t->buffers, rows, (size_t)n * sizeof *rows);
    void *raw = arena_take(&t->buffers, (size_t)(n * width), k->real_bytes);
    float *mean = arena_take(&t->buffers, (size_t)n, sizeof *mean),
          *rstd = arena_take(&t->buffers, (size_t)n, sizeof *rstd);
    m->target = (struct tensor){.rows = n, .cols = width, .segment = -1, .slot = -1};
    m->target.data = arena_take(&t->buffers, (size_t)(n * width), k->real_bytes);
    k->gather_rows(&t->run->device, raw, x->tokens->data, m->rows, n, width);
    k->norm_forward(&t->run->device, m->target.data, mean, rstd, raw, v->ln_post_weight->master,
                    v->ln_post_bias->master, n, width, 1e-5f);
}

void mask_forward(struct mask *m, struct trainer *t, double *cosines)
{
    struct vision *v = &t->towers.vision;
    struct tape *tape = &t->run->tape;
    struct device *d = &t->run->device;
    tape->recording = true;
    struct tensor *tokens =
        vision_tokens(tape, v, m->pixels, m->images, extent_square(m->size), m->map, v->config.layers);
    tape_open_segment(tape);
    struct tensor *normed =
        op_norm(tape, op_gather(tape, tokens, m->rows, m->target.rows), v->ln_post_weight, v->ln_post_bias);
    struct tensor *cosine = tape_close_segment(tape, tokens, op_cosine(tape, normed, &m->target));
    float *seed = arena_take(&t->buffers, (size_t)m->target.rows, sizeof *seed);
    d->kernels->sum_floats(d, cosines, cosine->data, m->target.rows);
    d->kernels->fill(d, seed, (float)(-t->settings.mask_weight / mask_rows(t, m->size)), m->target.rows);
    tape_seed(tape, cosine, seed);
}

double *mask_sum(struct trainer *t)
{
    comm_sum(&t->run->comm, t->step.mask, t->run->plan.slices, 1);
    return t->step.mask;
}
