/* Ratios of counts. */
#include "evaluator/metrics/class_counts.h"

#include <math.h>
#include <stdio.h>

static double iou(const struct class_counts *c)
{
    int64_t all = c->truth + c->predicted - c->common;
    return all ? (double)c->common / (double)all : NAN;
}

static double accuracy(const struct class_counts *c)
{
    return c->truth ? (double)c->common / (double)c->truth : NAN;
}

/* Over the classes where it is a number; NaN where it never is. */
static double mean(const struct class_counts *counts, int64_t classes, double (*of)(const struct class_counts *))
{
    double sum = 0;
    int64_t n = 0;
    for (int64_t c = 0; c < classes; c++) {
        double value = of(&counts[c]);
        if (isnan(value)) continue;
        sum += value;
        n++;
    }
    return n ? sum / (double)n : NAN;
}

double class_counts_miou(const struct class_counts *counts, int64_t classes)
{
    return mean(counts, classes, iou);
}

void class_counts_figures(const struct class_counts *counts, int64_t classes, json_t *figures)
{
    struct class_counts all = {0};
    json_t *each = json_object();
    for (int64_t c = 0; c < classes; c++) {
        char key[24];
        snprintf(key, sizeof key, "%ld", (long)c);
        all.common += counts[c].common;
        all.truth += counts[c].truth;
        if (!isnan(iou(&counts[c]))) json_object_set_new(each, key, json_real(iou(&counts[c])));
    }
    json_object_set_new(figures, "mIoU", json_real(mean(counts, classes, iou)));
    json_object_set_new(figures, "aAcc", json_real(accuracy(&all)));
    json_object_set_new(figures, "mAcc", json_real(mean(counts, classes, accuracy)));
    json_object_set_new(figures, "pixels", json_integer(all.truth));
    json_object_set_new(figures, "classes", each);
}
