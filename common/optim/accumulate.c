/* The tree of slice gradients. */
#include "optim/accumulate.h"

#include "base/check.h"
#include "base/memory.h"

void accumulator_open(struct accumulator *a, struct device *device, struct parameters *p, int64_t slices)
{
    *a = (struct accumulator){.device = device, .parameters = p, .buffers = 1};
    a->buffer[0] = p->gradients;
    while ((int64_t)1 << (a->buffers - 1) < slices) a->buffer[a->buffers++] = mem_map((size_t)p->total, sizeof(float));
    CHECK((int64_t)1 << (a->buffers - 1) == slices, "%ld slices are no power of two", (long)slices);
}

void accumulator_close(struct accumulator *a)
{
    for (int i = 1; i < a->buffers; i++) mem_unmap(a->buffer[i], (size_t)a->parameters->total, sizeof(float));
    *a = (struct accumulator){0};
}

void accumulator_begin(struct accumulator *a)
{
    CHECK(a->waiting < a->buffers, "%d sums wait in %d buffers", a->waiting, a->buffers);
    parameters_aim(a->parameters, a->buffer[a->waiting]);
}

void accumulator_end(struct accumulator *a)
{
    parameters_settle(a->parameters);
    a->level[a->waiting++] = 0;
    while (a->waiting > 1 && a->level[a->waiting - 1] == a->level[a->waiting - 2]) {
        a->waiting--;
        a->device->kernels->add(a->device, a->buffer[a->waiting - 1], a->buffer[a->waiting], a->parameters->total);
        a->level[a->waiting - 1]++;
    }
}

float *accumulator_sum(struct accumulator *a)
{
    CHECK(a->waiting == 1, "%d sums are left", a->waiting);
    a->waiting = 0;
    return a->buffer[0];
}
