/* The figures of `pe-evaluator score`, for who makes the predictions: from the same files they are the same numbers. */
#ifndef EVALUATOR_SCORING_H
#define EVALUATOR_SCORING_H

#include "base/json.h"

struct scoring {
    const char *metric;              /* its name */
    const char *options;             /* its own, as on the command line, with spaces between words */
    const char *truth, *predictions; /* paths */
};

/* *figures: as `score` writes them, with samples, unparsed, missing and stderr, a new reference.  *values (NULL: not
 * wanted): what each unit is worth by its key, null where it does not count; an empty object where units have no worth
 * of their own; a new reference. */
int scoring_run(const struct scoring *scoring, json_t **figures, json_t **values, struct error *error);

#endif
