/* Registration and layout of parameters. */
#include "tensor/parameters.h"

#include <stdlib.h>
#include <string.h>

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
    added->rate = 1;
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
        CHECK(owner->view_count < 2 && offset + rows * cols <= tensor_count(whole), "view of %s at %ld", owner->name,
              (long)offset);
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

void parameters_allocate(struct parameters *p)
{
    p->values = mem_map((size_t)p->total, sizeof(float));
    for (int64_t i = 0; i < p->count; i++) {
        struct parameter *it = p->list[i];
        it->values = p->values + it->offset;
    }
}

void parameters_pack(struct parameters *p, const char *prefix, enum packing packing, const struct device *device)
{
    p->packing = device->kernels;
    CHECK(p->packing->packed_bytes && p->values, "%s packs no weights", device->kernels->name);
    for (int64_t i = 0; i < p->count; i++) {
        struct tensor *t = &p->list[i]->tensor;
        if (p->list[i]->ndim != 2 || strncmp(p->list[i]->name, prefix, strlen(prefix))) continue;
        t->packing = packing;
        t->packed = mem_map(p->packing->packed_bytes(packing, t->rows, t->cols), 1);
    }
}

void parameters_set(const struct parameters *p, struct parameter *it, int64_t first, int64_t count, const float *rows)
{
    int64_t cols = it->tensor.cols;
    CHECK(first >= 0 && first + count <= it->tensor.rows, "rows %ld to %ld of %s", (long)first, (long)(first + count),
          it->name);
    if (it->tensor.packed)
        p->packing->pack_rows(it->tensor.packing, (void *)(uintptr_t)it->tensor.packed, rows, first, count, cols);
    else
        memcpy(it->values + first * cols, rows, (size_t)(count * cols) * sizeof *rows);
}

static void point(struct tensor *t, const struct parameters *p, int64_t offset)
{
    t->master = p->master + offset;
    t->data = (char *)p->compute + (size_t)offset * p->device->kernels->real_bytes;
}

void parameters_place(struct parameters *p, struct device *device, bool training)
{
    const struct kernels *k = device->kernels;
    size_t count = (size_t)p->total;
    p->device = device;
    p->master = k->reserve ? k->map(device, count * sizeof(float))
                           : p->values; /* a device without its own memory shares the host's */
    p->compute = k->real_bytes == sizeof(float) ? p->master : k->map(device, count * k->real_bytes);
    for (int64_t i = 0; i < p->count; i++) {
        struct parameter *it = p->list[i];
        point(&it->tensor, p, it->offset);
        for (int v = 0; v < it->view_count; v++) point(&it->views[v], p, it->offset + it->view_offset[v]);
    }
    if (!training) return;
    p->gradients = k->map(device, count * sizeof(float));
    parameters_aim(p, p->gradients);
}

void parameters_push(struct parameters *p)
{
    const struct kernels *k = p->device->kernels;
    if (p->master != p->values) k->upload(p->device, p->master, p->values, (size_t)p->total * sizeof(float));
    if ((void *)p->master != p->compute) k->round(p->device, p->compute, p->master, p->total);
    k->wait(p->device);
}

void parameters_pull(struct parameters *p)
{
    if (p->master != p->values)
        p->device->kernels->download(p->device, p->values, p->master, (size_t)p->total * sizeof(float));
}

void parameters_free(struct parameters *p)
{
    if (p->device) {
        const struct kernels *k = p->device->kernels;
        if ((void *)p->master != p->compute) k->unmap(p->device, p->compute, (size_t)p->total * k->real_bytes);
        if (p->master != p->values) k->unmap(p->device, p->master, (size_t)p->total * sizeof(float));
        k->unmap(p->device, p->gradients, (size_t)p->total * sizeof(float));
    }
    for (int64_t i = 0; i < p->count; i++) {
        struct tensor *t = &p->list[i]->tensor;
        if (t->packed)
            mem_unmap((void *)(uintptr_t)t->packed, p->packing->packed_bytes(t->packing, t->rows, t->cols), 1);
        free(p->list[i]->name);
        free(p->list[i]);
    }
    free(p->list);
    mem_unmap(p->values, (size_t)p->total, sizeof(float));
    *p = (struct parameters){0};
}

void parameter_freeze(struct parameter *it, bool frozen)
{
    it->tensor.needs_grad = !frozen;
    for (int v = 0; v < it->view_count; v++) it->views[v].needs_grad = !frozen;
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
            it->views[v].grad = buffer + it->offset + it->view_offset[v];
            it->views[v].touched = false;
        }
    }
}

static void settle(struct parameters *p, struct tensor *t)
{
    if (!t->touched) p->device->kernels->fill(p->device, t->grad, 0, tensor_count(t));
    t->touched = true;
}

void parameters_settle(struct parameters *p)
{
    for (int64_t i = 0; i < p->count; i++) {
        struct parameter *it = p->list[i];
        if (!it->view_count) settle(p, &it->tensor);
        for (int v = 0; v < it->view_count; v++) settle(p, &it->views[v]);
    }
}
