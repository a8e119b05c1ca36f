/* Features from files, as pe-evaluator embed and other tools write them. */
#ifndef EVALUATOR_METRICS_FEATURES_H
#define EVALUATOR_METRICS_FEATURES_H

#include <stdint.h>

#include "base/error.h"

/* A .npy file [count, dim], at least one number; one that is not finite in float32 is an error that names its place.
 * *rows is the caller's to free(). */
int features_read(const char *path, float **rows, int64_t *count, int64_t *dim, struct error *error);

#endif
