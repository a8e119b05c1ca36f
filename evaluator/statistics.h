/* How sure a figure is. */
#ifndef EVALUATOR_STATISTICS_H
#define EVALUATOR_STATISTICS_H

#include <stdint.h>

/* Of a sample: sqrt(sum of (value - mean)^2 / (count - 1)); 0 of one value. */
double deviation(const double *values, int64_t count);
/* Of its mean: the deviation / sqrt(count). */
double standard_error(const double *values, int64_t count);

#endif
