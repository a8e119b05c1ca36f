/* The files of COCO and LVIS: annotations as instances_val2017.json and lvis_v1_val.json have them, results as the
 * servers take them.
 *
 * Annotations are one object with
 *
 *   images       id; for masks height, width; LVIS: neg_category_ids, not_exhaustive_category_ids
 *   categories   id; LVIS: frequency "r", "c" or "f"
 *   annotations  id, image_id, category_id, area; for boxes bbox [x, y, width, height]; for masks segmentation;
 *                COCO: iscrowd, LVIS: ignore where it is there
 *
 * and results an array of image_id, category_id, score, and bbox or segmentation or both; other members are passed
 * over.  A segmentation is a list of polygons [x, y, x, y ...], or { size: [height, width], counts } with counts a
 * compressed string or a list.
 *
 * As in the official evaluators the first result says what all are: where it has a bbox, the area that gives an
 * unmatched detection its size is the box's, also when masks are scored; where it has none, areas and boxes are those
 * of the masks.
 *
 * An error that names the place is what the official evaluators would stop at, or take for something else than it is:
 * an id twice, a picture that is not there, a member missing, results of two kinds, a first polygon of two points
 * (to them a box), a mask that does not fit its picture.  What they pass over, or count otherwise than one would think,
 * is counted as they do, and the log says where and how often. */
#ifndef EVALUATOR_METRICS_COCO_FILES_H
#define EVALUATOR_METRICS_COCO_FILES_H

#include "base/error.h"
#include "evaluator/metrics/detections.h"

struct coco_image {
    int64_t id, height, width; /* sizes: 0 where the file does not say */
    bool found;                /* has a detection */
};

struct coco_category {
    int64_t id;
    char frequency; /* LVIS: r, c, f */
};

struct coco {
    bool masks; /* these are scored, not boxes; d.federated: by LVIS's rules */
    struct detections d;
    struct coco_image *images;        /* [d.images] ascending by id, as categories */
    struct coco_category *categories; /* [d.categories] */
    bool zero;                        /* an annotation has id 0 */
};

/* In this order, into what is zeroed but for masks and d.federated; coco_free also when they failed.  truth: path of
 * the first, for the errors of the second. */
int coco_read_truth(struct coco *coco, const char *path, struct error *error);
int coco_read_results(struct coco *coco, const char *path, const char *truth, struct error *error);
/* The same from memory. */
int coco_parse_truth(struct coco *coco, const char *path, const char *bytes, size_t len, struct error *error);
int coco_parse_results(struct coco *coco, const char *path, const char *truth, const char *bytes, size_t len,
                       struct error *error);
void coco_free(struct coco *coco);

/* The place of an image or category, -1: it is none. */
int64_t coco_find_image(const struct coco *coco, int64_t id);
int64_t coco_find_category(const struct coco *coco, int64_t id);

#endif
