/* The kinds of probes, and the other heads that are trained on every layer. */
#include "evaluator/probe.h"

extern const struct task task_knn, task_logistic;
extern const struct verb verb_linear, verb_attention, verb_segment, verb_depth, verb_detect;

/* clang-format off */
const struct task *const probe_tasks[] = {
    &task_knn,
    &task_logistic,
    NULL,
};

const struct verb *const probe_runs[] = {
    &verb_linear,
    &verb_attention,
    NULL,
};

const struct verb *const dense_runs[] = {
    &verb_segment,
    &verb_depth,
    &verb_detect,
    NULL,
};
/* clang-format on */
