/* Data sets with class labels, numbered as the classes of the first of them all: a data set that names its classes in
 * another order, or only some of them, means the same by the same name. */
#ifndef EVALUATOR_HEADS_CLASS_SET_H
#define EVALUATOR_HEADS_CLASS_SET_H

#include "data/collection.h"

struct class_set {
    struct collection data;
    int32_t **numbers; /* [data.count][its class_count] what its labels are; NULL: themselves */
};

/* names: whose first data set says how classes are numbered; it may be this one.  A class that is unknown there, or
 * names on one side alone, is an error.  Close it whether or not it fails. */
int class_set_open(struct class_set *set, char *const *folders, int64_t count, const struct class_set *names,
                   struct error *error);
void class_set_close(struct class_set *set);

/* The class of a sample with this label: -1 where it has none; -1 with `error` where the label is beyond `classes`, or
 * beyond the names of its data set. */
int32_t class_set_number(const struct class_set *set, int64_t sample, int32_t label, int64_t classes,
                         struct error *error);

#endif
