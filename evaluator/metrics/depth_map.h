/* A map of depth in metres, as files hold it: 16-bit grey PNG, or .npy in metres. */
#ifndef EVALUATOR_METRICS_DEPTH_MAP_H
#define EVALUATOR_METRICS_DEPTH_MAP_H

#include <stdint.h>

#include "base/error.h"

struct depth_map {
    int64_t height, width;
    double *metres; /* [height, width], the caller's to free() */
};

/* scale: a metre in .png.  Errors name the file: palette indices, another shape, a number that is none. */
int depth_map_read(const char *path, double scale, struct depth_map *map, struct error *error);
/* Bilinear: pixel centres, edges repeated, no antialiasing (align_corners false). */
struct depth_map depth_map_resized(const struct depth_map *map, int64_t height, int64_t width);

#endif
