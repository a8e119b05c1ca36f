/* Gradients of a rank's slices, summed in the binary tree that design rule 2 asks for.
 *
 *   slice   0   1   2   3          buffers in use at once: 1 + log2(slices)
 *            \ /     \ /
 *             +       +            a finished sum waits until its sibling is there, so the order of additions depends on
 *              \     /             the number of slices alone, and with the tree over ranks (dist/world.h) on nothing else
 *               +---+
 *
 * Where the sums of ranks need not be exact (dist/comm.h) one buffer does: slices add to it in turn.  With more ranks its finished parts
 * travel to their owners while the backward pass goes on. */
#ifndef OPTIM_ACCUMULATE_H
#define OPTIM_ACCUMULATE_H

#include "dist/comm.h"
#include "tensor/parameters.h"

enum { ACCUMULATE_LEVELS = 24 };

struct accumulator {
    struct comm *comm;
    struct parameters *parameters;
    float *buffer[ACCUMULATE_LEVELS]; /* [0] is parameters->gradients */
    int level[ACCUMULATE_LEVELS];     /* of the sums that wait, buffer[0 .. waiting) */
    int waiting, buffers;
    bool plain;                       /* one buffer, added to in turn */
    bool *sent;                       /* [parameters] on their way to their owner; NULL when they do not travel early */
};

/* For `slices` (a power of two) slices a step. */
void accumulator_open(struct accumulator *a, struct comm *comm, struct parameters *parameters, int64_t slices);
void accumulator_close(struct accumulator *a);

void accumulator_begin(struct accumulator *a); /* aim the parameters' gradients at a free buffer */
void accumulator_end(struct accumulator *a);   /* the slice's backward pass is over: add it in */
/* Called between segments of the step's last backward pass: parameters that no recorded call uses any more are sent. */
void accumulator_send(void *accumulator);
/* Give up what was added and sent: after a dry run. */
void accumulator_forget(struct accumulator *a);
/* (all) After the last slice: the sum over this rank's slices, parameters->total floats; *reduced: and over the ranks, in their parts. */
float *accumulator_sum(struct accumulator *a, bool *reduced);

#endif
