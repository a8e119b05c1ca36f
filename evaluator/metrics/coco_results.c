/* Reading results. */
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "evaluator/metrics/coco_row.h"
#include "log/log.h"

enum { RESULT_SCORE = ROW_OWN };
static const char *const result_keys[] = {ROW_KEYS, "score", NULL};

struct result {
    struct row row;
    double score;
};

enum { NO_CATEGORY, AREA_ZERO, AREA_OF_BOX, FLAT, REMARKS };
static const struct remark result_remarks[REMARKS + 1] = {
    [NO_CATEGORY] = {"of no category of the truth: passed over"},
    [AREA_ZERO] = {"area 0: passed over, as by the official evaluator"},
    [AREA_OF_BOX] = {"has a bbox beside its mask, so the box's area, not the mask's, makes it small, medium or large "
                     "(APs .. ARl), as in the official evaluator; leave bbox out"},
    [FLAT] = {"empty, or flat as a line: it overlaps nothing"},
};

/* The results as a whole. */
struct results {
    const char *truth; /* the other file */
    bool boxed;        /* the first has a bbox */
    struct remark remarks[REMARKS + 1];
    struct segmentation segmentation;
};

static void read_result(struct json_reader *r, struct result *result)
{
    struct row *row = &result->row;
    reader_peek(r);
    row->start = r->at;
    for (bool more = reader_enter(r, '{'); more; more = reader_more(r, '}')) {
        int key = reader_key(r, result_keys, &row->seen);
        if (key == RESULT_SCORE)
            result->score = reader_real(r);
        else
            row_member(r, row, key);
    }
}

static void check_result(const struct coco *c, struct json_reader *r, const struct results *all, const struct row *row)
{
    row_need(r, row, ROW_IMAGE);
    row_need(r, row, ROW_CATEGORY);
    row_need(r, row, RESULT_SCORE);
    bool boxed = row_has(row, ROW_BOX), masked = row_has(row, ROW_SEGMENTATION);
    if (c->masks && !masked) row_fault(r, row, "no \"segmentation\"; boxes are scored by coco-box and lvis-box");
    if (!boxed && !masked) row_fault(r, row, "neither \"bbox\" nor \"segmentation\"");
    if (boxed != all->boxed)
        row_fault(r, row, boxed ? "has a \"bbox\", but results[0] has none" : "no \"bbox\", but results[0] has one");
    if (r->failed || coco_find_image(c, row->image) >= 0) return;
    char what[300];
    snprintf(what, sizeof what, "image %ld is not in %.200s: of another split?", (long)row->image, all->truth);
    row_fault(r, row, what);
}

/* It becomes an object. */
static void take_result(struct coco *c, struct json_reader *r, struct results *all, const struct result *result)
{
    const struct row *row = &result->row;
    struct object *object = objects_add(&c->d.found);
    object->score = result->score;
    object->area = row->box[2] * row->box[3];
    object->image = (int32_t)coco_find_image(c, row->image);
    object->category = (int32_t)coco_find_category(c, row->category);
    memcpy(object->box, row->box, sizeof object->box);
    if (object->category < 0) {
        remark_note(&all->remarks[NO_CATEGORY], row);
        return;
    }
    if (c->masks || !all->boxed) row_mask(c, r, &all->segmentation, row, object);
    if (!all->boxed) object->area = (double)object->pixels;
    if (!c->masks && !all->boxed) { /* the mask has given its box */
        c->d.runs.count = object->runs;
        object->run_count = 0;
    }
    if (c->masks && all->boxed) remark_note(&all->remarks[AREA_OF_BOX], row);
    if (row_is_flat(object)) remark_note(&all->remarks[FLAT], row);
    if (c->d.federated && !(object->area > 0)) {
        remark_note(&all->remarks[AREA_ZERO], row);
        object->category = -1;
        return;
    }
    c->images[object->image].found = true;
}

static void read_results(struct coco *c, struct json_reader *r, struct results *all)
{
    int64_t count = 0;
    for (bool more = reader_enter(r, '['); more; more = reader_more(r, ']'), count++) {
        struct result result = {{.section = "results", .keys = result_keys, .number = count}};
        read_result(r, &result);
        if (!count) all->boxed = row_has(&result.row, ROW_BOX);
        check_result(c, r, all, &result.row);
        if (r->failed) return;
        take_result(c, r, all, &result);
    }
    reader_finish(r);
    if (r->failed) return;
    remarks_say(all->remarks, r->path, "results");
    if (!count) log_warn("%s: no results", r->path);
}

int coco_parse_results(struct coco *c, const char *path, const char *truth, const char *bytes, size_t len,
                       struct error *error)
{
    struct json_reader r = reader_open(path, bytes, len, error);
    struct results all = {.truth = truth};
    memcpy(all.remarks, result_remarks, sizeof all.remarks);
    read_results(c, &r, &all);
    segmentation_free(&all.segmentation);
    reader_close(&r);
    return r.failed ? -1 : 0;
}

int coco_read_results(struct coco *c, const char *path, const char *truth, struct error *error)
{
    struct fs_map map;
    if (fs_map(path, &map, error) < 0) return -1;
    int rc = coco_parse_results(c, path, truth, (const char *)map.bytes, map.len, error);
    fs_unmap(&map);
    return rc;
}
