/* Exchange of device memory between the ranks of a world.
 *
 * Two ways.  exact: through host memory and MPI, sums in the fixed binary tree over slices (dist/tree.h), the same bits
 * on any number of ranks.  nccl: from GPU to GPU; the order of sums is NCCL's.  On a CPU, and with one rank, both are
 * the same. */
#ifndef DIST_COMM_H
#define DIST_COMM_H

#include "backend/device.h"
#include "dist/world.h"

struct comm {
    const struct world *world;
    struct device *device;
    bool direct;         /* over device->collectives */
    bool exact;          /* sums must not depend on the number of ranks */
    unsigned char *host; /* staging for what goes through MPI, [host_bytes] */
    size_t host_bytes;
};

/* (all) reduction: "exact", "nccl" (an error where ranks share a GPU or there is none), or "auto": nccl where it can
 * be. */
int comm_open(struct comm *comm, const struct world *world, struct device *device, const char *reduction,
              struct error *error);
void comm_close(struct comm *comm);

/* (all) Like the calls of the same name in dist/world.h, on device memory.  What is shared out is so by dist/share.h;
 * directly, sums hold one node. */
void comm_broadcast(struct comm *comm, void *data, size_t bytes, int root);
void comm_gather(struct comm *comm, void *data, int64_t units, size_t unit);
void comm_reduce(struct comm *comm, const struct tree *sums, int64_t count, int root);
void comm_reduce_scatter(struct comm *comm, const struct tree *sums, int64_t units, int64_t unit);
/* (all) Each rank has its share of the rows of values [rows, cols], one for each slice: row 0 becomes the sum of all,
 * everywhere; the rest is scratch. */
void comm_sum(struct comm *comm, double *values, int64_t rows, int64_t cols);

#endif
