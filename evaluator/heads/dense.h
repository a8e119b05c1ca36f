/* The subjects of heads that say something of every pixel: a class (segmentation), a depth.
 *
 *   picture, truth -> cut together: scaled, cropped, flipped, padded -> [size, size] pixels and targets -> a head
 *   a whole picture -> views (windows that slide; the whole squashed, and its mirror image) -> heads -> one map at the
 *   size of the truth -> figures of `pe-evaluator score`
 *
 * A task says what truth and maps are; the rest is here.  Draws depend on (seed, epoch, sample) alone, and figures come
 * of whole numbers, or of each picture by itself in order: the same on any number of ranks. */
#ifndef EVALUATOR_HEADS_DENSE_H
#define EVALUATOR_HEADS_DENSE_H

#include "base/rng.h"
#include "evaluator/heads.h"
#include "evaluator/heads/labelled.h"
#include "evaluator/metrics/class_counts.h"
#include "evaluator/metrics/depth_map.h"
#include "ops/dense.h"

/* Options of dense heads, the first of a kind's own (heads_own). */
struct dense_settings {
    char *augment, *predictions, *crop;
    double resize_min, resize_max, flip, brightness, saturation;
    int64_t size, classes, ignored, short_side, stride;
    double scale, min, max;
    bool reduce, mirror;
};
extern const struct option dense_labels_options[], dense_depths_options[];

enum { DENSE_NONE = 65535 }; /* the target of a pixel that is of no class */

struct dense_pair {
    char *picture, *truth; /* paths */
    char *name;            /* of a prediction below its folder, without ending */
    struct extent size;    /* of both */
};

struct dense_set {
    struct dense_pair *list;
    int64_t count;
};

/* Where pixels of an examination come from: views [room] of a picture, [size, size] each. */
struct dense_views {
    struct extent canvas;  /* the picture as it is seen */
    int64_t rows, columns; /* windows, or 1 and 1 (2: and its mirror image) */
};

/* What a head gave for the views of a picture: [views, cells of `grid`, columns]. */
struct dense_output {
    const float *data;
    struct dense_views views;
    struct extent grid;
    int64_t columns;
};

struct dense;

struct dense_task {
    const char *headline, *chance_name;
    size_t target_bytes; /* of a pixel */
    bool squashed;       /* pictures fill the square; else they keep their ratio and windows slide */
    const void *none;    /* the target of a pixel beyond the picture */
    /* Pictures and truth below `folder`, to learn from or to be examined on. */
    int (*list)(struct dense_set *set, const char *folder, bool train, struct error *error);
    int (*check)(struct heads *h, struct error *error); /* of options; sets what 0 stands for */
    /* Truth as targets of a pixel each; the caller frees. */
    int (*read)(const struct dense *x, const struct dense_pair *pair, void **targets, struct error *error);
    /* Tallies of x->heads heads over x->pictures pictures, and their end. */
    void (*open)(struct dense *x);
    void (*close)(struct dense *x);
    /* Each output (of x->heads) against the truth of a picture, the `place`th of all; one without data stands for
     * knowing nothing (prior).  Called by several threads, for another picture each. */
    int (*judge)(struct dense *x, int64_t place, const struct dense_pair *pair, const struct dense_output *outputs,
                 struct error *error);
    void (*sum)(struct dense *x, const struct world *world); /* (all) tallies of all ranks */
    json_t *(*figures)(const struct dense *x, int64_t head); /* a new reference, `headline` among them */
    /* (all) What knowing nothing says: from the truth of the first training pictures. */
    int (*prior)(struct heads *h, struct error *error);
    /* The map a head gives, below a folder that is there. */
    int (*write)(const struct dense *x, const struct dense_pair *pair, const struct dense_output *output,
                 const char *folder, struct error *error);
    /* Into a result with maps: how numbers in the truth are meant. */
    void (*describe)(const struct dense *x, json_t *metrics);
};

struct dense {
    const struct dense_settings *settings;
    const struct dense_task *task;
    struct dense_set train, data;
    int64_t *taught, taught_count, *held, held_count;
    int64_t size, max_pixels; /* pixels a side of what an encoder sees; of a picture at most */
    uint64_t seed;
    struct labelled *feed;
    const struct dense_set *viewed; /* the set under examination */

    /* of an examination */
    int64_t heads, pictures;
    struct class_counts *counts;   /* segmentation: [heads, classes] */
    struct depth_figures *figures; /* depth: [heads, pictures] */
    int64_t majority;              /* segmentation: the class most common in training; -1: not known */
    struct depth_map mean;         /* depth: the mean of training maps, [size, size]; metres NULL: not known */
};

static inline struct dense *dense_of(const struct heads *h)
{
    return h->subject;
}

extern const struct subject subject_labels, subject_depths;

/* The map of cells that a lesson's features are. */
static inline struct map dense_map(const struct heads *h, const struct lesson *lesson)
{
    int64_t stride = h->encoder.shape(h->encoder.self, h->layers ? h->layers->layer : 0).stride;
    return (struct map){lesson->pictures.count, extent_grid(lesson->pictures.size, stride)};
}

/* --- between the files of this subject --- */

/* dense_files.c: the official layouts.  Errors name what is missing. */
int dense_list_ade(struct dense_set *set, const char *folder, bool train, struct error *error);
int dense_list_nyu(struct dense_set *set, const char *folder, bool train, struct error *error);
/* (all) The sizes of pictures, which must be those of their truth. */
int dense_measure(struct dense_set *set, const struct world *world, struct error *error);
void dense_set_close(struct dense_set *set);
uint64_t dense_set_identity(const struct dense_set *set);

/* dense_pictures.c: labelled_maker.make of a struct dense, to learn from (x->train) and to be examined (x->viewed). */
int64_t dense_make_taught(void *x, int64_t sample, uint64_t epoch, uint8_t *pixels, void *target, struct error *error);
int64_t dense_make_views(void *x, int64_t sample, uint64_t epoch, uint8_t *pixels, void *target, struct error *error);
struct dense_views dense_views_of(const struct dense *x, struct extent picture);
/* The corner of a view in its canvas. */
struct extent dense_corner(const struct dense *x, const struct dense_views *views, int64_t view);

/* dense_examine.c, see subject.examine */
int dense_examine(struct heads *h, bool result, struct error *error);
/* (all) Each of the first training pictures (--norm-samples of them) by the rank whose share it is in. */
int dense_each_taught(struct heads *h, int (*work)(void *context, const struct dense_pair *pair, struct error *error),
                      void *context, struct error *error);

extern const struct dense_task dense_labels, dense_depths;

#endif
