/* Dispatch of exchanges: straight between devices, or staged through the host. */
#include "dist/comm.h"

#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "log/log.h"

enum { STAGE_BYTES = 1 << 26 }; /* 64 MiB a piece */

int comm_open(struct comm *c, const struct world *world, struct device *device, const char *reduction, struct error *error)
{
    *c = (struct comm){.world = world, .device = device, .exact = !strcmp(reduction, "exact")};
    bool gpu = device->kernels->reserve != NULL;
    if (!gpu && !strcmp(reduction, "nccl")) return error_set(error, ERROR_USAGE, "--reduction nccl needs --device cuda");
    if (!gpu) c->exact = true;
    if (world->size == 1) return 0;
    if (gpu) c->host = device->kernels->host_map(device, c->host_bytes = STAGE_BYTES);
    if (c->exact) return 0;
    bool shared = world_max(world, world->node_ranks > device_count()) > 0; /* ranks share a GPU somewhere */
    if (shared && !strcmp(reduction, "nccl"))
        return error_set(error, ERROR_USAGE, "--reduction nccl: %d ranks on a host with %d GPUs; start one rank a GPU, or use --reduction exact", world->node_ranks,
                         device_count());
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

void comm_gather(struct comm *c, void *all, size_t part_bytes)
{
    if (alone(c)) return;
    if (c->direct) {
        c->device->collectives->gather(c->device, all, part_bytes);
        return;
    }
    if (on_host(c)) {
        CHECK(part_bytes % sizeof(float) == 0, "%zu bytes", part_bytes);
        world_gather_parts(c->world, all, (int64_t)(part_bytes / sizeof(float)) * c->world->size);
        return;
    }
    for (int r = 0; r < c->world->size; r++) comm_broadcast(c, (char *)all + (size_t)r * part_bytes, part_bytes, r);
}

/* Bring data to host memory of its own, let MPI work on it, and bring it back where `keep`. */
struct visit {
    float *host;
    size_t bytes;
};

static struct visit to_host(struct comm *c, const void *data, size_t bytes)
{
    struct visit v = {mem_map(bytes, 1), bytes};
    c->device->kernels->download(c->device, v.host, data, bytes);
    return v;
}

static void to_device(struct comm *c, void *data, struct visit v, bool keep)
{
    if (keep) c->device->kernels->upload(c->device, data, v.host, v.bytes);
    c->device->kernels->wait(c->device);
    mem_unmap(v.host, v.bytes, 1);
}

void comm_reduce(struct comm *c, float *data, int64_t count, int root)
{
    if (alone(c)) return;
    if (c->direct) c->device->collectives->reduce(c->device, data, count, root);
    else if (on_host(c)) world_reduce(c->world, data, count, root);
    else {
        struct visit v = to_host(c, data, (size_t)count * sizeof *data);
        world_reduce(c->world, v.host, count, root);
        to_device(c, data, v, c->world->rank == root);
    }
}

void comm_reduce_scatter(struct comm *c, float *data, int64_t count)
{
    if (alone(c)) return;
    if (c->direct)
        for (int r = 0; r < c->world->size; r++) c->device->collectives->reduce(c->device, data + r * (count / c->world->size), count / c->world->size, r);
    else if (on_host(c)) world_reduce_scatter(c->world, data, count);
    else {
        struct visit v = to_host(c, data, (size_t)count * sizeof *data);
        world_reduce_scatter(c->world, v.host, count);
        to_device(c, data, v, true);
    }
}

void comm_sum_doubles(struct comm *c, double *data, int64_t count)
{
    if (alone(c)) return;
    if (c->direct) c->device->collectives->sum_doubles(c->device, data, count);
    else if (on_host(c)) world_sum_doubles(c->world, data, count);
    else {
        struct visit v = to_host(c, data, (size_t)count * sizeof *data);
        world_sum_doubles(c->world, (double *)(void *)v.host, count);
        to_device(c, data, v, true);
    }
}
