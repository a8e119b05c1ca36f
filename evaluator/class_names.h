/* Labels of several data sets as one: those that name the same classes in the same order share their numbers, else
 * labels are matched by class name. */
#ifndef EVALUATOR_CLASS_NAMES_H
#define EVALUATOR_CLASS_NAMES_H

#include "base/json.h"
#include "data/collection.h"

struct class_names {
    const struct dataset **sets; /* of all collections, one behind the other */
    int32_t **maps;              /* by set: what its labels become; NULL: they stay */
    int64_t count, named;        /* sets; of them those that name classes */
    json_t *numbers;             /* class name -> label, where names are matched */
    int64_t known;               /* classes that the first collection names: labels below; 0: it names none */
};

/* The collections must outlive it.  The first is what is learned from: classes that only others name come behind its
 * own.  A name twice in a set is an error where names are matched.  Close it whether or not it fails. */
int class_names_open(struct class_names *names, const struct collection *const *collections, int count,
                     struct error *error);
void class_names_close(struct class_names *names);

/* Change labels [count] (-1: none, it stays) of samples [count], ascending, of the collection whose sets begin at
 * `set`; samples NULL: those from 0 on.  A label beyond the classes is an error, and one of a set that names none where
 * others do. */
int class_names_apply(const struct class_names *names, int64_t set, const int64_t *samples, int32_t *values,
                      int64_t count, struct error *error);

#endif
