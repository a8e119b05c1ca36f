/* Samples decoded ahead of the model: threads that turn records into tiles. */
#ifndef CAPTIONER_FEED_H
#define CAPTIONER_FEED_H

#include "data/loader.h"

struct feed_config {
    const struct collection *data;
    struct media_options media;
    int size, tiles;  /* pixels a side; tiles a picture is cut into at most, 0: the thumbnail alone */
    int threads, ahead;
    int attempts;     /* at an item that takes longer than its limit: the others come first */
};

/* One sample, made ready. */
struct fed {
    int64_t item;
    struct record record;
    uint8_t *pixels;  /* [count, size, size, 3]; of a video its frames, of a picture thumbnail and tiles */
    double *seconds;  /* [count] of frames */
    int count;
    int tried;        /* times it was too slow */
    struct error error;
    struct fed *next;
};

struct feed;
struct feed *feed_open(const struct feed_config *config);
void feed_close(struct feed *feed);
int feed_room(struct feed *feed);               /* items that may still be put in */
void feed_put(struct feed *feed, int64_t item);
/* The next one ready, in order of completion; the caller frees with feed_free.  NULL when none is; with wait: when none is under way. */
struct fed *feed_take(struct feed *feed, bool wait);
void feed_free(struct fed *fed);

#endif
