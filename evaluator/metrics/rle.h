/* Run-length masks as COCO keeps them: the lengths of runs of pixels, column after column (pixel x * height + y),
 * background and object in turn, background first.
 *
 * Here every mask is whole and has one form: its runs add up to height * width, and none but the first may be 0.
 * (pycocotools' loops over runs end early, or never, where that is not so.)  Numbers come out as pycocotools 2.0.11
 * computes them. */
#ifndef EVALUATOR_METRICS_RLE_H
#define EVALUATOR_METRICS_RLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* Growing array of runs: a mask, or many one behind the other.  Zero-initialise; free with runs_free. */
struct runs {
    uint32_t *data;
    int64_t count, room;
};
void runs_free(struct runs *runs);

struct mask {
    const uint32_t *runs; /* [count], borrowed */
    int64_t count;
};
void runs_append(struct runs *out, struct mask mask); /* a copy; mask is not out's own */
/* All of runs as one mask. */
static inline struct mask mask_of(const struct runs *runs)
{
    return (struct mask){runs->data, runs->count};
}

/* Height and width are 1 .. and their product is below 2^31.  Each of these appends one mask to out, and leaves it as
 * it was where the input is no mask: then what is wrong is returned, else NULL. */

/* The count list of a file, [count]. */
const char *rle_from_counts(struct runs *out, const int64_t *counts, int64_t count, int64_t pixels);
/* The compressed string: each count from the fourth on as difference to the count two before it; 5 bits a character
 * from the lowest on, 32 more: another follows; the last one's 16 is the sign; + 48. */
const char *rle_from_string(struct runs *out, const char *text, size_t len, int64_t pixels);
/* A polygon, xy [2 * points] in pixels, by pycocotools' rasteriser: corners go to a grid five times as fine, edges are
 * walked there step by step, and where the walk passes the middle of a column, the pixels below turn over.
 * |coordinate| <= RLE_COORDINATE_MAX. */
void rle_from_polygon(struct runs *out, const double *xy, int64_t points, int64_t height, int64_t width);
enum { RLE_COORDINATE_MAX = 1000000 };

/* What is in a or b, of the same picture. */
void rle_union(struct runs *out, struct mask a, struct mask b);
void rle_to_string(struct str *out, struct mask mask);

/* Pixels of the object; of both. */
int64_t rle_area(struct mask mask);
int64_t rle_intersection(struct mask a, struct mask b);
/* x, y, width, height; four zeros for an empty mask. */
void rle_box(struct mask mask, int64_t height, double box[4]);

#endif
