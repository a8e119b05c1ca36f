/* Items made ready ahead of the model: threads that decode what each of them shows.  What is slow is tried again after
 * the others. */
#ifndef SERVE_FEED_H
#define SERVE_FEED_H

#include "data/collection.h"

/* One item, made ready. */
struct fed {
    int64_t item;
    struct record record; /* of a sample of a data set */
    uint8_t *pixels;      /* [count, size, size, 3]; of a video its frames, of a picture thumbnail and tiles */
    double *seconds;      /* [count] of frames, or NULL */
    int count;
    bool video;
    int tried; /* times it was too slow */
    struct error error;
    struct fed *next;
};

struct feed_config {
    /* On any of the threads: fill what belongs to out->item; pixels and seconds are freed with free. */
    int (*decode)(const void *context, struct fed *out, struct error *error);
    const void *context;
    int threads;
    int attempts; /* at an item whose error is ERROR_SLOW */
};

struct feed;
struct feed *feed_open(const struct feed_config *config);
void feed_close(struct feed *feed);    /* NULL is fine */
bool feed_has_room(struct feed *feed); /* for another item */
bool feed_is_empty(struct feed *feed); /* all that was put in was taken */
void feed_put(struct feed *feed, int64_t item);
/* The next one ready, in order of completion; the caller frees with feed_free.  NULL when none is; with wait: when none
 * is under way. */
struct fed *feed_take(struct feed *feed, bool wait);
/* Decode no more: all that is in it comes out of feed_take from now on, ready or not. */
void feed_stop(struct feed *feed);
void feed_free(struct fed *fed); /* NULL is fine */

/* The items of a collection as a Perception LM takes them: decode for feed_config, with this as its context. */
struct feed_samples {
    const struct collection *data;
    struct media_options media;
    int size, tiles; /* pixels a side; tiles a picture is cut into at most, 0: the thumbnail alone */
};
int feed_sample(const void *samples, struct fed *out, struct error *error);

#endif
