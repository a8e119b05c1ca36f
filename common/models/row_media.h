/* What a row of JSON shows:
 *
 *   {"image": PATH}                                    thumbnail and tiles
 *   {"images": [PATH, ...]}                            several: a thumbnail each
 *   {"video": PATH, "start_time": s, "end_time": s}    frames spread over it, or over that part of it; PATH may be a
 *                                                      folder of its frames, in byte order of their names, then whole
 *
 * Paths that are not absolute begin at `root`. */
#ifndef MODELS_ROW_MEDIA_H
#define MODELS_ROW_MEDIA_H

#include <jansson.h>

#include "data/media.h"

struct row_media {
    uint8_t *pixels; /* [count, size, size, 3], the caller's to free; NULL: the row shows nothing */
    int count;
    bool video;
    int width, height; /* of the first picture as stored */
};

/* tiles: beside the thumbnail of a single picture, at most.  Errors name the path.  Any number of threads at once. */
int row_media_read(struct row_media *media, const json_t *row, const char *root, const struct media_options *options,
                   int size, int tiles, struct error *error);

#endif
