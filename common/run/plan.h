/* How long a run is, and how its batches are cut: pure functions of options, data and ranks. */
#ifndef RUN_PLAN_H
#define RUN_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct plan {
    int64_t steps, batch, samples; /* steps in all; samples of the global batch; of an epoch */
    int64_t slices, rows;          /* slices of the batch; samples of a slice */
    int64_t first, mine, local;    /* this rank's slices [first, first + mine), and their samples */
};

/* What the plan is made from. */
struct plan_wish {
    int64_t steps; /* or, when 0, */
    double epochs;
    int64_t batch, slices, least_slice; /* slices 0: chosen, each of least_slice samples or more where that can be */
};
int plan_make(struct plan *plan, const struct plan_wish *wish, int64_t samples, int rank, int ranks,
              struct error *error);

/* Does an epoch's end, or that of each `epochs` epochs, fall into the step (counted from 1)? */
bool plan_epochs_end(const struct plan *plan, double epochs, int64_t step);

/* Where sample i of this rank's slice n of a step (counted from 0) stands: the epoch, and the place in it. */
struct place {
    uint64_t epoch, at;
};
struct place plan_place(const struct plan *plan, int64_t step, int64_t n, int64_t i);

#endif
