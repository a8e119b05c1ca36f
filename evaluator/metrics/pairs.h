/* Pictures of truth in a folder, what was predicted for each in another, and work on all of them at once. */
#ifndef EVALUATOR_METRICS_PAIRS_H
#define EVALUATOR_METRICS_PAIRS_H

#include <stdint.h>

#include "base/error.h"

enum { PAIRS_MOST_PIXELS = 100000000 }; /* of a picture; the limit for pictures elsewhere */

struct pairs {
    int64_t count;
    char **names;              /* [count] below both folders */
    char **truth, **predicted; /* [count] paths */
};

/* Every .png below `truth`, at any depth, in byte order; or those that the file `list` names, one a line, in its order,
 * each once.  The prediction is the file of the same name below `predictions`; where `other` is given, the one with
 * this ending (".npy") for .png does as well, but not both.  A missing one is an error.  Close it whether or not it
 * fails. */
int pairs_open(struct pairs *pairs, const char *truth, const char *list, const char *predictions, const char *other,
               struct error *error);
void pairs_close(struct pairs *pairs);

/* work(context, i, error) for all i below count, on all threads.  Of several errors the one of the lowest i is given;
 * what comes after it may be left out. */
int pairs_each(int64_t count, int (*work)(void *context, int64_t i, struct error *error), void *context,
               struct error *error);

#endif
