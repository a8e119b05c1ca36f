/* The tree of slice gradients, and the early sending. */
#include "optim/accumulate.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "dist/share.h"

static const struct kernels *kernels_of(const struct accumulator *a)
{
    return a->parameters->device->kernels;
}

void accumulator_open(struct accumulator *a, struct comm *comm, struct parameters *p, int64_t slices)
{
    const struct world *w = comm->world;
    *a = (struct accumulator){.comm = comm, .parameters = p, .sums.leaves = slices, .plain = !comm->exact};
    a->first = share_first(slices, w->size, w->rank);
    a->slice = a->end = share_first(slices, w->size, w->rank + 1);
    if (comm->direct) a->sent = mem_zalloc((size_t)p->count, sizeof *a->sent);
    a->count = a->plain ? 1 : tree_buffers(slices, a->first, a->end);
    for (int i = a->count - 1; i >= 0; i--) {
        a->buffers[i] = i ? kernels_of(a)->map(p->device, (size_t)p->total * sizeof(float)) : p->gradients;
        tree_lend(&a->sums, a->buffers[i]);
    }
}

void accumulator_close(struct accumulator *a)
{
    const struct parameters *p = a->parameters;
    for (int i = 1; i < a->count; i++) kernels_of(a)->unmap(p->device, a->buffers[i], (size_t)p->total * sizeof(float));
    free(a->sent);
    *a = (struct accumulator){0};
}

void accumulator_begin(struct accumulator *a)
{
    CHECK(a->slice > a->first, "slice %ld of [%ld, %ld)", (long)a->slice - 1, (long)a->first, (long)a->end);
    bool fresh = a->slice == a->end;
    if (fresh) tree_clear(&a->sums); /* what the step before left to read */
    if (fresh || !a->plain) parameters_aim(a->parameters, a->aimed = tree_take(&a->sums));
    a->slice--;
}

void accumulator_end(struct accumulator *a)
{
    float *into;
    const float *from;
    if (a->plain && a->slice > a->first) return;
    if (!a->plain) parameters_settle(a->parameters);
    tree_put(&a->sums, a->slice, a->aimed);
    while (tree_join(&a->sums, &into, &from))
        kernels_of(a)->add(a->parameters->device, into, from, a->parameters->total);
}

static bool is_final(const struct parameter *p)
{
    bool final = p->tensor.uses == 0 && (p->view_count || p->tensor.touched);
    for (int v = 0; v < p->view_count; v++) final = final && p->views[v].uses == 0 && p->views[v].touched;
    return final;
}

/* Elements [from, to) to the ranks that own them. */
static void send(struct accumulator *a, int64_t from, int64_t to)
{
    struct device *d = a->parameters->device;
    int64_t blocks = a->parameters->total / SQUARE_BLOCK, size = a->comm->world->size;
    while (from < to) {
        int64_t owner = share_owner(blocks, size, from / SQUARE_BLOCK);
        int64_t end = share_first(blocks, size, owner + 1) * SQUARE_BLOCK;
        if (end > to) end = to;
        d->collectives->reduce_beside(d, a->buffers[0] + from, end - from, (int)owner);
        from = end;
    }
}

void accumulator_send(void *accumulator)
{
    struct accumulator *a = accumulator;
    const struct parameters *p = a->parameters;
    for (int64_t i = 0; i < p->count;) {
        int64_t first = i;
        while (i < p->count && !a->sent[i] && is_final(p->list[i])) a->sent[i++] = true;
        if (i > first)
            send(a, p->list[first]->offset, i < p->count ? p->list[i]->offset : p->total);
        else
            i++;
    }
}

void accumulator_forget(struct accumulator *a)
{
    a->slice = a->end;
    tree_clear(&a->sums);
    if (a->sent) memset(a->sent, 0, (size_t)a->parameters->count * sizeof *a->sent);
}

const struct tree *accumulator_sum(struct accumulator *a, bool *reduced)
{
    CHECK(a->slice == a->first, "slices [%ld, %ld) are left", (long)a->first, (long)a->slice);
    *reduced = a->sent != NULL;
    a->slice = a->end;
    if (a->plain) parameters_settle(a->parameters);
    if (!a->sent) return &a->sums;
    accumulator_send(a);
    memset(a->sent, 0, (size_t)a->parameters->count * sizeof *a->sent);
    a->parameters->device->collectives->join(a->parameters->device);
    return &a->sums;
}
