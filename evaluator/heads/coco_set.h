/* Pictures with boxes in COCO's layout: a file of annotations, and the folder its pictures lie in.
 *
 *   FOLDER/annotations/instances_train2017.json   pictures in FOLDER/train2017
 *   FOLDER/annotations/instances_val2017.json     pictures in FOLDER/val2017
 *
 * It is named by the file, or by FOLDER: then its one instances_train*.json is for learning, its one
 * instances_val*.json to be examined on.  Categories are numbered in order of their ids, whatever gaps these have. */
#ifndef EVALUATOR_HEADS_COCO_SET_H
#define EVALUATOR_HEADS_COCO_SET_H

#include "evaluator/metrics/coco_files.h"

struct coco_set {
    char *path, *folder; /* of the annotations; of the pictures */
    struct coco coco;    /* coco.d.truths in the order of the file */
    char **files;        /* [images] below the folder */
    char **names;        /* [categories] */
    int64_t *starts;     /* [images + 1] into */
    int32_t *order;      /* [truths] objects by image, those of one in the order of the file */
    uint64_t checksum;   /* of the annotations */
};

/* split: "train" or "val".  pictures: their folder, NULL: where the layout says.  Close it whether or not it fails. */
int coco_set_open(struct coco_set *set, const char *path, const char *pictures, const char *split, struct error *error);
void coco_set_close(struct coco_set *set);

/* Every category of `set` must be one of `names`, under the same name. */
int coco_set_same(const struct coco_set *set, const struct coco_set *names, struct error *error);

#endif
