/* Pictures for a pass, in batches made ahead by threads: samples of data sets, or files. */
#ifndef SERVE_PICTURES_H
#define SERVE_PICTURES_H

#include "backend/device.h"
#include "data/loader.h"

/* One of data and paths. */
struct picture_source {
    const struct collection *data; /* its samples [0, count) */
    char *const *paths;            /* [count] picture files */
    int64_t count;
};

struct picture_batch {
    int64_t first, count;     /* samples [first, first + count) */
    int64_t pictures;         /* of all of them: one each, several of a video */
    int32_t *starts, *labels; /* [count + 1] the first picture of each; [count] -1: none */
    uint8_t *pixels;          /* [pictures, size, size, 3], in host memory of the device */
};

/* Batches of `batch` samples are dealt out to ranks in turn: this one gets the rank-th of every `ranks`. */
struct pictures_config {
    struct picture_source source;
    struct media_options media;
    struct device *device;
    int64_t batch;
    int size, threads, rank, ranks, keep; /* keep: batches that stay valid */
};

struct picture_feed;
struct picture_feed *pictures_open(const struct pictures_config *config);
void pictures_close(struct picture_feed *feed); /* NULL is fine */
/* The next batch of this rank, NULL after the last; NULL with `error` when one of its samples cannot be read: none is
 * replaced. */
const struct picture_batch *pictures_next(struct picture_feed *feed, struct error *error);

int64_t pictures_batches(const struct pictures_config *config); /* of all ranks */
int64_t pictures_most(const struct pictures_config *config);    /* pictures of the largest batch */
/* Samples in batch number `number` of all. */
int64_t pictures_samples(const struct pictures_config *config, int64_t number);

#endif
