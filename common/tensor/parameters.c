/* Registration and layout of parameters. */
#include "tensor/parameters.h"

#include <stdlib.h>
#include <string.h>

#include "backend/kernels.h"
#include "base/check.h"
#include "base/memory.h"

struct tensor *parameters_add(struct parameters *p, const char *name, int ndim, const int64_t *shape)
{
    CHECK(!p->values, "parameter %s added after allocation", name);
    CHECK(!parameters_find(p, name), "parameter %s registered twice", name);
    struct parameter *added = mem_zalloc(1, sizeof *added);
    added->name = mem_strdup(name);
    added->ndim = ndim;
    int64_t rows = ndim > 1 ? shape[0] : 1, cols = 1;
    for (int i = 0; i < ndim; i++) {
        CHECK(shape[i] > 0, "%s: dimension %d is %ld", name, i, (long)shape[i]);
        added->shape[i] = shape[i];
        if (i > 0 || ndim == 1) cols *= shape[i];
    }
    added->decay = ndim > 1;
    added->offset = p->total;
    added->tensor =
        (struct tensor){.rows = rows, .cols = cols, .needs_grad = true, .parameter = true, .segment = -1, .slot = -1};
    p->total += (rows * cols + SQUARE_BLOCK - 1) / SQUARE_BLOCK * SQUARE_BLOCK;
    if (p->count % 64 == 0) p->list = mem_realloc(p->list, (size_t)p->count + 64, sizeof *p->list);
    p->list[p->count++] = added;
    return &added->tensor;
}

struct tensor *parameters_view(struct parameters *p, struct tensor *whole, int64_t offset, int64_t rows, int64_t cols)
{
    for (int64_t i = 0; i < p->count; i++) {
        struct parameter *owner = p->list[i];
        if (&owner->tensor != whole) continue;
        CHECK(owner->view_count < 2 && offset + rows * cols <= tensor_count(whole), "view of %s at %ld", owner->name, (long)offset);
        int n = owner->view_count++;
        owner->view_offset[n] = offset;
        owner->views[n] = *whole;
        owner->views[n].rows = rows;
        owner->views[n].cols = cols;
        return &owner->views[n];
    }
    CHECK(0, "view of a tensor that is no parameter");
    return NULL;
}

void parameters_allocate(struct parameters *p, bool training)
{
    int64_t unit = PARAMETERS_MAX_PARTS * SQUARE_BLOCK;
    p->total = (p->total + unit - 1) / unit * unit;
    p->values = mem_map((size_t)p->total, sizeof(float));
    for (int64_t i = 0; i < p->count; i++) {
        struct parameter *it = p->list[i];
        it->tensor.data = p->values + it->offset;
        for (int v = 0; v < it->view_count; v++) it->views[v].data = it->tensor.data + it->view_offset[v];
    }
    if (!training) return;
    p->gradients = mem_map((size_t)p->total, sizeof(float));
    parameters_aim(p, p->gradients);
}

void parameters_free(struct parameters *p)
{
    for (int64_t i = 0; i < p->count; i++) {
        free(p->list[i]->name);
        free(p->list[i]);
    }
    free(p->list);
    mem_unmap(p->values, (size_t)p->total, sizeof(float));
    mem_unmap(p->gradients, (size_t)p->total, sizeof(float));
    *p = (struct parameters){0};
}

struct parameter *parameters_find(const struct parameters *p, const char *name)
{
    for (int64_t i = 0; i < p->count; i++)
        if (!strcmp(p->list[i]->name, name)) return p->list[i];
    return NULL;
}

int64_t parameters_elements(const struct parameters *p)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < p->count; i++) sum += tensor_count(&p->list[i]->tensor);
    return sum;
}

void parameters_aim(struct parameters *p, float *buffer)
{
    for (int64_t i = 0; i < p->count; i++) {
        struct parameter *it = p->list[i];
        it->tensor.grad = buffer + it->offset;
        it->tensor.touched = false;
        for (int v = 0; v < it->view_count; v++) {
            it->views[v].grad = it->tensor.grad + it->view_offset[v];
            it->views[v].touched = false;
        }
    }
}

static void settle(struct tensor *t)
{
    if (!t->touched) memset(t->grad, 0, (size_t)tensor_count(t) * sizeof(float));
    t->touched = true;
}

void parameters_settle(struct parameters *p)
{
    for (int64_t i = 0; i < p->count; i++) {
        struct parameter *it = p->list[i];
        if (!it->view_count) settle(&it->tensor);
        for (int v = 0; v < it->view_count; v++) settle(&it->views[v]);
    }
}
