/* The subject of heads that detect: pictures with boxes, in COCO's layout.
 *
 * Learned are boxes that are no crowd and not flat; a picture without one is left out, and counted.  Pictures are
 * squashed to a square; in training they are jittered in scale and flipped, and their boxes go along.  In examinations
 * all pictures of --data are looked at, and COCO's own scoring (metrics/coco.c) says what the boxes are worth.
 *
 * Losses are divided by the cells that are to find a box, counted over the whole batch on all ranks (torchvision counts
 * those of a rank). */
#ifndef EVALUATOR_HEADS_BOXES_H
#define EVALUATOR_HEADS_BOXES_H

#include "data/jitter.h"
#include "evaluator/heads.h"
#include "evaluator/heads/coco_set.h"
#include "evaluator/heads/labelled.h"
#include "nn/fcos.h"

/* Of a head that detects: lies at heads_own. */
struct detect_settings {
    int64_t pixels; /* a side of the squares that pictures become, 0: the encoder's own */
    int64_t channels, convs;
    char *train_images, *images, *predictions, *kind;
    struct jitter jitter;
    struct found_rules rules;
};

struct boxes {
    struct coco_set train, data;
    struct jitter jitter;
    uint64_t seed;
    int64_t size, max_pixels; /* pixels a side of what the encoder sees; of a picture at most */
    struct cell_level levels[PYRAMID_LEVELS];
    int64_t cells;                  /* of a picture */
    int64_t *taught, taught_count;  /* images with a box to learn */
    int64_t left_out, crowds, flat; /* images; boxes */
    int64_t positives;              /* cells that are to find a box, of this rank's slices of the step */
    float weight;                   /* of the step's losses: samples / positives of the whole batch */
    struct labelled *feed;
};

static inline struct boxes *boxes_of(const struct heads *h)
{
    return h->subject;
}
static inline const struct detect_settings *detect_settings_of(const struct heads *h)
{
    return heads_own(h);
}

extern const struct subject subject_boxes;
extern const struct head_kind head_fcos;

/* --- between the files of this subject and its kind --- */

struct fcos boxes_shape(const struct heads *h, int64_t width);
/* Targets of a lesson. */
struct fcos_truth boxes_truth(const struct heads *h, const struct lesson *lesson);
/* The head's tensors in the order of fcos_parameters; p has room for BOXES_TENSORS. */
enum { BOXES_CONVS_MOST = 8, BOXES_TENSORS = 128 };
void boxes_tensors(const struct head *head, struct tensor *p[BOXES_TENSORS]);

/* Is the object there to be learned: no crowd, not flat. */
bool boxes_counts(const struct object *object);

/* labelled_maker.make of a struct boxes, to learn from: target [cells] classes, [cells, 4] distances, [cells]
 * centre-ness; and to be examined: target is the struct extent of the picture as stored (boxes_pictures.c). */
int64_t boxes_make_taught(void *boxes, int64_t sample, uint64_t epoch, uint8_t *pixels, void *target,
                          struct error *error);
int64_t boxes_make_examined(void *boxes, int64_t sample, uint64_t epoch, uint8_t *pixels, void *target,
                            struct error *error);
struct labelled_config boxes_feed(struct heads *h);
struct pictures boxes_pictures(const struct heads *h, const struct labelled_batch *batch);
/* See subject.examine (boxes_examine.c). */
int boxes_examine(struct heads *h, bool result, struct error *error);

#endif
