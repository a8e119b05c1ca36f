/* A slice: what the teachers say of it, the student's pass, both losses, and back. */
#include <math.h>
#include <string.h>

#include "aligner/spatial.h"
#include "base/rng.h"
#include "ops/gram.h"
#include "ops/ops.h"

static int64_t cells_of(const struct spatial *s)
{
    return s->pupil.grid * s->pupil.grid;
}

int64_t spatial_core_rows(const struct spatial *s)
{
    return cells_of(s) + s->settings.core_class;
}

size_t spatial_host_bytes(const struct spatial *s)
{
    enum { ALIGNMENT = 1 << 16 };
    size_t rows = (size_t)s->run->plan.rows, cells = (size_t)cells_of(s);
    size_t picture = cells * (1 + sizeof(int32_t)) + (size_t)(2 * s->student.config.vision.layers) * sizeof(float);
    if (s->teacher) picture += cells * (size_t)s->teacher->columns(s->taught) * sizeof(float);
    return rows * picture + ALIGNMENT;
}

int spatial_receive(void *self, int64_t n, double *waited, struct error *error)
{
    struct spatial *s = self;
    s->slices[n] = loader_next(s->loader, waited, error);
    return s->slices[n] ? 0 : -1;
}

static const void *bring(struct spatial *s, const void *host, size_t bytes)
{
    return device_bring(&s->run->device, &s->there, host, bytes);
}

static struct rng open_rng(const struct spatial *s, const struct batch *b, enum rng_purpose purpose, int64_t i)
{
    return rng_open((uint64_t)s->run->settings->seed, purpose, b->epochs[i], (uint64_t)b->samples[i]);
}

/* --- what the student does not see --- */

/* Squares of patches, none twice, until their share of the squares is hidden: [count * cells] 1: hidden. */
static const uint8_t *draw_hidden(struct spatial *s, const struct batch *b)
{
    int64_t grid = s->pupil.grid, block = s->settings.mask_block, side = (grid + block - 1) / block;
    int64_t hidden = llround(s->settings.mask_ratio * (double)(side * side));
    size_t bytes = (size_t)(b->count * grid * grid);
    if (!hidden) return NULL;
    uint8_t *map = memset(arena_take(&s->host, bytes, 1), 0, bytes);
    int32_t *order = arena_take(&s->host, (size_t)(side * side), sizeof *order);
    for (int64_t i = 0; i < b->count; i++) {
        struct rng rng = open_rng(s, b, RNG_MASK, i);
        for (int64_t k = 0; k < side * side; k++) order[k] = (int32_t)k;
        for (int64_t k = 0; k < hidden; k++) {
            int64_t other = k + (int64_t)rng_below(&rng, (uint64_t)(side * side - k));
            int32_t chosen = order[other];
            order[other] = order[k];
            for (int64_t y = chosen / side * block; y < grid && y < (chosen / side + 1) * block; y++)
                for (int64_t x = chosen % side * block; x < grid && x < (chosen % side + 1) * block; x++)
                    map[(i * grid + y) * grid + x] = 1;
        }
    }
    return bring(s, map, bytes);
}

static const float *draw_paths(struct spatial *s, const struct batch *b)
{
    int64_t layers = s->student.config.vision.layers;
    size_t bytes = (size_t)(2 * layers * b->count) * sizeof(float);
    if (!(s->settings.drop_path > 0)) return NULL;
    float *keep = arena_take(&s->host, bytes, 1);
    for (int64_t i = 0; i < b->count; i++) {
        struct rng rng = open_rng(s, b, RNG_DROP, i);
        vision_draw_keep(keep, layers, b->count, i, s->settings.drop_path, &rng);
    }
    return bring(s, keep, bytes);
}

/* --- what it is taught --- */

/* Tokens of the frozen encoder's layer, until the next slice. */
static struct tensor *ask_core(struct spatial *s, const uint8_t *pixels, int64_t count)
{
    struct tape *t = &s->core_tape;
    struct vision *v = &s->core.vision;
    tape_reset(t);
    t->recording = false;
    struct tensor *tokens = vision_tokens(t, v, pixels, count, extent_square(s->pupil.size), NULL, v->config.layers);
    return s->settings.core_class ? tokens : vision_grid(t, v, tokens, count);
}

/* The teacher's rows of all pictures; columns that a picture has not are zero, which changes no cosine. */
static struct tensor ask_teacher(struct spatial *s, const struct batch *b)
{
    const struct kernels *k = s->run->device.kernels;
    int64_t cells = cells_of(s), columns = 0;
    for (int64_t i = 0; i < b->count; i++) {
        const struct taught *one = b->beside[i];
        if (one->columns > columns) columns = one->columns;
    }
    size_t count = (size_t)(b->count * cells * columns);
    float *rows = memset(arena_take(&s->host, count, sizeof *rows), 0, count * sizeof *rows);
    for (int64_t i = 0; i < b->count; i++) {
        const struct taught *one = b->beside[i];
        for (int64_t c = 0; c < cells; c++)
            memcpy(rows + (i * cells + c) * columns, one->rows + c * one->columns, (size_t)one->columns * sizeof *rows);
    }
    struct tensor out = {.rows = b->count * cells, .cols = columns, .segment = -1, .slot = -1};
    out.data = arena_take(&s->there, count, k->real_bytes);
    k->round(&s->run->device, out.data, bring(s, rows, count * sizeof *rows), (int64_t)count);
    return out;
}

/* --- losses --- */

/* Sum into the step's sums, and the gradient of each of the loss's rows. */
static void seed(struct spatial *s, struct tensor *loss, int64_t n, int which, double slope)
{
    struct device *d = &s->run->device;
    double *sum = s->sums + 2 * (s->run->plan.first + n) + which;
    float *each = arena_take(&s->there, (size_t)loss->rows, sizeof *each);
    d->kernels->sum_floats(d, sum, loss->data, loss->rows);
    d->kernels->copy(d, training_check(s->run, n, which), sum, sizeof *sum);
    d->kernels->fill(d, each, (float)slope, loss->rows);
    tape_seed(&s->run->tape, loss, each);
}

static void losses(struct spatial *s, const struct batch *b, int64_t n, struct tensor *tokens, const uint8_t *pixels)
{
    struct tape *t = &s->run->tape;
    const struct spatial_settings *c = &s->settings;
    double batch = (double)s->run->plan.batch;
    struct tensor *grid = vision_grid(t, &s->student.vision, tokens, b->count);
    if (c->core_weight > 0) {
        struct tensor *own = c->core_class ? tokens : grid;
        tape_open_segment(t);
        struct tensor *cosines = tape_close_segment(t, own, op_cosine(t, own, ask_core(s, pixels, b->count)));
        seed(s, cosines, n, 0, -c->core_weight / (batch * (double)spatial_core_rows(s)));
    }
    if (s->teacher) {
        struct tensor taught = ask_teacher(s, b);
        tape_open_segment(t);
        struct tensor *apart =
            tape_close_segment(t, grid, op_gram_loss(t, grid, &taught, b->count, (float)c->sharpness));
        seed(s, apart, n, 1, c->local_weight / batch);
    }
    training_walk_back(s->run, 0, n == 0);
}

void spatial_backward(void *self, int64_t n)
{
    struct spatial *s = self;
    struct tape *tape = &s->run->tape;
    struct vision *v = &s->student.vision;
    const struct batch *b = s->slices[n];
    tape_reset(tape);
    arena_release(&s->host, 0);
    arena_release(&s->there, 0);
    const uint8_t *pixels = bring(s, b->pixels, (size_t)(b->count * b->size * b->size * 3));
    tape->recording = true;
    v->keep = draw_paths(s, b);
    struct tensor *tokens =
        vision_tokens(tape, v, pixels, b->count, extent_square(b->size), draw_hidden(s, b), v->config.layers);
    v->keep = NULL;
    losses(s, b, n, tokens, pixels);
    s->run->device.kernels->wait(&s->run->device); /* the host's arrays are used again */
}

/* A pass that does not go back costs a third of one that does. */
double spatial_macs(void *self)
{
    const struct spatial *s = self;
    double picture = vision_macs(&s->student.vision, s->pupil.size);
    if (s->settings.core_weight > 0) picture += vision_macs(&s->core.vision, s->pupil.size) / 3;
    return picture * (double)s->run->plan.local;
}
