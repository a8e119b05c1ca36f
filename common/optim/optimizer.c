/* Reduction of gradients, clipping, the update, and the gathering of parameters. */
#include "optim/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"

void optimizer_open(struct optimizer *o, struct device *device, const struct world *world, struct parameters *p)
{
    CHECK(p->total % ((int64_t)world->size * SQUARE_BLOCK) == 0, "%ld floats over %d ranks", (long)p->total, world->size);
    o->device = device;
    o->world = world;
    o->parameters = p;
    int64_t part = o->sharded ? p->total / world->size : p->total;
    o->first = o->sharded ? world->rank * part : 0;
    o->end = o->first + part;
    o->m = mem_map((size_t)part, sizeof *o->m);
    o->v = mem_map((size_t)part, sizeof *o->v);
    o->sums = mem_zalloc((size_t)(p->total / SQUARE_BLOCK), sizeof *o->sums);
    o->other = mem_zalloc((size_t)(p->total / SQUARE_BLOCK), sizeof *o->other);
}

void optimizer_close(struct optimizer *o)
{
    mem_unmap(o->m, (size_t)(o->end - o->first), sizeof *o->m);
    mem_unmap(o->v, (size_t)(o->end - o->first), sizeof *o->v);
    free(o->sums);
    free(o->other);
}

/* Sums of squares of x [total] (only this rank's part is read) for all blocks, on all ranks. */
static void block_sums(struct optimizer *o, double *out, const float *x)
{
    int64_t blocks = (o->end - o->first) / SQUARE_BLOCK, at = o->first / SQUARE_BLOCK;
    o->device->kernels->square_sums(o->device, out + at, x + o->first, o->end - o->first);
    if (!o->sharded || o->world->size == 1) return;
    double *mine = mem_alloc((size_t)blocks, sizeof *mine);
    memcpy(mine, out + at, (size_t)blocks * sizeof *mine);
    world_gather_all(o->world, mine, (size_t)blocks * sizeof *mine, out);
    free(mine);
}

/* Sum of one parameter's blocks, in order. */
static double parameter_sum(const double *sums, const struct parameter *p)
{
    double total = 0;
    for (int64_t b = p->offset / SQUARE_BLOCK; b * SQUARE_BLOCK < p->offset + tensor_count(&p->tensor); b++) total += sums[b];
    return total;
}

/* The part of parameter p that this rank owns: [*from, *to) in floats of the store; false when empty. */
static bool owned(const struct optimizer *o, const struct parameter *p, int64_t *from, int64_t *to)
{
    *from = p->offset > o->first ? p->offset : o->first;
    *to = p->offset + tensor_count(&p->tensor);
    if (*to > o->end) *to = o->end;
    return *from < *to && p->tensor.needs_grad;
}

static void lamb_apply(struct optimizer *o, const float *update, double rate)
{
    struct parameters *p = o->parameters;
    block_sums(o, o->sums, p->values);
    block_sums(o, o->other, update);
    for (int64_t i = 0; i < p->count; i++) {
        const struct parameter *it = p->list[i];
        int64_t from, to;
        if (!owned(o, it, &from, &to)) continue;
        double weight = sqrt(parameter_sum(o->sums, it)), size = sqrt(parameter_sum(o->other, it));
        double ratio = it->decay && o->decay > 0 && weight > 0 && size > 0 ? weight / size : 1;
        o->device->kernels->lamb_apply(o->device, p->values + from, update + from, (float)(rate * ratio), to - from);
    }
}

double optimizer_step(struct optimizer *o, float *gradients, double rate, int64_t step)
{
    struct parameters *p = o->parameters;
    world_reduce_scatter(o->world, gradients, p->total);
    if (!o->sharded) world_gather_parts(o->world, gradients, p->total);
    block_sums(o, o->sums, gradients);
    double squares = 0;
    for (int64_t i = 0; i < p->count; i++)
        if (p->list[i]->tensor.needs_grad) squares += parameter_sum(o->sums, p->list[i]);
    double norm = sqrt(squares);
    if (!isfinite(norm)) return norm;
    struct adam_step s = {.lr = (float)rate, .beta1 = (float)o->beta1, .beta2 = (float)o->beta2, .eps = (float)o->eps,
                          .correct1 = (float)(1 - pow(o->beta1, (double)step)), .correct2 = (float)(1 - pow(o->beta2, (double)step)), .clip = 1};
    if (o->clip > 0 && norm > o->clip) s.clip = (float)(o->clip / (norm + 1e-6));
    for (int64_t i = 0; i < p->count; i++) {
        const struct parameter *it = p->list[i];
        int64_t from, to;
        if (!owned(o, it, &from, &to)) continue;
        s.decay = it->decay ? (float)o->decay : 0;
        float *m = o->m + (from - o->first), *v = o->v + (from - o->first);
        if (o->kind == OPTIMIZER_LAMB) o->device->kernels->lamb_update(o->device, gradients + from, m, v, p->values + from, to - from, s);
        else o->device->kernels->adam_apply(o->device, p->values + from, m, v, gradients + from, to - from, s);
    }
    if (o->kind == OPTIMIZER_LAMB) lamb_apply(o, gradients, rate);
    if (o->sharded) world_gather_parts(o->world, p->values, p->total);
    return norm;
}
