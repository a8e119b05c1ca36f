/* The tree of slice gradients, and the early sending. */
#include "optim/accumulate.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"

static const struct kernels *kernels_of(const struct accumulator *a)
{
    return a->parameters->device->kernels;
}

void accumulator_open(struct accumulator *a, struct comm *comm, struct parameters *p, int64_t slices)
{
    *a = (struct accumulator){.comm = comm, .parameters = p, .buffers = 1, .plain = !comm->exact};
    a->buffer[0] = p->gradients;
    if (comm->direct) a->sent = mem_zalloc((size_t)p->count, sizeof *a->sent);
    if (a->plain) return;
    while ((int64_t)1 << (a->buffers - 1) < slices) a->buffer[a->buffers++] = kernels_of(a)->map(p->device, (size_t)p->total * sizeof(float));
    CHECK((int64_t)1 << (a->buffers - 1) == slices, "%ld slices are no power of two", (long)slices);
}

void accumulator_close(struct accumulator *a)
{
    for (int i = 1; i < a->buffers; i++) kernels_of(a)->unmap(a->parameters->device, a->buffer[i], (size_t)a->parameters->total * sizeof(float));
    free(a->sent);
    *a = (struct accumulator){0};
}

void accumulator_begin(struct accumulator *a)
{
    CHECK(a->waiting < a->buffers || a->plain, "%d sums wait in %d buffers", a->waiting, a->buffers);
    if (!a->plain || !a->waiting) parameters_aim(a->parameters, a->buffer[a->plain ? 0 : a->waiting]);
}

void accumulator_end(struct accumulator *a)
{
    if (a->plain) {
        a->waiting = 1;
        return;
    }
    parameters_settle(a->parameters);
    a->level[a->waiting++] = 0;
    while (a->waiting > 1 && a->level[a->waiting - 1] == a->level[a->waiting - 2]) {
        a->waiting--;
        kernels_of(a)->add(a->parameters->device, a->buffer[a->waiting - 1], a->buffer[a->waiting], a->parameters->total);
        a->level[a->waiting - 1]++;
    }
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
    int64_t part = a->parameters->total / a->comm->world->size;
    while (from < to) {
        int64_t owner = from / part, end = (owner + 1) * part < to ? (owner + 1) * part : to;
        d->collectives->reduce_beside(d, a->buffer[0] + from, end - from, (int)owner);
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
        if (i > first) send(a, p->list[first]->offset, i < p->count ? p->list[i]->offset : p->total);
        else i++;
    }
}

void accumulator_forget(struct accumulator *a)
{
    a->waiting = 0;
    if (a->sent) memset(a->sent, 0, (size_t)a->parameters->count * sizeof *a->sent);
}

float *accumulator_sum(struct accumulator *a, bool *reduced)
{
    CHECK(a->waiting == 1, "%d sums are left", a->waiting);
    a->waiting = 0;
    *reduced = a->sent != NULL;
    if (!a->plain) return a->buffer[0];
    parameters_settle(a->parameters);
    if (!a->sent) return a->buffer[0];
    accumulator_send(a);
    accumulator_forget(a);
    a->parameters->device->collectives->join(a->parameters->device);
    return a->buffer[0];
}
