/* Reduction of gradients, clipping, the update, and the gathering of parameters. */
#include "optim/optimizer.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/memory.h"
#include "dist/share.h"

static void *bring(struct device *d, const void *host, size_t bytes)
{
    void *there = d->kernels->map(d, bytes);
    d->kernels->upload(d, there, host, bytes);
    d->kernels->wait(d);
    return there;
}

/* What the kernels need to know of the parameters. */
static void describe(struct optimizer *o)
{
    const struct parameters *p = o->parameters;
    int64_t blocks = p->total / SQUARE_BLOCK;
    int32_t *first = mem_alloc((size_t)p->count + 1, sizeof *first), *owner = mem_alloc((size_t)blocks, sizeof *owner);
    float *decays = mem_alloc((size_t)p->count, sizeof *decays), *rates = mem_alloc((size_t)p->count, sizeof *rates);
    for (int64_t b = 0; b < blocks; b++) owner[b] = -1;
    for (int64_t i = 0; i < p->count; i++) {
        const struct parameter *it = p->list[i];
        int64_t end = it->offset + tensor_count(&it->tensor);
        first[i] = (int32_t)(it->offset / SQUARE_BLOCK);
        first[i + 1] = (int32_t)((end + SQUARE_BLOCK - 1) / SQUARE_BLOCK);
        decays[i] = it->decay ? (float)o->decay : 0;
        rates[i] = it->rate;
        for (int32_t b = first[i]; b < first[i + 1] && it->tensor.needs_grad; b++) owner[b] = (int32_t)i;
    }
    struct device *d = p->device;
    o->first_block = bring(d, first, ((size_t)p->count + 1) * sizeof *first);
    o->owner = bring(d, owner, (size_t)blocks * sizeof *owner);
    o->decays = bring(d, decays, (size_t)p->count * sizeof *decays);
    o->rates = bring(d, rates, (size_t)p->count * sizeof *rates);
    free(first);
    free(owner);
    free(decays);
    free(rates);
}

/* Buffers by size: what open takes close gives back. */
static void each_buffer(struct optimizer *o, void (*visit)(struct device *d, void **block, size_t bytes))
{
    const struct parameters *p = o->parameters;
    size_t part = (size_t)(o->end - o->first) * sizeof(float),
           blocks = (size_t)(p->total / SQUARE_BLOCK) * sizeof(double);
    visit(p->device, (void **)&o->m, part);
    visit(p->device, (void **)&o->v, part);
    visit(p->device, (void **)&o->blocks, blocks);
    visit(p->device, (void **)&o->other_blocks, blocks);
    visit(p->device, (void **)&o->sums, (size_t)p->count * sizeof(double));
    visit(p->device, (void **)&o->other_sums, (size_t)p->count * sizeof(double));
    visit(p->device, (void **)&o->norm, sizeof(double));
    visit(p->device, (void **)&o->factor, sizeof(float));
}

static void take(struct device *d, void **block, size_t bytes)
{
    *block = d->kernels->map(d, bytes);
}

static void give_back(struct device *d, void **block, size_t bytes)
{
    d->kernels->unmap(d, *block, bytes);
}

void optimizer_open(struct optimizer *o, struct comm *comm, struct parameters *p)
{
    o->comm = comm;
    o->parameters = p;
    int64_t blocks = p->total / SQUARE_BLOCK;
    o->first = o->sharded ? share_first(blocks, comm->world->size, comm->world->rank) * SQUARE_BLOCK : 0;
    o->end = o->sharded ? share_first(blocks, comm->world->size, comm->world->rank + 1) * SQUARE_BLOCK : p->total;
    each_buffer(o, take);
    describe(o);
}

void optimizer_close(struct optimizer *o)
{
    const struct parameters *p = o->parameters;
    each_buffer(o, give_back);
    p->device->kernels->unmap(p->device, o->first_block, ((size_t)p->count + 1) * sizeof *o->first_block);
    p->device->kernels->unmap(p->device, o->owner, (size_t)(p->total / SQUARE_BLOCK) * sizeof *o->owner);
    p->device->kernels->unmap(p->device, o->decays, (size_t)p->count * sizeof *o->decays);
    p->device->kernels->unmap(p->device, o->rates, (size_t)p->count * sizeof *o->rates);
}

/* Block sums of this rank's part, there already -> sums by parameter over all blocks, on all ranks. */
static void sum_parameters(struct optimizer *o, double *sums, double *blocks)
{
    const struct parameters *p = o->parameters;
    if (o->sharded) comm_gather(o->comm, blocks, p->total / SQUARE_BLOCK, sizeof *blocks);
    p->device->kernels->parameter_sums(p->device, sums, blocks, o->first_block, p->count);
}

static struct update update_of(struct optimizer *o, float *gradients, double rate, int64_t step)
{
    const struct parameters *p = o->parameters;
    int64_t first = o->first, block = first / SQUARE_BLOCK;
    bool narrow = (void *)p->master != p->compute;
    return (struct update){.p = p->master + first,
                           .m = o->m,
                           .v = o->v,
                           .g = gradients + first,
                           .compute =
                               narrow ? (char *)p->compute + (size_t)first * p->device->kernels->real_bytes : NULL,
                           .count = o->end - first,
                           .owner = o->owner + block,
                           .decay = o->decays,
                           .rates = o->rates,
                           .factor = o->factor,
                           .p_sums = o->blocks + block,
                           .g_sums = o->other_blocks + block,
                           .weight_squares = o->sums,
                           .update_squares = o->other_sums,
                           .rate = (float)rate,
                           .beta1 = (float)o->beta1,
                           .beta2 = (float)o->beta2,
                           .eps = (float)o->eps,
                           .correct1 = (float)(1 - pow(o->beta1, (double)step)),
                           .correct2 = (float)(1 - pow(o->beta2, (double)step))};
}

void optimizer_step(struct optimizer *o, const struct tree *sums, bool reduced, double rate, int64_t step)
{
    struct parameters *p = o->parameters;
    struct device *d = p->device;
    const struct kernels *k = d->kernels;
    int64_t blocks = p->total / SQUARE_BLOCK;
    float *gradients = sums->node[0].sum;
    if (!reduced) comm_reduce_scatter(o->comm, sums, blocks, SQUARE_BLOCK);
    if (!o->sharded) comm_gather(o->comm, gradients, blocks, SQUARE_BLOCK * sizeof *gradients);
    k->square_sums(d, o->blocks + o->first / SQUARE_BLOCK, gradients + o->first, o->end - o->first);
    sum_parameters(o, o->sums, o->blocks);
    k->clip_factor(d, o->norm, o->factor, o->sums, p->count, o->clip_norm);
    struct update u = update_of(o, gradients, rate, step);
    if (o->kind == OPTIMIZER_LAMB) {
        k->lamb_direction(d, &u);
        sum_parameters(o, o->sums, o->blocks);
        sum_parameters(o, o->other_sums, o->other_blocks);
        k->lamb_apply(d, &u);
    } else if (o->kind == OPTIMIZER_SGD)
        k->sgd(d, &u);
    else
        k->adam(d, &u);
    if (!o->sharded || o->comm->world->size == 1) return;
    comm_gather(o->comm, p->master, blocks, SQUARE_BLOCK * sizeof *p->master);
    if (u.compute) k->round(d, p->compute, p->master, p->total);
}
