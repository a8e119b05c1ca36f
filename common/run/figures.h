/* Named numbers of a step, and what becomes of them between two lines of the log. */
#ifndef RUN_FIGURES_H
#define RUN_FIGURES_H

#include <jansson.h>
#include <stdint.h>

#include "base/str.h"

enum figure_kind {
    FIGURE_LAST, /* as it is in the last step */
    FIGURE_MEAN, /* of the steps since the last line; the last one beside it as last_KEY */
    FIGURE_RATE  /* a count of the global batch, as KEY_per_second */
};

enum { FIGURES_MOST = 16 };
struct figures {
    struct figure {
        const char *key, *label; /* in metrics.jsonl, in the log (NULL: not there) */
        enum figure_kind kind;
        double value, sum;
    } list[FIGURES_MOST];
    int count;
};

/* Set a figure of the present step, by its key. */
void figures_set(struct figures *figures, const char *key, const char *label, enum figure_kind kind, double value);
double figures_get(const struct figures *figures, const char *key);

/* The step is over: add to the sums. */
void figures_sum(struct figures *figures);
/* " Label: value (mean)" of each, and members of a row, after `steps` steps of `seconds` in all; the sums begin anew.
 * */
void figures_report(struct figures *figures, int64_t steps, double seconds, struct str *line, json_t *row);

#endif
