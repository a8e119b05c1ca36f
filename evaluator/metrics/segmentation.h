/* A segmentation as the files of COCO and LVIS hold it, into runs. */
#ifndef EVALUATOR_METRICS_SEGMENTATION_H
#define EVALUATOR_METRICS_SEGMENTATION_H

#include "evaluator/metrics/json_reader.h"
#include "evaluator/metrics/rle.h"

/* Memory that is used again from one to the next; zero-initialise. */
struct segmentation {
    double *xy;
    int64_t *counts;
    int64_t xy_room, count_room;
    struct runs next, both; /* a polygon; it and those before it */
};
void segmentation_free(struct segmentation *s);

/* Appends to out the mask whose value stands at the reader: polygons, all of which belong to the object, or
 * { size, counts }.  What is none, or of another size than the picture, is a fault. */
void segmentation_read(struct segmentation *s, struct json_reader *r, int64_t height, int64_t width, struct runs *out);

#endif
