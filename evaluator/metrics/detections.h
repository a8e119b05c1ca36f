/* Detections held against annotations as COCO and LVIS do it: who is matched with whom at ten overlaps, in four ranges
 * of size.  In memory; no file is known here.
 *
 * The rules (cocoeval.py of pycocotools 2.0.11, eval.py of lvis 0.5.3), for each picture and category:
 * - detections go by score, best first, those of one score in the order of the file; COCO takes the best 100, LVIS the
 *   best 300 of a picture over all categories;
 * - an annotation counts unless it is ignored (COCO: a crowd; LVIS: its "ignore") or its area is outside the range,
 *   both ends included;
 * - at each overlap, detection after detection takes the annotation that it overlaps most, of equal ones the last,
 *   among those that are free (a crowd always is) and count; where there is none, among those that do not count, and
 *   then it does not count itself;
 * - a detection without an annotation is false, but does not count when its own area is outside the range or LVIS has
 *   not marked all objects of the category in the picture.  Where LVIS knows nothing of the category there, no
 *   detection counts.
 * An annotation of id 0 is taken, but its detection counts as false: to the official evaluators 0 means "none". */
#ifndef EVALUATOR_METRICS_DETECTIONS_H
#define EVALUATOR_METRICS_DETECTIONS_H

#include "evaluator/metrics/rle.h"

enum { OVERLAPS = 10 }; /* .5, .55 .. .95: bits of a uint16_t */
/* Areas: all; up to 32^2; from there to 96^2; from there. */
enum size_range { SIZE_ALL, SIZE_SMALL, SIZE_MEDIUM, SIZE_LARGE, SIZES };

/* An annotation or a detection. */
struct object {
    double box[4];           /* x, y, width, height; where masks are scored, of the mask */
    double area, score;      /* area: as the file says */
    int64_t runs, run_count; /* its mask in detections.runs; count 0 where boxes are scored */
    int64_t pixels;          /* of the mask */
    int32_t image, category; /* places in order of ids; category -1: of none, it only takes a place among LVIS's 300 */
    bool crowd, ignored;     /* ignored: also when it is a crowd */
    bool zero;               /* of id 0 */
};
struct object_list {
    struct object *data;
    int64_t count, room;
};
struct object *objects_add(struct object_list *list); /* zeroed, valid until the next */

/* A category in a picture. */
struct category_place {
    int32_t category, image;
};
struct place_list {
    struct category_place *data; /* ascending by category, then image, after detections_sort */
    int64_t count, room;
};
void places_add(struct place_list *list, int32_t category, int32_t image);

/* What became of a detection in each range: at which overlaps it is right, at which it does not count. */
struct outcome {
    uint16_t right[SIZES], ignored[SIZES];
    int32_t rank; /* in its picture and category */
};

struct detections {
    int64_t images, categories;
    bool federated;                           /* LVIS */
    struct place_list absent, not_exhaustive; /* LVIS: known to be absent; not all objects are marked */
    struct runs runs;
    struct object_list truths, found; /* in the order of the files; by category and picture after detections_sort */
    int64_t cut;                      /* detections beyond the best 100 or 300 */
    struct outcome *outcomes;         /* [found.count] of detections_match */
};

/* By category and picture: annotations in the order of the file, detections by score, only the best of them. */
void detections_sort(struct detections *d);
/* forgive: id 0 as any other. */
void detections_match(struct detections *d, bool forgive);
void detections_free(struct detections *d);

/* Does an area lie in the range? */
bool size_holds(enum size_range range, double area);

#endif
