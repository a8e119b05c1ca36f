/* Rows that have no direction, and why. */
#include "serve/sound.h"

#include <math.h>

bool sound_row(const float *row, int64_t cols)
{
    double squares = 0;
    for (int64_t k = 0; k < cols; k++) squares += (double)row[k] * (double)row[k];
    return isfinite(squares) && squares > 0;
}

int sound_error(const float *row, int64_t cols, const char *what, struct error *error)
{
    bool finite = true;
    for (int64_t k = 0; k < cols; k++) finite &= isfinite(row[k]) != 0;
    return error_set(error, ERROR_FAILED,
                     "%s: its feature is %s: the weights are damaged, or their training diverged; take an earlier "
                     "checkpoint, or --precision fp32",
                     what, finite ? "zero" : "not finite");
}
