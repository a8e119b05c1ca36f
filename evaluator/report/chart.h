/* Lines over the steps of a run, as SVG with the classes of style.css. */
#ifndef EVALUATOR_REPORT_CHART_H
#define EVALUATOR_REPORT_CHART_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct series {
    char *name;    /* owned, as x and y: series_free */
    double *x, *y; /* [count] x ascending, all finite */
    int64_t count;
};
void series_add(struct series *series, double x, double y);
void series_free(struct series *series);

struct chart {
    const char *title, *across;  /* what the horizontal axis counts */
    bool percent;                /* values are shares */
    const struct series *series; /* [count] */
    int64_t count;
};
/* A <figure>: title, names of the lines, and the picture.  Points that share a column of pixels are drawn as their
 * mean. */
void chart_put(struct str *out, const struct chart *chart);

/* 1, 2 or 5 times a power of ten, not below `least` > 0: the distance of two ticks. */
double chart_step(double least);
/* The colour of the i-th line (Okabe & Ito 2008: told apart with any kind of colour vision). */
const char *chart_colour(int64_t i);

#endif
