/* One training step: embed, compare, walk back, update. */
#ifndef TRAINER_STEP_H
#define TRAINER_STEP_H

#include "trainer/run.h"

/* (all) Fills run->report and advances run->step.  A loss or gradient that is not finite is an error that names step, slice and samples;
 * the weights are then still those of the step before. */
int step_train(struct run *run, struct batch *batch, struct error *error);

#endif
