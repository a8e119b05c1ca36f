/* The metrics of pe-evaluator score. */
#include "evaluator/metrics/metric.h"

const struct metric *const metric_list[] = {
    NULL,
};
