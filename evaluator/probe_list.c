/* The kinds of probes. */
#include "evaluator/probe.h"

const struct task *const probe_tasks[] = {
    NULL,
};

const struct verb *const probe_runs[] = {
    NULL,
};
