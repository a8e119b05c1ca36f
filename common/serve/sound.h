/* Features of which figures may be made: a row must have a direction.  NaN is never larger, and would rank first. */
#ifndef SERVE_SOUND_H
#define SERVE_SOUND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Finite, and not zero. */
bool sound_row(const float *row, int64_t cols);
/* The error of a row that is not; what: "sample 17", "text 3 a bird". */
int sound_error(const float *row, int64_t cols, const char *what, struct error *error);

#endif
