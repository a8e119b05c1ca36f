/* The loss of token matrices, tile by tile. */
#include "ops/gram.h"

#include "base/check.h"

struct gram {
    struct tensor *teacher;
    int64_t pictures;
    float sharpness;
    void *slope; /* like z; NULL: not wanted */
};

/* Of one picture, in turn.  Where products read floats, what is narrow is the same memory as what is wide. */
struct work {
    int64_t rows, side;      /* tokens; of a tile, at most */
    bool narrow;             /* products read less than floats */
    float *unit, *norm;      /* unit rows of z, or of the teacher when narrow [rows, columns]; lengths [rows] */
    void *z, *teacher;       /* unit rows as products read them */
    float *sum;              /* slopes by unit rows of z [rows, width]; NULL: not wanted */
    float *cosines, *taught; /* [side, side] */
    void *difference;
};

static struct work take(struct tape *t, const struct tensor *z, const struct gram *a)
{
    const struct kernels *k = t->device->kernels;
    int64_t width = z->cols, columns = a->teacher->cols;
    struct work w = {.rows = z->rows / a->pictures, .narrow = k->real_bytes != sizeof(float)};
    w.side = w.rows < k->strip_rows ? w.rows : k->strip_rows;
    w.unit = tape_borrow(t, w.rows * (w.narrow && columns > width ? columns : width), sizeof *w.unit);
    w.norm = tape_borrow(t, w.rows, sizeof *w.norm);
    w.z = w.narrow ? tape_borrow(t, w.rows * width, k->real_bytes) : w.unit;
    w.teacher = tape_borrow(t, w.rows * columns, k->real_bytes);
    w.sum = w.narrow && a->slope ? tape_borrow(t, w.rows * width, sizeof *w.sum) : NULL;
    w.cosines = tape_borrow(t, w.side * w.side, sizeof *w.cosines);
    w.taught = tape_borrow(t, w.side * w.side, sizeof *w.taught);
    w.difference = w.narrow ? tape_borrow(t, w.side * w.side, k->real_bytes) : w.cosines;
    return w;
}

static void *rows_from(const struct tape *t, void *x, int64_t row, int64_t cols)
{
    return (char *)x + (size_t)(row * cols) * t->device->kernels->real_bytes;
}

/* Of the tile that begins with row i. */
static int64_t tile_rows(const struct work *w, int64_t i)
{
    return w->rows - i < w->side ? w->rows - i : w->side;
}

/* Products of rows i.. and j.. of x: a tile of its matrix. */
static void tile(struct tape *t, const struct work *w, float *out, void *x, int64_t cols, int64_t i, int64_t j)
{
    int64_t rows = tile_rows(w, i), across = tile_rows(w, j);
    t->device->kernels->matmul(t->device, out, true, across, rows_from(t, x, i, cols), cols, false,
                               rows_from(t, x, j, cols), cols, false, rows, across, cols, false);
}

/* sum of rows i.. (+)= difference (or, turned, its transpose) * unit rows j.. */
static void add_slopes(struct tape *t, const struct work *w, int64_t cols, int64_t i, int64_t j, bool turned,
                       bool accumulate)
{
    int64_t rows = tile_rows(w, i), across = tile_rows(w, j);
    t->device->kernels->matmul(t->device, w->sum + i * cols, true, cols, w->difference, turned ? rows : across, turned,
                               rows_from(t, w->z, j, cols), cols, true, rows, cols, across, accumulate);
}

/* Tiles (i, j), i <= j; what an off-diagonal one says counts twice. */
static void sweep(struct tape *t, const struct work *w, const struct gram *a, float *loss, int64_t width)
{
    float scale = 4.f / ((float)w->rows * (float)w->rows), share = scale / 4;
    for (int64_t i = 0; i < w->rows; i += w->side)
        for (int64_t j = i; j < w->rows; j += w->side) {
            tile(t, w, w->cosines, w->z, width, i, j);
            tile(t, w, w->taught, w->teacher, a->teacher->cols, i, j);
            t->device->kernels->gram_difference(t->device, w->difference, loss, w->cosines, w->taught, tile_rows(w, i),
                                                tile_rows(w, j), a->sharpness, scale, i == j ? share : 2 * share,
                                                i > 0 || j > 0);
            if (!w->sum) continue;
            add_slopes(t, w, width, i, j, false, i > 0 || j > 0);
            if (j > i) add_slopes(t, w, width, j, i, true, i > 0);
        }
}

/* Picture n's rows of x at unit length, as floats and as products read them. */
static void unit_rows(struct tape *t, const struct work *w, void *real, float *wide, const struct tensor *x, int64_t n)
{
    const struct kernels *k = t->device->kernels;
    k->normalize_forward(t->device, wide, w->norm, rows_from(t, x->data, n * w->rows, x->cols), w->rows, x->cols);
    if (w->narrow) k->round(t->device, real, wide, w->rows * x->cols);
}

static void gram_forward(struct tape *t, struct call *c)
{
    struct gram *a = c->attributes;
    const struct kernels *k = t->device->kernels;
    struct tensor *z = c->in[0];
    a->slope = t->recording && z->needs_grad ? tape_take_real(t, tensor_count(z)) : NULL;
    size_t mark = arena_mark(&t->grads);
    struct work w = take(t, z, a);
    for (int64_t n = 0; n < a->pictures; n++) {
        void *slope = a->slope ? rows_from(t, a->slope, n * w.rows, z->cols) : NULL;
        unit_rows(t, &w, w.teacher, w.narrow ? w.unit : w.teacher, a->teacher, n);
        unit_rows(t, &w, w.z, w.unit, z, n);
        if (!w.narrow) w.sum = slope;
        sweep(t, &w, a, (float *)c->out->data + n, z->cols);
        if (slope) k->normalize_backward(t->device, slope, w.sum, w.unit, w.norm, w.rows, z->cols, false);
    }
    arena_release(&t->grads, mark);
}

/* As of a loss of pictures (ops/dense.c). */
static void gram_backward(struct tape *t, struct call *c)
{
    const struct gram *a = c->attributes;
    const struct kernels *k = t->device->kernels;
    struct tensor *z = c->in[0];
    struct gradient dz = tape_gradient(t, z);
    if (dz.data && dz.accumulate)
        k->branch_forward(t->device, dz.data, dz.data, a->slope, NULL, c->out->grad, z->rows, z->cols, a->pictures);
    else if (dz.data)
        k->branch_backward(t->device, dz.data, NULL, a->slope, a->slope, NULL, c->out->grad, z->rows, z->cols,
                           a->pictures, false);
}

static const struct op_def op_gram_def = {
    .name = "gram_loss", .saves = true, .wide = true, .forward = gram_forward, .backward = gram_backward};

struct tensor *op_gram_loss(struct tape *t, struct tensor *z, struct tensor *teacher, int64_t pictures, float sharpness)
{
    CHECK(z->rows == teacher->rows && z->rows % pictures == 0, "gram_loss: %ld rows and %ld of %ld pictures",
          (long)z->rows, (long)teacher->rows, (long)pictures);
    struct gram a = {.teacher = teacher, .pictures = pictures, .sharpness = sharpness};
    struct tensor *in[OP_INPUTS] = {z};
    return tape_apply(t, &op_gram_def, in, pictures, 1, &a, sizeof a);
}
