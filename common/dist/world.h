/* The world: all ranks of this program, and how they talk.  The only file that knows MPI.
 *
 * Without mpirun or srun the world has one member and every call returns at once.  A failed MPI call ends the whole job with
 * host, rank and the call's name.  Calls marked (all) must be made by all ranks in the same order. */
#ifndef DIST_WORLD_H
#define DIST_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct world {
    int rank, size;
    int node_ranks, node_rank; /* ranks on this host, and this one's number among them */
    char host[64];
};

/* (all) Catch signals (base/stop.h), start MPI, set the abort hook of CHECK. */
struct world world_join(int *argc, char ***argv);
/* (all) Print this rank's error unless all have the same, agree on the highest exit status and shut MPI down.  Returns the exit
 * status of the process. */
int world_leave(struct world *world, const struct error *error);
/* End the whole job now. */
_Noreturn void world_abort(const struct world *world, const char *why);

/* (all) When any rank passes rc < 0, all return -1 and hold the error of the lowest such rank. */
int world_agree(const struct world *world, int rc, struct error *error);

void world_barrier(const struct world *world);                                                        /* (all) */
void world_broadcast(const struct world *world, void *data, size_t bytes, int root);                  /* (all) */
void world_gather_all(const struct world *world, const void *mine, size_t bytes, void *all);          /* (all) same size from each */
int64_t world_max(const struct world *world, int64_t value);                                          /* (all) */
int64_t world_sum(const struct world *world, int64_t value);                                          /* (all) */

/* One number to another rank, without waiting for it to be received. */
void world_send_number(const struct world *world, int to, int64_t value);
/* A number sent to this rank, if one is there. */
bool world_receive_number(const struct world *world, int *from, int64_t *value);

/* Sums in one fixed binary tree over ranks ((0 + 1) + (2 + 3)) + ...; the world's size must be a power of two. */

/* (all) data [count] of every rank, summed; rank r ends up with the sum of its part [r * count / size, (r + 1) * count / size)
 * in place, the rest of data is scratch.  count must be a multiple of size.  Recursive halving. */
void world_reduce_scatter(const struct world *world, float *data, int64_t count);
/* (all) Each rank's own part of data [count] reaches all. */
void world_gather_parts(const struct world *world, float *data, int64_t count);
/* (all) The sum arrives at root only; data is scratch elsewhere. */
void world_reduce(const struct world *world, float *data, int64_t count, int root);
/* (all) Sum of doubles in the same tree, everywhere. */
void world_sum_doubles(const struct world *world, double *data, int64_t count);

#endif
