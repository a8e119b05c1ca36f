/* Probes: heads on frozen features, of all chosen layers in one pass. */
#ifndef EVALUATOR_PROBE_H
#define EVALUATOR_PROBE_H

#include "evaluator/task.h"
#include "evaluator/verb.h"

/* The kinds: those over features that one pass keeps, and those whose heads are trained, each a run (run/training.h).
 * Both lists end with NULL. */
extern const struct task *const probe_tasks[];
extern const struct verb *const probe_runs[];
/* Heads on the tokens of pictures, verbs of their own; likewise. */
extern const struct verb *const dense_runs[];

#endif
