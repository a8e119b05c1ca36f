/* Dispatch of exchanges: straight between devices, or staged through the host. */
#include "dist/comm.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "dist/share.h"
#include "log/log.h"

enum { STAGE_BYTES = 1 << 26 }; /* 64 MiB a piece */

int comm_open(struct comm *c, const struct world *world, struct device *device, const char *reduction,
              struct error *error)
{
    *c = (struct comm){.world = world, .device = device, .exact = !strcmp(reduction, "exact")};
    bool gpu = device->kernels->reserve != NULL;
    if (!gpu && !strcmp(reduction, "nccl"))
        return error_set(error, ERROR_USAGE, "--reduction nccl needs --device cuda");
    if (!gpu) c->exact = true;
    if (world->size == 1) return 0;
    if (gpu) c->host = device->kernels->host_map(device, c->host_bytes = STAGE_BYTES);
    if (c->exact) return 0;
    bool shared = world_max(world, world->node_ranks > device_count()) > 0; /* ranks share a GPU somewhere */
    if (shared && !strcmp(reduction, "nccl"))
        return error_set(error, ERROR_USAGE,
                         "--reduction nccl: %d ranks on a host with %d GPUs; start one rank a GPU, or use --reduction "
                         "exact",
                         world->node_ranks, device_count());
    if (shared) {
        log_warn("ranks share a GPU: gradients go through host memory, exactly reduced");
        c->exact = true;
        return 0;
    }
    unsigned char id[COLLECTIVES_ID] = {0};
    int rc = world->rank ? 0 : device_group_id(device, id, error);
    if (world_agree(world, rc, error) < 0) return -1;
    world_broadcast(world, id, sizeof id, 0);
    rc = device_connect(device, id, world->rank, world->size, error);
    if (world_agree(world, rc, error) < 0) return -1;
    c->direct = true;
    return 0;
}

void comm_close(struct comm *c)
{
    if (c->host) c->device->kernels->host_unmap(c->device, c->host, c->host_bytes);
    *c = (struct comm){0};
}

/* Nothing to exchange: one rank, or a dry run. */
static bool alone(const struct comm *c)
{
    return c->world->size == 1 || c->device->planning;
}

/* Does data lie where MPI can reach it? */
static bool on_host(const struct comm *c)
{
    return !c->device->kernels->reserve;
}

void comm_broadcast(struct comm *c, void *data, size_t bytes, int root)
{
    if (alone(c)) return;
    if (c->direct) {
        c->device->collectives->broadcast(c->device, data, bytes, root);
        return;
    }
    if (on_host(c)) {
        world_broadcast(c->world, data, bytes, root);
        return;
    }
    for (size_t at = 0; at < bytes; at += c->host_bytes) {
        size_t n = bytes - at < c->host_bytes ? bytes - at : c->host_bytes;
        if (c->world->rank == root) c->device->kernels->download(c->device, c->host, (char *)data + at, n);
        world_broadcast(c->world, c->host, n, root);
        if (c->world->rank != root) c->device->kernels->upload(c->device, (char *)data + at, c->host, n);
        c->device->kernels->wait(c->device);
    }
}

void comm_gather(struct comm *c, void *all, int64_t units, size_t unit)
{
    int size = c->world->size;
    if (alone(c)) return;
    if (on_host(c)) {
        world_gather(c->world, all, units, unit);
        return;
    }
    size_t *starts = mem_alloc((size_t)size + 1, sizeof *starts);
    for (int r = 0; r <= size; r++) starts[r] = (size_t)share_first(units, size, r) * unit;
    if (c->direct)
        c->device->collectives->gather(c->device, all, starts);
    else
        for (int r = 0; r < size; r++) comm_broadcast(c, (char *)all + starts[r], starts[r + 1] - starts[r], r);
    free(starts);
}

/* Sums in host memory of their own, for MPI to work on. */
static struct tree to_host(struct comm *c, const struct tree *sums, size_t bytes)
{
    struct tree host = *sums;
    for (int i = 0; i < host.count; i++) {
        host.node[i].sum = mem_map(bytes, 1);
        c->device->kernels->download(c->device, host.node[i].sum, sums->node[i].sum, bytes);
    }
    return host;
}

/* Floats [first, first + count) of the first sum back to the device. */
static void to_device(struct comm *c, const struct tree *sums, struct tree *host, size_t bytes, int64_t first,
                      int64_t count)
{
    const struct kernels *k = c->device->kernels;
    k->upload(c->device, sums->node[0].sum + first, host->node[0].sum + first, (size_t)count * sizeof(float));
    k->wait(c->device);
    for (int i = 0; i < host->count; i++) mem_unmap(host->node[i].sum, bytes, 1);
}

void comm_reduce(struct comm *c, const struct tree *sums, int64_t count, int root)
{
    size_t bytes = (size_t)count * sizeof(float);
    if (alone(c)) return;
    if (c->direct)
        c->device->collectives->reduce(c->device, sums->node[0].sum, count, root);
    else if (on_host(c))
        world_reduce(c->world, sums, count, root);
    else {
        struct tree host = to_host(c, sums, bytes);
        world_reduce(c->world, &host, count, root);
        to_device(c, sums, &host, bytes, 0, c->world->rank == root ? count : 0);
    }
}

void comm_reduce_scatter(struct comm *c, const struct tree *sums, int64_t units, int64_t unit)
{
    size_t bytes = (size_t)(units * unit) * sizeof(float);
    int size = c->world->size, rank = c->world->rank;
    if (alone(c)) return;
    if (c->direct)
        for (int r = 0; r < size; r++) {
            int64_t first = share_first(units, size, r) * unit, end = share_first(units, size, r + 1) * unit;
            c->device->collectives->reduce(c->device, sums->node[0].sum + first, end - first, r);
        }
    else if (on_host(c))
        world_reduce_scatter(c->world, sums, units, unit);
    else {
        struct tree host = to_host(c, sums, bytes);
        int64_t first = share_first(units, size, rank) * unit;
        world_reduce_scatter(c->world, &host, units, unit);
        to_device(c, sums, &host, bytes, first, share_first(units, size, rank + 1) * unit - first);
    }
}

void comm_sum(struct comm *c, double *values, int64_t rows, int64_t cols)
{
    comm_gather(c, values, rows, (size_t)cols * sizeof *values);
    c->device->kernels->tree_sum(c->device, values, rows, cols);
}
