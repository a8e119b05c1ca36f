/* The subject of heads that classify: labelled pictures.
 *
 * Samples without a label are left out and counted.  Where there are learning rates to choose from, a part of the
 * labelled training samples, drawn by the seed, is held out: the rate of a layer is the one whose head names most of
 * them (of equal ones the first), and only then are the heads examined on --data. */
#ifndef EVALUATOR_HEADS_CLASSES_H
#define EVALUATOR_HEADS_CLASSES_H

#include "evaluator/class_names.h"
#include "evaluator/classification.h"
#include "evaluator/heads.h"
#include "evaluator/heads/labelled.h"

struct classes {
    struct collection train, data;
    struct class_names names;
    struct media_options media;
    struct augmentation augmentation;
    int32_t *labels, *tests; /* [samples of train, of data] classes, -1: none */
    int64_t *taught, taught_count, *held, held_count;
    int64_t count;    /* classes of either: labels are below; heads have an output for those that training names */
    int64_t *learned; /* [count] taught samples of each */
    struct class_stock stock; /* of the taught and of --data */
    struct labelled *feed;
};

static inline struct classes *classes_of(const struct heads *h)
{
    return h->subject;
}

extern const struct subject subject_classes;
extern const struct head_kind head_linear, head_attention;

/* --- between the files of this subject --- */

/* Pictures of a data set in batches, as evaluation sees them. */
struct labelled_config classes_feed(struct heads *h, const struct collection *data);
struct pictures classes_pictures(const struct heads *h, const struct labelled_batch *batch);
/* See subject.examine (classes_examine.c). */
int classes_examine(struct heads *h, bool result, struct error *error);

#endif
