/* Two passes over strips of logits: statistics, then gradients. */
#include "nn/contrastive.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"

enum { STRIP = 256 }; /* rows of logits at a time */

struct pass {
    struct device *device;
    const struct world *world;
    const float *images, *texts; /* local */
    int64_t local, dim, block;   /* block: samples a slice */
    int slices, mine, first;     /* slices in all, on this rank, index of the first here */
    float scale;
    float *visitor;              /* [block, dim] the visiting text slice */
    float *strip;                /* [STRIP, block] */
};

/* Text slice j to all ranks; returns where it lies. */
static const float *visit(struct pass *p, int j)
{
    int owner = j / p->mine;
    size_t bytes = (size_t)(p->block * p->dim) * sizeof(float);
    const float *own = p->texts + (j - owner * p->mine) * p->block * p->dim;
    if (p->world->size == 1) return own;
    if (owner == p->world->rank) memcpy(p->visitor, own, bytes);
    world_broadcast(p->world, p->visitor, bytes, owner);
    return p->visitor;
}

static void logits(struct pass *p, const float *texts, int64_t row, int64_t rows)
{
    p->device->kernels->matmul(p->device, p->strip, p->block, p->images + row * p->dim, p->dim, false, texts, p->dim, false, rows,
                               p->block, p->dim, false);
}

/* (max, sum) += (m, s) of further terms. */
static void merge(float *max, float *sum, float m, float s)
{
    if (m > *max) {
        *sum = *sum * expf(*max - m) + s;
        *max = m;
    } else *sum += s * expf(m - *max);
}

/* lse of this rank's rows and of all columns; also the row maxima, for the accuracy. */
static void statistics(struct pass *p, float *row_lse, float *col_lse, float *row_max)
{
    int64_t block = p->block, global = block * p->slices;
    float *row_sum = mem_zalloc((size_t)p->local, sizeof *row_sum);
    float *m = mem_alloc((size_t)(block > STRIP ? block : STRIP) * 2, sizeof *m), *s = m + (block > STRIP ? block : STRIP);
    float *rm = mem_alloc(2 * STRIP, sizeof *rm), *rs = rm + STRIP;
    /* Column statistics of each local slice of rows, [mine][global], later joined with the other ranks' in slice order. */
    float *col_max = mem_alloc((size_t)(p->slices * global), sizeof *col_max), *col_sum = mem_alloc((size_t)(p->slices * global), sizeof *col_sum);
    float *my_max = mem_alloc((size_t)(p->mine * global), sizeof *my_max), *my_sum = mem_alloc((size_t)(p->mine * global), sizeof *my_sum);
    for (int64_t i = 0; i < p->mine * global; i++) my_max[i] = -INFINITY, my_sum[i] = 0;
    for (int64_t i = 0; i < p->local; i++) row_max[i] = -INFINITY;
    for (int j = 0; j < p->slices; j++) {
        const float *texts = visit(p, j);
        for (int a = 0; a < p->mine; a++)
            for (int64_t r = a * block; r < (a + 1) * block; r += STRIP) {
                int64_t rows = (a + 1) * block - r < STRIP ? (a + 1) * block - r : STRIP;
                logits(p, texts, r, rows);
                p->device->kernels->softmax_stats(p->device, rm, rs, m, s, p->strip, block, rows, block, p->scale);
                for (int64_t i = 0; i < rows; i++) merge(row_max + r + i, row_sum + r + i, rm[i], rs[i]);
                for (int64_t i = 0; i < block; i++) merge(my_max + a * global + j * block + i, my_sum + a * global + j * block + i, m[i], s[i]);
            }
    }
    size_t bytes = (size_t)(p->mine * global) * sizeof(float);
    world_gather_all(p->world, my_max, bytes, col_max);
    world_gather_all(p->world, my_sum, bytes, col_sum);
    for (int64_t i = 0; i < global; i++) {
        float max = -INFINITY, sum = 0;
        for (int a = 0; a < p->slices; a++) merge(&max, &sum, col_max[a * global + i], col_sum[a * global + i]);
        col_lse[i] = max + logf(sum);
    }
    for (int64_t i = 0; i < p->local; i++) row_lse[i] = row_max[i] + logf(row_sum[i]);
    free(row_sum);
    free(m);
    free(rm);
    free(col_max);
    free(col_sum);
    free(my_max);
    free(my_sum);
}

/* Pairwise sum of buffers as they arrive: the binary tree over slices, with one buffer a level. */
static void tree_add(struct pass *p, float *levels, int index, int64_t count)
{
    /* levels[k] holds a finished sum of 2^k slices when bit k of index is set; levels[0] is the newcomer */
    float *newcomer = levels;
    for (int bit = 0; index >> bit & 1; bit++)
        p->device->kernels->add(p->device, newcomer, levels + (bit + 1) * count, count);
    int slot = 0;
    while (index >> slot & 1) slot++;
    memcpy(levels + (slot + 1) * count, newcomer, (size_t)count * sizeof *levels);
}

/* Gradients of all features; returns this rank's part of the gradient by scale, per local slice, in slice_scale [mine]. */
static void gradients(struct pass *p, const float *row_lse, const float *col_lse, float *d_images, float *d_texts, double *slice_scale)
{
    int64_t block = p->block, count = block * p->dim;
    float weight = 1 / (2.f * (float)(block * p->slices));
    int levels = 2;
    while (1 << (levels - 2) < p->mine) levels++;
    float *tree = mem_map((size_t)(levels * count), sizeof *tree);
    memset(slice_scale, 0, (size_t)p->mine * sizeof *slice_scale);
    const struct kernels *k = p->device->kernels;
    for (int j = 0; j < p->slices; j++) {
        const float *texts = visit(p, j);
        for (int a = 0; a < p->mine; a++) {
            for (int64_t r = a * block; r < (a + 1) * block; r += STRIP) {
                int64_t rows = (a + 1) * block - r < STRIP ? (a + 1) * block - r : STRIP;
                int64_t diagonal = p->first + a == j ? r - a * block : -(block + STRIP);
                logits(p, texts, r, rows);
                slice_scale[a] += k->contrastive_gradient(p->device, p->strip, block, row_lse + r, col_lse + j * block, rows, block,
                                                          diagonal, p->scale, weight);
                k->matmul(p->device, d_images + r * p->dim, p->dim, p->strip, block, false, texts, p->dim, true, rows, p->dim, block,
                          j > 0);
                k->matmul(p->device, tree, p->dim, p->strip, block, true, p->images + r * p->dim, p->dim, true, block, p->dim, rows,
                          r > a * block);
            }
            tree_add(p, tree, a, count);
        }
        float *sum = tree + (levels - 1) * count;
        int owner = j / p->mine;
        world_reduce(p->world, sum, count, owner);
        if (owner == p->world->rank) memcpy(d_texts + (j - p->first) * count, sum, (size_t)count * sizeof *sum);
    }
    mem_unmap(tree, (size_t)(levels * count), sizeof *tree);
}

static double sum_slices(const struct world *world, double *slice_values, int mine)
{
    /* the same tree as everything else: pairs of slices, then ranks */
    for (int width = 1; width < mine; width *= 2)
        for (int a = 0; a + width < mine; a += 2 * width) slice_values[a] += slice_values[a + width];
    double sum = slice_values[0];
    world_sum_doubles(world, &sum, 1);
    return sum;
}

struct contrastive_result contrastive_loss(struct device *device, const struct world *world, const float *images, const float *texts,
                                           float *d_images, float *d_texts, int64_t local, int64_t dim, int slices, float scale)
{
    int mine = slices / world->size;
    CHECK(mine >= 1 && mine * world->size == slices && (slices & (slices - 1)) == 0 && local % mine == 0,
          "%ld samples a rank in %d slices over %d ranks", (long)local, slices, world->size);
    struct pass p = {.device = device, .world = world, .images = images, .texts = texts, .local = local, .dim = dim,
                     .block = local / mine, .slices = slices, .mine = mine, .first = world->rank * mine, .scale = scale};
    int64_t global = p.block * slices;
    p.strip = mem_map((size_t)(STRIP * p.block), sizeof(float));
    p.visitor = world->size > 1 ? mem_map((size_t)(p.block * dim), sizeof(float)) : NULL;
    float *row_lse = mem_alloc((size_t)(2 * local + global), sizeof *row_lse), *row_max = row_lse + local, *col_lse = row_max + local;
    double *per_slice = mem_alloc((size_t)mine * 3, sizeof *per_slice), *hits = per_slice + mine, *slice_scale = hits + mine;
    statistics(&p, row_lse, col_lse, row_max);

    for (int a = 0; a < mine; a++) {
        per_slice[a] = hits[a] = 0;
        for (int64_t i = a * p.block; i < (a + 1) * p.block; i++) {
            double own = 0;
            for (int64_t c = 0; c < dim; c++) own += (double)images[i * dim + c] * (double)texts[i * dim + c];
            own *= scale;
            per_slice[a] += (double)row_lse[i] + (double)col_lse[p.first * p.block + i] - 2 * own;
            hits[a] += own >= (double)row_max[i] - 1e-5 * (double)scale;
        }
    }
    struct contrastive_result result = {0};
    result.loss = sum_slices(world, per_slice, mine) / (2. * (double)global);
    result.accuracy = sum_slices(world, hits, mine) / (double)global;
    if (d_images) {
        gradients(&p, row_lse, col_lse, d_images, d_texts, slice_scale);
        result.logit_scale = sum_slices(world, slice_scale, mine) * (double)scale;
    }
    mem_unmap(p.strip, (size_t)(STRIP * p.block), sizeof(float));
    mem_unmap(p.visitor, (size_t)(p.block * dim), sizeof(float));
    free(row_lse);
    free(per_slice);
    return result;
}
