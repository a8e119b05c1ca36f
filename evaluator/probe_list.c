/* The kinds of probes. */
#include "evaluator/probe.h"

extern const struct task task_knn, task_logistic;
extern const struct verb verb_linear, verb_attention;

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
/* clang-format on */
