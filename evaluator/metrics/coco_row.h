/* What annotations and results have in common: ids, a box, a mask; and remarks about rows that are scored otherwise
 * than one would think. */
#ifndef EVALUATOR_METRICS_COCO_ROW_H
#define EVALUATOR_METRICS_COCO_ROW_H

#include "evaluator/metrics/coco_files.h"
#include "evaluator/metrics/segmentation.h"

/* Both lists of keys begin with these. */
enum { ROW_IMAGE, ROW_CATEGORY, ROW_BOX, ROW_SEGMENTATION, ROW_OWN };
#define ROW_KEYS "image_id", "category_id", "bbox", "segmentation"

struct row {
    const char *section, *const *keys; /* "annotations": what faults name it by */
    int64_t number;
    const char *start, *segmentation; /* where they stand in the file */
    unsigned seen;                    /* 1 << key; a box of no numbers is not seen */
    int64_t image, category;          /* ids */
    double box[4];
    bool shaped; /* its segmentation is runs, or more points than a closed rectangle has */
};

/* The value of one of these keys; any other is skipped. */
void row_member(struct json_reader *r, struct row *row, int key);
static inline bool row_has(const struct row *row, int key)
{
    return row->seen >> key & 1;
}
void row_need(struct json_reader *r, const struct row *row, int key);
/* A fault of the row as a whole. */
void row_fault(struct json_reader *r, const struct row *row, const char *what);

/* The row's mask, now that its picture (object->image) is known: runs, pixels and box of the object. */
void row_mask(struct coco *coco, struct json_reader *r, struct segmentation *s, const struct row *row,
              struct object *object);

/* Nothing overlaps it. */
bool row_is_flat(const struct object *object);

struct remark {
    const char *text; /* NULL ends a list */
    int64_t count, first;
};
void remark_note(struct remark *remark, const struct row *row);
/* A warning for each that was noted: file, first row, how many more. */
void remarks_say(const struct remark *remarks, const char *path, const char *section);

#endif
