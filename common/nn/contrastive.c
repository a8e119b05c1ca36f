/* Two passes over strips of logits: statistics, then gradients. */
#include "nn/contrastive.h"

#include <math.h>
#include <string.h>

#include "base/check.h"

static size_t feature_bytes(const struct contrastive *c, int64_t rows)
{
    return (size_t)(rows * c->dim) * c->device->kernels->real_bytes;
}

/* Every buffer with its size: walked to take and to give back. */
static void each_buffer(struct contrastive *c, void (*visit)(struct device *d, void **block, size_t bytes))
{
    struct device *d = c->device;
    int64_t global = c->block * c->slices, strip = c->rows * c->block;
    bool ranks = c->comm->world->size > 1, narrow = d->kernels->real_bytes != sizeof(float);
    visit(d, &c->visitor, ranks ? feature_bytes(c, c->block) : 0);
    visit(d, (void **)&c->strip, (size_t)strip * sizeof(float));
    visit(d, &c->strip_gradient, narrow ? (size_t)strip * d->kernels->real_bytes : 0);
    visit(d, (void **)&c->row_max, (size_t)c->local * sizeof(float));
    visit(d, (void **)&c->row_sum, (size_t)c->local * sizeof(float));
    visit(d, (void **)&c->row_lse, (size_t)c->local * sizeof(float));
    visit(d, (void **)&c->col_max, (size_t)(c->slices * global) * sizeof(float));
    visit(d, (void **)&c->col_sum, (size_t)(c->slices * global) * sizeof(float));
    visit(d, (void **)&c->col_lse, (size_t)global * sizeof(float));
    visit(d, (void **)&c->tree, (size_t)(c->levels * c->block * c->dim) * sizeof(float));
    visit(d, (void **)&c->parts, (size_t)(CONTRASTIVE_TOTALS * c->mine) * sizeof(double));
    visit(d, (void **)&c->totals, CONTRASTIVE_TOTALS * sizeof(double));
}

static void take(struct device *d, void **block, size_t bytes)
{
    *block = bytes ? d->kernels->map(d, bytes) : NULL;
}

static void give_back(struct device *d, void **block, size_t bytes)
{
    d->kernels->unmap(d, *block, bytes);
}

void contrastive_open(struct contrastive *c, struct device *device, struct comm *comm, int64_t local, int64_t dim, int slices)
{
    int size = comm->world->size;
    int64_t global = local * size;
    while (!comm->exact && slices > size && global / slices < device->kernels->slice_columns) slices /= 2;
    int mine = slices / size;
    CHECK(mine >= 1 && mine * size == slices && (slices & (slices - 1)) == 0 && local % mine == 0,
          "%ld samples a rank in %d slices over %d ranks", (long)local, slices, size);
    *c = (struct contrastive){.device = device, .comm = comm, .local = local, .dim = dim, .block = local / mine, .slices = slices,
                              .mine = mine, .first = comm->world->rank * mine, .rows = device->kernels->strip_rows, .levels = 2};
    while (1 << (c->levels - 2) < mine) c->levels++;
    if (c->rows > c->block) c->rows = c->block;
    each_buffer(c, take);
    if (!c->strip_gradient) c->strip_gradient = c->strip;
}

void contrastive_close(struct contrastive *c)
{
    if (!c->device) return;
    if (c->strip_gradient == c->strip) c->strip_gradient = NULL;
    each_buffer(c, give_back);
    *c = (struct contrastive){0};
}

static const void *row_of(const struct contrastive *c, const void *features, int64_t row)
{
    return (const char *)features + feature_bytes(c, row);
}

/* Text slice j to all ranks; returns where it lies. */
static const void *visit(struct contrastive *c, const void *texts, int j)
{
    int owner = j / c->mine;
    const void *own = row_of(c, texts, (j - owner * c->mine) * c->block);
    if (c->comm->world->size == 1) return own;
    size_t bytes = feature_bytes(c, c->block);
    if (owner == c->comm->world->rank) c->device->kernels->copy(c->device, c->visitor, own, bytes);
    comm_broadcast(c->comm, c->visitor, bytes, owner);
    return c->visitor;
}

static void logits(struct contrastive *c, const void *images, const void *texts, int64_t row, int64_t rows)
{
    c->device->kernels->matmul(c->device, c->strip, true, c->block, row_of(c, images, row), c->dim, false, texts, c->dim, false, rows,
                               c->block, c->dim, false);
}

static int64_t strip_rows(const struct contrastive *c, int64_t row, int64_t end)
{
    return end - row < c->rows ? end - row : c->rows;
}

/* lse of this rank's rows and of all columns; also the row maxima, for the accuracy. */
static void statistics(struct contrastive *c, const void *images, const void *texts, const float *log_scale)
{
    const struct kernels *k = c->device->kernels;
    int64_t block = c->block, global = block * c->slices;
    /* Column statistics of each local slice of rows, later joined with the other ranks' in slice order. */
    float *my_max = c->col_max + c->first * global, *my_sum = c->col_sum + c->first * global;
    k->fill(c->device, my_max, -INFINITY, c->mine * global);
    k->fill(c->device, my_sum, 0, c->mine * global);
    k->fill(c->device, c->row_max, -INFINITY, c->local);
    k->fill(c->device, c->row_sum, 0, c->local);
    for (int j = 0; j < c->slices; j++) {
        const void *visitor = visit(c, texts, j);
        for (int a = 0; a < c->mine; a++)
            for (int64_t r = a * block; r < (a + 1) * block; r += c->rows) {
                int64_t rows = strip_rows(c, r, (a + 1) * block);
                logits(c, images, visitor, r, rows);
                k->softmax_stats(c->device, c->row_max + r, c->row_sum + r, my_max + a * global + j * block, my_sum + a * global + j * block,
                                 c->strip, block, rows, block, log_scale);
            }
    }
    comm_gather(c->comm, c->col_max, (size_t)(c->mine * global) * sizeof(float));
    comm_gather(c->comm, c->col_sum, (size_t)(c->mine * global) * sizeof(float));
    k->merge_stats(c->device, c->col_lse, c->col_max, c->col_sum, c->slices, global);
    k->merge_stats(c->device, c->row_lse, c->row_max, c->row_sum, 1, c->local);
}

/* Pairwise sum of buffers as they arrive: the binary tree over slices, with one buffer a level. */
static void tree_add(struct contrastive *c, int index)
{
    /* level k + 1 holds a finished sum of 2^k slices when bit k of index is set; level 0 is the newcomer */
    int64_t count = c->block * c->dim;
    int slot = 0;
    for (; index >> slot & 1; slot++) c->device->kernels->add(c->device, c->tree, c->tree + (slot + 1) * count, count);
    c->device->kernels->copy(c->device, c->tree + (slot + 1) * count, c->tree, (size_t)count * sizeof(float));
}

/* Gradients of one strip: by its images into d_images, by the visiting texts into the newcomer of the tree. */
static void strip_gradients(struct contrastive *c, const void *images, const void *visitor, float *d_images, int j, int a, int64_t r,
                            const float *log_scale)
{
    const struct kernels *k = c->device->kernels;
    int64_t block = c->block, dim = c->dim, rows = strip_rows(c, r, (a + 1) * block);
    int64_t diagonal = c->first + a == j ? r - a * block : -(block + c->rows);
    logits(c, images, visitor, r, rows);
    k->contrastive_gradient(c->device, c->strip_gradient, c->parts + CONTRASTIVE_SCALE * c->mine + a, c->strip, block, c->row_lse + r,
                            c->col_lse + j * block, rows, block, diagonal, log_scale, 1 / (2.f * (float)(block * c->slices)));
    k->matmul(c->device, d_images + r * dim, true, dim, c->strip_gradient, block, false, visitor, dim, true, rows, dim, block, j > 0);
    k->matmul(c->device, c->tree, true, dim, c->strip_gradient, block, true, row_of(c, images, r), dim, true, block, dim, rows, r > a * block);
}

static void gradients(struct contrastive *c, const void *images, const void *texts, float *d_images, float *d_texts, const float *log_scale)
{
    const struct kernels *k = c->device->kernels;
    int64_t block = c->block, count = block * c->dim;
    float *sum = c->tree + (c->levels - 1) * count;
    for (int j = 0; j < c->slices; j++) {
        const void *visitor = visit(c, texts, j);
        for (int a = 0; a < c->mine; a++) {
            for (int64_t r = a * block; r < (a + 1) * block; r += c->rows) strip_gradients(c, images, visitor, d_images, j, a, r, log_scale);
            tree_add(c, a);
        }
        int owner = j / c->mine;
        comm_reduce(c->comm, sum, count, owner);
        if (owner == c->comm->world->rank) k->copy(c->device, d_texts + (j - c->first) * count, sum, (size_t)count * sizeof *sum);
    }
}

void contrastive_run(struct contrastive *c, const void *images, const void *texts, float *d_images, float *d_texts, const float *log_scale)
{
    const struct kernels *k = c->device->kernels;
    statistics(c, images, texts, log_scale);
    k->fill(c->device, (float *)(void *)c->parts, 0, 2 * CONTRASTIVE_TOTALS * c->mine); /* zero bits are 0. */
    for (int a = 0; a < c->mine; a++) {
        int64_t row = a * c->block;
        k->contrastive_loss(c->device, c->parts + CONTRASTIVE_LOSS * c->mine + a, c->parts + CONTRASTIVE_HITS * c->mine + a, row_of(c, images, row),
                            row_of(c, texts, row), c->row_lse + row, c->col_lse + (c->first + a) * c->block, c->row_max + row, c->block, c->dim,
                            log_scale);
    }
    if (d_images) gradients(c, images, texts, d_images, d_texts, log_scale);
    /* the same tree as everything else: pairs of slices, then ranks */
    for (int i = 0; i < CONTRASTIVE_TOTALS; i++) {
        k->tree_sum(c->device, c->parts + i * c->mine, c->mine);
        k->copy(c->device, c->totals + i, c->parts + i * c->mine, sizeof *c->totals);
    }
    comm_sum_doubles(c->comm, c->totals, CONTRASTIVE_TOTALS);
}

struct contrastive_result contrastive_result(const struct contrastive *c, const double totals[CONTRASTIVE_TOTALS])
{
    double global = (double)(c->block * c->slices);
    return (struct contrastive_result){.loss = totals[CONTRASTIVE_LOSS] / (2 * global), .accuracy = totals[CONTRASTIVE_HITS] / global,
                                       .logit_scale = totals[CONTRASTIVE_SCALE]};
}
