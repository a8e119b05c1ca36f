/* A metric with no model: official figures from a file of truth and a file (or folder) of predictions.
 *
 * One file here each, and one line in metric_list.c.  It reads the official formats, and gives beside its figures what
 * a standard error needs: either a value of each unit (a question, a picture), whose mean is the headline, or the
 * headline of a resample. */
#ifndef EVALUATOR_METRICS_METRIC_H
#define EVALUATOR_METRICS_METRIC_H

#include "base/json.h"
#include "config/options.h"

/* What a metric has found; everything but `figures` stays in its own memory until close. */
struct metric_result {
    json_t *figures; /* an object, empty at first: official keys in the official order, each a real, an integer, or null
                        where there is none */
    int64_t units;   /* what is drawn again in a bootstrap: questions, pictures, sequences */
    const double *values; /* [units] their mean is the headline; NULL: it is no mean (metric.resample) */
    const double *worth;  /* [units] what each is worth by itself, NaN: it does not count; NULL: that is not known */
    char *const *keys;    /* [units] what they are called in the files, for the paired comparison */
    int64_t samples, unparsed, missing; /* scored; replies that mean nothing (they count as wrong); truth without a
                                           prediction (counts as the official evaluator counts it) */
};

struct metric {
    const char *name, *summary;
    const char *headline;         /* key of the figure that the standard error belongs to */
    const struct option *options; /* its own, each named --NAME-...; NULL: none */
    size_t bytes;                 /* of self, which begins with what its options fill, then zeroes */
    /* Reads and scores.  An input that the official evaluator would take for something else than it is (a sample twice,
     * an unknown one) is an error that names file, place and remedy. */
    int (*open)(void *self, const char *truth, const char *predictions, struct metric_result *result,
                struct error *error);
    /* The headline if unit i had been there times[i] times, NaN where there is none.  NULL: values are given. */
    double (*resample)(void *self, const int32_t *times);
    void (*close)(void *self); /* also when open failed */
};

extern const struct metric *const metric_list[]; /* ends with NULL */

#endif
