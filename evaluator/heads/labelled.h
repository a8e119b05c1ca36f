/* Pictures with their targets in batches, made ahead by decode threads (data/ring.h): to learn from, in any order and
 * augmented, or to be examined by.  They come of data sets with labels, or of a maker. */
#ifndef EVALUATOR_HEADS_LABELLED_H
#define EVALUATOR_HEADS_LABELLED_H

#include "backend/device.h"
#include "data/collection.h"

struct labelled_batch {
    int64_t count, pictures; /* samples; their pictures: one each, or several, of a video */
    uint8_t *pixels;         /* [pictures, size, size, 3], in host memory of the device */
    int32_t *starts;         /* [count + 1] the first picture of each sample */
    int32_t *labels;         /* [count], -1: none; of data sets */
    unsigned char *targets;  /* [count, target_bytes]; of a maker */
    int64_t *samples;        /* [count] */
    uint64_t *epochs;        /* [count] */
};

/* Samples of other kinds: as many pictures of each as make returns, `room` at most, and its target. */
struct labelled_maker {
    int64_t room;
    size_t target_bytes;
    int64_t (*make)(void *self, int64_t sample, uint64_t epoch, uint8_t *pixels, void *target, struct error *error);
    void *self;
};

struct labelled_config {
    const struct collection *data; /* NULL: maker */
    struct labelled_maker maker;
    struct media_options media;
    struct device *device;
    const struct augmentation *augmentation; /* NULL: as evaluation sees them */
    uint64_t seed;
    int64_t rows, first, end; /* samples of the largest batch; batches [first, end) are made */
    int size, threads, ahead, keep;
    /* Fill in samples and epochs of batch `number`; returns how many. */
    int64_t (*which)(void *context, int64_t number, int64_t *samples, uint64_t *epochs);
    void *context;
};

struct labelled;
struct labelled *labelled_open(const struct labelled_config *config);
void labelled_close(struct labelled *feed); /* NULL is fine */
/* The next batch, NULL after the last; it stays valid until `keep` more calls were made.  NULL with `error` when a
 * sample cannot be read: none is replaced. */
const struct labelled_batch *labelled_next(struct labelled *feed, double *waited, struct error *error);

#endif
