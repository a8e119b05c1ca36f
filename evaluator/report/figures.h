/* What the figures of results are, in plain words, and what knowing nothing would reach. */
#ifndef EVALUATOR_REPORT_FIGURES_H
#define EVALUATOR_REPORT_FIGURES_H

#include <stdbool.h>

#include "base/json.h"
#include "base/str.h"

struct figure_words {
    const char *key, *words;
    bool share; /* of 1, shown in per cent */
};
/* NULL: it is not among those that have words. */
const struct figure_words *figure_words(const char *key);
/* The figure that stands for a result: the metric's own (metric.h), or the first that has words, else the first real;
 * NULL: none. */
const char *figure_headline(const json_t *result);
/* What a task's name says in words. */
const char *figure_task(const char *task);

/* What guessing reaches, by the result's own "chance" or by the numbers of classes, pictures and texts; NaN: not known.
 */
double figure_chance(const json_t *result, const char *key);
/* How: "chance", "first mask copied" ... */
const char *figure_chance_name(const json_t *result);

/* "3.10 %", "31.4", "0.0123". */
void figure_put(struct str *out, const char *key, double value);
/* A difference or a standard error in the same unit, without its sign of per cent. */
void figure_put_plain(struct str *out, const char *key, double value);

double number_of(const json_t *object, const char *key);    /* NaN: it is none */
const char *text_of(const json_t *object, const char *key); /* "": it is none */

#endif
