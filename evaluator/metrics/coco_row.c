/* Rows and remarks. */
#include "evaluator/metrics/coco_row.h"

#include <stdio.h>

#include "log/log.h"

static void read_box(struct json_reader *r, struct row *row)
{
    int count = 0;
    for (bool more = reader_enter(r, '['); more; more = reader_more(r, ']'), count++) {
        double value = reader_real(r);
        if (count < 4) row->box[count] = value;
    }
    if (!count)
        row->seen &= ~(1u << ROW_BOX);
    else if (count != 4)
        reader_fault(r, "a bbox has four numbers: x, y, width, height");
}

void row_member(struct json_reader *r, struct row *row, int key)
{
    switch (key) {
    case ROW_IMAGE: row->image = reader_integer(r); break;
    case ROW_CATEGORY: row->category = reader_integer(r); break;
    case ROW_BOX: read_box(r, row); break;
    case ROW_SEGMENTATION:
        row->shaped = reader_peek(r) == '{';
        row->segmentation = r->at;
        if (reader_skip(r) > 10) row->shaped = true;
        break;
    default: reader_skip(r);
    }
}

void row_fault(struct json_reader *r, const struct row *row, const char *what)
{
    if (r->failed) return;
    r->at = row->start;
    reader_fault(r, "%s[%ld]: %s", row->section, (long)row->number, what);
}

void row_need(struct json_reader *r, const struct row *row, int key)
{
    char what[64];
    if (row_has(row, key)) return;
    snprintf(what, sizeof what, "no \"%s\"", row->keys[key]);
    row_fault(r, row, what);
}

void row_mask(struct coco *c, struct json_reader *r, struct segmentation *s, const struct row *row,
              struct object *object)
{
    const struct coco_image *image = &c->images[object->image];
    if (image->height < 1 || image->width < 1 || image->height > INT32_MAX / image->width)
        row_fault(r, row, "a mask, but its image has no \"height\" and \"width\" (up to 2^31 pixels)");
    if (r->failed) return;
    const char *after = r->at;
    object->runs = c->d.runs.count;
    r->at = row->segmentation;
    segmentation_read(s, r, image->height, image->width, &c->d.runs);
    if (r->failed) return;
    r->at = after;
    object->run_count = c->d.runs.count - object->runs;
    struct mask mask = {c->d.runs.data + object->runs, object->run_count};
    object->pixels = rle_area(mask);
    rle_box(mask, image->height, object->box);
}

bool row_is_flat(const struct object *object)
{
    return object->box[2] <= 0 || object->box[3] <= 0;
}

void remark_note(struct remark *remark, const struct row *row)
{
    if (!remark->count++) remark->first = row->number;
}

void remarks_say(const struct remark *remarks, const char *path, const char *section)
{
    for (; remarks->text; remarks++) {
        if (!remarks->count) continue;
        char more[40] = "";
        if (remarks->count > 1) snprintf(more, sizeof more, " and %ld more", (long)remarks->count - 1);
        log_warn("%s: %s[%ld]%s: %s", path, section, (long)remarks->first, more, remarks->text);
    }
}
