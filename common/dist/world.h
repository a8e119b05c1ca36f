/* A world: ranks that work together, and how they talk.  The only file that knows MPI.
 *
 * The first world is all ranks of this job; others are groups of it, each with messages of its own, so that groups may
 * work at the same time.  Without mpirun or srun the world has one member and every call returns at once.  A failed MPI
 * call ends the whole job with host, rank and the call's name.  Calls marked (all) must be made by all ranks of the
 * world in the same order. */
#ifndef DIST_WORLD_H
#define DIST_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "dist/cores.h"
#include "dist/tree.h"

struct world {
    int rank, size;
    int node_ranks, node_rank; /* ranks of this world on this host, and this one's number among them */
    char host[64];
    struct group *group; /* MPI's side of it; a world of one does without */
    struct cores cores;  /* of this rank, whatever the group */
};

/* (all) Catch signals (base/stop.h), start MPI, set the abort hook of CHECK: the world of all ranks.  Ends a process
 * that is one of several which did not find each other (dist/launch.h). */
struct world world_join(int *argc, char ***argv);
/* (all) Print this rank's error unless all have the same, agree on the highest exit status and shut MPI down.  Returns
 * the exit status of the process. */
int world_leave(struct world *world, const struct error *error);
/* End the whole job now, whatever the group. */
_Noreturn void world_abort(const struct world *world, const char *why);

/* (all) The ranks that give the same colour become a world, numbered as they were.  world_free (all of it) when it is
 * no longer needed. */
struct world world_split(const struct world *world, int colour);
void world_free(struct world *world);

/* (all) When any rank passes rc < 0, all return -1 and hold the error of the lowest such rank. */
int world_agree(const struct world *world, int rc, struct error *error);

void world_barrier(const struct world *world);                                       /* (all) */
void world_broadcast(const struct world *world, void *data, size_t bytes, int root); /* (all) */
void world_gather_all(const struct world *world, const void *mine, size_t bytes,
                      void *all);                            /* (all) same size from each */
int64_t world_max(const struct world *world, int64_t value); /* (all) */
int64_t world_sum(const struct world *world, int64_t value); /* (all) */

/* One number to another rank, without waiting for it to be received. */
void world_send_number(const struct world *world, int to, int64_t value);
/* A number sent to this rank, if one is there. */
bool world_receive_number(const struct world *world, int *from, int64_t *value);

/* (all) Each rank's share (dist/share.h) of `units` things of `unit` bytes reaches all. */
void world_gather(const struct world *world, void *data, int64_t units, size_t unit);

/* Sums over leaves that the ranks share (dist/share.h), in the tree of dist/tree.h; `sums` holds the nodes this rank
 * made of its leaves, joined as far as they go.  The sum arrives in that of the first node; all others are scratch. */

/* (all) The nodes are of `units` times `unit` floats; each rank gets the sum of its share of the units. */
void world_reduce_scatter(const struct world *world, const struct tree *sums, int64_t units, int64_t unit);
/* (all) The nodes are of `count` floats; the sum arrives at root only. */
void world_reduce(const struct world *world, const struct tree *sums, int64_t count, int root);
/* (all) The same where the nodes are of `count` doubles, whatever their pointers say. */
void world_reduce_wide(const struct world *world, const struct tree *sums, int64_t count, int root);

#endif
