/* Exchange of device memory between the ranks.
 *
 * Two ways.  exact: through host memory and MPI, sums in the fixed binary tree over ranks (dist/world.h), the same bits on any number of
 * ranks.  nccl: from GPU to GPU; the order of sums is NCCL's.  On a CPU, and with one rank, both are the same. */
#ifndef DIST_COMM_H
#define DIST_COMM_H

#include "backend/device.h"
#include "dist/world.h"

struct comm {
    const struct world *world;
    struct device *device;
    bool direct;          /* over device->collectives */
    bool exact;           /* sums must not depend on the number of ranks */
    unsigned char *host;  /* staging for what goes through MPI, [host_bytes] */
    size_t host_bytes;
};

/* (all) reduction: "exact", "nccl" (an error where ranks share a GPU or there is none), or "auto": nccl where it can be. */
int comm_open(struct comm *comm, const struct world *world, struct device *device, const char *reduction, struct error *error);
void comm_close(struct comm *comm);

/* (all) Like the calls of the same name in dist/world.h, on device memory. */
void comm_broadcast(struct comm *comm, void *data, size_t bytes, int root);
void comm_gather(struct comm *comm, void *all, size_t part_bytes); /* part r of all [size * part_bytes] is rank r's */
void comm_reduce(struct comm *comm, float *data, int64_t count, int root);
void comm_reduce_scatter(struct comm *comm, float *data, int64_t count);
void comm_sum_doubles(struct comm *comm, double *data, int64_t count);

#endif
