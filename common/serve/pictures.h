/* Pictures for a pass, in batches made ahead by threads: samples of data sets, or files. */
#ifndef SERVE_PICTURES_H
#define SERVE_PICTURES_H

#include "backend/device.h"
#include "data/loader.h"
#include "serve/deal.h"

/* One of data and paths. */
struct picture_source {
    const struct collection *data; /* its samples [0, count) */
    char *const *paths;            /* [count] picture files */
    int64_t count;
    const struct picture_group *groups; /* [group_count] of paths, together all of them; NULL: each stands alone */
    int64_t group_count;
    int border; /* pixels cut off each side of pictures of data (media_options) */
};

enum { LABEL_MISSING = -2 }; /* of a sample that could not be read: a black picture stands in its place */

struct picture_batch {
    struct picture_span span;
    int64_t pictures;         /* of all samples: one each, several of a video */
    int32_t *starts, *labels; /* [count + 1] the first picture of each; [count] -1: none, LABEL_MISSING */
    uint8_t *pixels;          /* [pictures, height, width, 3], in host memory of the device */
};

/* batch, size: samples at a time, of `size` pixels a side where they stand alone (deal.h). */
struct pictures_config {
    struct picture_source source;
    struct media_options media;
    struct device *device;
    int64_t batch;
    int size, threads, rank, ranks, keep; /* keep: batches that stay valid */
    bool skips; /* samples that cannot be read are LABEL_MISSING, each with a warning; else the first one is an error */
};

struct picture_feed;
struct picture_feed *pictures_open(const struct pictures_config *config);
void pictures_close(struct picture_feed *feed); /* NULL is fine */
/* The next batch of this rank, NULL after the last; NULL with `error` when one of its samples cannot be read, or with
 * `skips` when its shard is damaged as a whole: none is replaced by another. */
const struct picture_batch *pictures_next(struct picture_feed *feed, struct error *error);

/* How they are dealt out; lives as long as the feed. */
const struct deal *pictures_deal(const struct picture_feed *feed);
int64_t pictures_room(const struct picture_feed *feed); /* pictures a sample has at most */

#endif
