/* Labels of several data sets as one: those that name the same classes in the same order share their numbers, else
 * labels are matched by class name. */
#ifndef EVALUATOR_LABELS_H
#define EVALUATOR_LABELS_H

#include "base/json.h"
#include "data/collection.h"

struct labels {
    const struct dataset **sets; /* of all collections, one behind the other */
    int32_t **maps;              /* by set: what its labels become; NULL: they stay */
    int64_t count, named;        /* sets; of them those that name classes */
    json_t *numbers;             /* class name -> label */
};

/* The collections must outlive it.  A name twice in a set is an error where names are needed.  Close it whether or not
 * it fails. */
int labels_open(struct labels *labels, const struct collection *const *collections, int count, struct error *error);
void labels_close(struct labels *labels);

/* Change labels [count] of samples [count], ascending, of the collection whose sets begin at `set`.  A label beyond the
 * classes is an error, and one of a set that names none where others do. */
int labels_apply(const struct labels *labels, int64_t set, const int64_t *samples, int32_t *values, int64_t count,
                 struct error *error);

#endif
