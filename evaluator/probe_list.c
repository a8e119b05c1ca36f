/* The kinds of probes. */
#include "evaluator/probe.h"

extern const struct task task_knn, task_logistic;

const struct task *const probe_tasks[] = {
    &task_knn,
    &task_logistic,
    NULL,
};

const struct verb *const probe_runs[] = {
    NULL,
};
