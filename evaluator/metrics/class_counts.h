/* Counts of pixels by class, and the figures of label maps that come of them (mmsegmentation's): for each class I
 * pixels of it in both maps, T in the truth, P in the prediction.  IoU = I / (P + T - I), accuracy = I / T; mIoU and
 * mAcc are means over the classes where the denominator is not 0, aAcc = sum I / sum T.  All counts are whole numbers.
 * */
#ifndef EVALUATOR_METRICS_CLASS_COUNTS_H
#define EVALUATOR_METRICS_CLASS_COUNTS_H

#include "base/json.h"

struct class_counts {
    int64_t common, truth, predicted;
};

enum { NO_CLASS = -1 };

/* A pixel; one whose truth is NO_CLASS is not scored, one whose prediction is, is wrong. */
static inline void class_counts_add(struct class_counts *counts, int64_t truth, int64_t predicted)
{
    if (truth == NO_CLASS) return;
    counts[truth].truth++;
    if (predicted == NO_CLASS) return;
    counts[predicted].predicted++;
    counts[predicted].common += predicted == truth;
}

double class_counts_miou(const struct class_counts *counts, int64_t classes); /* NaN without pixels */
/* Into figures: mIoU aAcc mAcc pixels, and "classes" {number: IoU}. */
void class_counts_figures(const struct class_counts *counts, int64_t classes, json_t *figures);

#endif
