/* Average precision and recall of matched detections, and of resamples of their pictures.
 *
 * For a category, a range of size and an overlap, over all pictures: detections by score (stable) give a curve
 *
 *   recall = right / annotations,   precision = right / (right + false + 2^-52)
 *
 * and its average precision is the mean, over the recalls 0, .01 .. 1, of the best precision at that recall or beyond
 * (0 where it is not reached). */
#ifndef EVALUATOR_METRICS_PRECISION_H
#define EVALUATOR_METRICS_PRECISION_H

#include "evaluator/metrics/detections.h"

/* Of a category; NAN where it has no annotation that counts. */
struct category_score {
    double precision[SIZES][OVERLAPS], recall[SIZES][OVERLAPS];
    double recall_best[2][OVERLAPS]; /* of all sizes, by the best 1 and 10 detections of each picture */
};

struct curves; /* what resamples need */

/* d is matched.  scores [d->categories] is the caller's; *curves (NULL: not wanted) is closed with curves_close. */
void precision_score(const struct detections *d, struct category_score *scores, struct curves **curves);
/* Mean over categories and overlaps of the average precision (all sizes), if picture i had been there times[i] times;
 * copies of a detection stand beside each other.  NAN where nothing counts. */
double curves_resample(struct curves *curves, const int32_t *times);
void curves_close(struct curves *curves);

#endif
