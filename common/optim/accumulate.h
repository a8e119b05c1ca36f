/* Gradients of a rank's slices, summed in the binary tree that design rule 2 asks for (dist/tree.h).
 *
 *   slice   0   1   2   3          buffers in use at once: 1 + log2(slices) for a share that is a node of the tree, a
 *            \ /     \ /           few more for others
 *             +       +            a finished sum waits until its sibling is there, so the order of additions depends
 *              \     /             on the number of slices alone; what has no sibling on this rank waits for the
 *               +---+              other ranks
 *
 * Where the sums of ranks need not be exact (dist/comm.h) one buffer does: slices add to it in turn.  With more ranks
 * its finished parts travel to their owners while the backward pass goes on. */
#ifndef OPTIM_ACCUMULATE_H
#define OPTIM_ACCUMULATE_H

#include "dist/comm.h"
#include "tensor/parameters.h"

struct accumulator {
    struct comm *comm;
    struct parameters *parameters;
    int64_t first, end, slice; /* of this rank; the next one is below `slice` */
    struct tree sums;
    float *aimed;               /* where the slice under way leaves its gradients */
    float *buffers[TREE_NODES]; /* [0] is parameters->gradients */
    int count;
    bool plain; /* one buffer, added to in turn */
    bool *sent; /* [parameters] on their way to their owner; NULL when they do not travel early */
};

/* For `slices` slices a step, shared out over the ranks (dist/share.h). */
void accumulator_open(struct accumulator *a, struct comm *comm, struct parameters *parameters, int64_t slices);
void accumulator_close(struct accumulator *a);

/* For each slice of this rank, from the last to the first. */
void accumulator_begin(struct accumulator *a); /* aim the parameters' gradients at a free buffer */
void accumulator_end(struct accumulator *a);   /* the slice's backward pass is over: add it in */
/* Called between segments of the step's last backward pass: parameters that no recorded call uses any more are sent. */
void accumulator_send(void *accumulator);
/* Give up what was added and sent: after a dry run. */
void accumulator_forget(struct accumulator *a);
/* (all) After the last slice: the sums over this rank's slices, parameters->total floats each, for optimizer_step;
 * valid until the next begin.  *reduced: over the ranks as well, in their parts.  What is known for the whole batch one
 * rank adds to the first of them. */
const struct tree *accumulator_sum(struct accumulator *a, bool *reduced);

#endif
