/* Whole numbers, one for each sample: classes, owners. */
#ifndef EVALUATOR_METRICS_LABELS_H
#define EVALUATOR_METRICS_LABELS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum { LABELS_CLASSES = 1 << 20 }; /* at most, where there are counts of each */

/* A .npy file of int32 or int64 [n], or a text file with one a line; all from 0 to 2^31 - 1, at least one.  *labels
 * [count] is the caller's to free(). */
int labels_read(const char *path, int32_t **labels, int64_t *count, struct error *error);
/* All below `count`, of which there are so many `things` ("classes"). */
int labels_check(const char *path, const int32_t *labels, int64_t n, int64_t count, const char *things,
                 struct error *error);

/* Scores [count], `which` one of them: how many are ahead of it.  Of equal ones the lower index is ahead (nn/score.h).
 */
int64_t labels_rank(const double *scores, int64_t count, int64_t which);
/* Scores that are numbers: row `row` of the file. */
int labels_check_scores(const char *path, int64_t row, const double *scores, int64_t count, struct error *error);

#endif
