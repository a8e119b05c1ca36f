/* Deviations. */
#include "evaluator/statistics.h"

#include <math.h>

double deviation(const double *values, int64_t count)
{
    double mean = 0, squares = 0;
    for (int64_t i = 0; i < count; i++) mean += values[i] / (double)count;
    for (int64_t i = 0; i < count; i++) squares += (values[i] - mean) * (values[i] - mean);
    return count > 1 ? sqrt(squares / (double)(count - 1)) : 0;
}

double standard_error(const double *values, int64_t count)
{
    return deviation(values, count) / sqrt((double)count);
}
