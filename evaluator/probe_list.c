/* The kinds of probes. */
#include "evaluator/probe.h"

const struct verb *const probe_list[] = {
    NULL,
};
