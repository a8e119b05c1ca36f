/* Reading annotations. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "evaluator/metrics/coco_row.h"

void coco_free(struct coco *c)
{
    detections_free(&c->d);
    free(c->images);
    free(c->categories);
    *c = (struct coco){0};
}

/* --- ids --- */

/* Of an image or category, which begin with it. */
static int64_t id_of(const void *row)
{
    int64_t id;
    memcpy(&id, row, sizeof id);
    return id;
}

static int by_id(const void *a, const void *b)
{
    int64_t x = id_of(a), y = id_of(b);
    return (x > y) - (x < y);
}

static int64_t find(const char *rows, size_t size, int64_t count, int64_t id)
{
    int64_t low = 0, high = count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (id_of(rows + (size_t)middle * size) < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && id_of(rows + (size_t)low * size) == id ? low : -1;
}

int64_t coco_find_image(const struct coco *c, int64_t id)
{
    return find((const char *)c->images, sizeof *c->images, c->d.images, id);
}

int64_t coco_find_category(const struct coco *c, int64_t id)
{
    return find((const char *)c->categories, sizeof *c->categories, c->d.categories, id);
}

/* Sorts rows by id.  The official evaluators keep the last of those that share one. */
static void sort_ids(struct json_reader *r, void *rows, size_t size, int64_t count, const char *section)
{
    if (r->failed || !count) return;
    qsort(rows, (size_t)count, size, by_id);
    const char *row = rows;
    for (int64_t i = 1; i < count; i++, row += size)
        if (!by_id(row, row + size)) reader_fault(r, "%s: id %ld is there twice", section, (long)id_of(row));
}

/* --- images and categories --- */

enum { SECTION_IMAGES, SECTION_CATEGORIES, SECTION_ANNOTATIONS, SECTIONS };
static const char *const section_names[] = {"images", "categories", "annotations", NULL};

static void read_images(struct coco *c, struct json_reader *r)
{
    static const char *const keys[] = {"id", "height", "width", NULL};
    int64_t room = 0;
    for (bool more = reader_enter(r, '['); more; more = reader_more(r, ']')) {
        struct coco_image image = {0};
        unsigned seen = 0;
        for (bool member = reader_enter(r, '{'); member; member = reader_more(r, '}'))
            switch (reader_key(r, keys, &seen)) {
            case 0: image.id = reader_integer(r); break;
            case 1: image.height = reader_integer(r); break;
            case 2: image.width = reader_integer(r); break;
            default: reader_skip(r);
            }
        if (!(seen & 1)) reader_fault(r, "images[%ld]: no \"id\"", (long)c->d.images);
        if (c->d.images == room) c->images = mem_realloc(c->images, (size_t)(room = 2 * room + 1024), sizeof image);
        c->images[c->d.images++] = image;
    }
    sort_ids(r, c->images, sizeof *c->images, c->d.images, "images");
}

/* 0: none of LVIS's three. */
static char read_frequency(struct json_reader *r)
{
    size_t len = 0;
    const char *text = "";
    if (reader_peek(r) == '"')
        text = reader_string(r, &len);
    else
        reader_skip(r);
    return len == 1 && strchr("rcf", *text) ? *text : 0;
}

static void read_categories(struct coco *c, struct json_reader *r)
{
    static const char *const keys[] = {"id", "frequency", NULL};
    int64_t room = 0;
    for (bool more = reader_enter(r, '['); more; more = reader_more(r, ']')) {
        struct coco_category category = {0};
        unsigned seen = 0;
        for (bool member = reader_enter(r, '{'); member; member = reader_more(r, '}'))
            switch (reader_key(r, keys, &seen)) {
            case 0: category.id = reader_integer(r); break;
            case 1: category.frequency = read_frequency(r); break;
            default: reader_skip(r);
            }
        if (!(seen & 1)) reader_fault(r, "categories[%ld]: no \"id\"", (long)c->d.categories);
        if (c->d.federated && !category.frequency)
            reader_fault(r, "categories[%ld]: no \"frequency\" r, c or f, which LVIS has", (long)c->d.categories);
        if (c->d.categories == room)
            c->categories = mem_realloc(c->categories, (size_t)(room = 2 * room + 128), sizeof category);
        c->categories[c->d.categories++] = category;
    }
    sort_ids(r, c->categories, sizeof *c->categories, c->d.categories, "categories");
}

/* A list of category ids of an image. */
static void read_places(struct coco *c, struct json_reader *r, int64_t image, struct place_list *list)
{
    for (bool more = reader_enter(r, '['); more; more = reader_more(r, ']')) {
        int64_t category = coco_find_category(c, reader_integer(r));
        if (category >= 0) places_add(list, (int32_t)category, (int32_t)image);
    }
}

/* What LVIS says of each image. */
static void read_federation(struct coco *c, struct json_reader *r)
{
    static const char *const keys[] = {"id", "neg_category_ids", "not_exhaustive_category_ids", NULL};
    int64_t number = 0;
    for (bool more = reader_enter(r, '['); more; more = reader_more(r, ']'), number++) {
        int64_t image = 0;
        unsigned seen = 0;
        const char *at[3] = {NULL};
        for (bool member = reader_enter(r, '{'); member; member = reader_more(r, '}')) {
            int key = reader_key(r, keys, &seen);
            if (key >= 0) at[key] = r->at;
            if (key == 0)
                image = coco_find_image(c, reader_integer(r));
            else
                reader_skip(r);
        }
        if (seen != 7) reader_fault(r, "images[%ld]: no \"%s\", which LVIS has", (long)number, keys[seen & 2 ? 2 : 1]);
        if (r->failed) return;
        const char *after = r->at;
        r->at = at[1];
        read_places(c, r, image, &c->d.absent);
        r->at = r->failed ? r->end : at[2];
        read_places(c, r, image, &c->d.not_exhaustive);
        r->at = r->failed ? r->end : after;
    }
}

/* --- annotations --- */

enum { TRUTH_ID = ROW_OWN, TRUTH_AREA, TRUTH_CROWD, TRUTH_IGNORE };
static const char *const truth_keys[] = {ROW_KEYS, "id", "area", "iscrowd", "ignore", NULL};

struct annotation {
    struct row row;
    int64_t id;
    double area;
    bool crowd, ignore;
};

enum { NO_IMAGE, NO_CATEGORY, ID_ZERO, AREA_ZERO, AREA_OF_BOX, IGNORE_ALONE, FLAT, REMARKS };
static const struct remark truth_remarks[REMARKS + 1] = {
    [NO_IMAGE] = {"of no image of the file: passed over"},
    [NO_CATEGORY] = {"of no category of the file: passed over"},
    [ID_ZERO] = {"id 0 stands for \"none\" in the official evaluator, which counts a detection of it as false; so do "
                 "these figures; number annotations from 1"},
    [AREA_ZERO] = {"area 0: passed over, as by the official evaluator"},
    [AREA_OF_BOX] =
        {"has a mask, but the area of its box: small, medium and large (APs .. ARl) go by \"area\", which is "
         "the mask's where figures are published"},
    [IGNORE_ALONE] = {"\"ignore\" without \"iscrowd\" is passed over, as by the official evaluator"},
    [FLAT] = {"empty, or flat as a line: nothing overlaps it, so it counts as missed"},
};

static void read_annotation(struct json_reader *r, struct annotation *a)
{
    struct row *row = &a->row;
    reader_peek(r);
    row->start = r->at;
    for (bool more = reader_enter(r, '{'); more; more = reader_more(r, '}')) {
        int key = reader_key(r, truth_keys, &row->seen);
        switch (key) {
        case TRUTH_ID: a->id = reader_integer(r); break;
        case TRUTH_AREA: a->area = reader_real(r); break;
        case TRUTH_CROWD: a->crowd = reader_flag(r); break;
        case TRUTH_IGNORE: a->ignore = reader_flag(r); break;
        default: row_member(r, row, key);
        }
    }
}

static void check_annotation(const struct coco *c, struct json_reader *r, const struct annotation *a)
{
    row_need(r, &a->row, TRUTH_ID);
    row_need(r, &a->row, ROW_IMAGE);
    row_need(r, &a->row, ROW_CATEGORY);
    row_need(r, &a->row, c->masks ? ROW_SEGMENTATION : ROW_BOX);
    row_need(r, &a->row, TRUTH_AREA);
    if (!c->d.federated) row_need(r, &a->row, TRUTH_CROWD);
    if (a->area < 0) row_fault(r, &a->row, "a negative area");
}

/* It becomes an object, or is passed over. */
static void take_annotation(struct coco *c, struct json_reader *r, struct segmentation *s, const struct annotation *a,
                            struct remark *remarks)
{
    const struct row *row = &a->row;
    int64_t image = coco_find_image(c, row->image), category = coco_find_category(c, row->category);
    bool lvis = c->d.federated, crowd = a->crowd && !lvis;
    struct remark *passed = image < 0              ? &remarks[NO_IMAGE]
                            : category < 0         ? &remarks[NO_CATEGORY]
                            : lvis && a->area == 0 ? &remarks[AREA_ZERO]
                                                   : NULL;
    if (passed) {
        remark_note(passed, row);
        return;
    }
    struct object *object = objects_add(&c->d.truths);
    object->area = a->area;
    object->image = (int32_t)image;
    object->category = (int32_t)category;
    object->crowd = crowd;
    object->ignored = lvis ? a->ignore : crowd;
    object->zero = !a->id;
    memcpy(object->box, row->box, sizeof object->box);
    if (c->masks) row_mask(c, r, s, row, object);
    if (object->zero) remark_note(&remarks[ID_ZERO], row), c->zero = true;
    bool boxed = row->shaped && row_has(row, ROW_BOX) && a->area == row->box[2] * row->box[3];
    if (boxed && !crowd && (!c->masks || (double)object->pixels < 0.95 * a->area))
        remark_note(&remarks[AREA_OF_BOX], row);
    if (a->ignore && !crowd && !lvis) remark_note(&remarks[IGNORE_ALONE], row);
    if (row_is_flat(object)) remark_note(&remarks[FLAT], row);
}

static void read_annotations(struct coco *c, struct json_reader *r)
{
    struct segmentation s = {0};
    struct remark remarks[REMARKS + 1];
    memcpy(remarks, truth_remarks, sizeof remarks);
    int64_t count = 0, room = 0, *ids = NULL;
    for (bool more = reader_enter(r, '['); more; more = reader_more(r, ']')) {
        struct annotation a = {{.section = section_names[SECTION_ANNOTATIONS], .keys = truth_keys, .number = count}};
        read_annotation(r, &a);
        check_annotation(c, r, &a);
        if (r->failed) break;
        take_annotation(c, r, &s, &a, remarks);
        if (count == room) ids = mem_realloc(ids, (size_t)(room = 2 * room + 1024), sizeof *ids);
        ids[count++] = a.id;
    }
    sort_ids(r, ids, sizeof *ids, count, section_names[SECTION_ANNOTATIONS]);
    if (!r->failed) remarks_say(remarks, r->path, section_names[SECTION_ANNOTATIONS]);
    segmentation_free(&s);
    free(ids);
}

/* --- the file --- */

static void read_truth(struct coco *c, struct json_reader *r)
{
    const char *at[SECTIONS] = {NULL};
    unsigned seen = 0;
    for (bool more = reader_enter(r, '{'); more; more = reader_more(r, '}')) {
        int section = reader_key(r, section_names, &seen);
        if (section >= 0) at[section] = r->at;
        reader_skip(r);
    }
    reader_finish(r);
    for (int i = 0; i < SECTIONS; i++)
        if (!at[i]) reader_fault(r, "no \"%s\": this is no file of annotations", section_names[i]);
    if (r->failed) return;
    r->at = at[SECTION_IMAGES];
    read_images(c, r);
    if (!r->failed) r->at = at[SECTION_CATEGORIES];
    read_categories(c, r);
    if (!r->failed) r->at = at[SECTION_IMAGES];
    if (c->d.federated) read_federation(c, r);
    if (!r->failed) r->at = at[SECTION_ANNOTATIONS];
    read_annotations(c, r);
}

int coco_parse_truth(struct coco *c, const char *path, const char *bytes, size_t len, struct error *error)
{
    struct json_reader r = reader_open(path, bytes, len, error);
    read_truth(c, &r);
    reader_close(&r);
    return r.failed ? -1 : 0;
}

int coco_read_truth(struct coco *c, const char *path, struct error *error)
{
    struct fs_map map;
    if (fs_map(path, &map, error) < 0) return -1;
    int rc = coco_parse_truth(c, path, (const char *)map.bytes, map.len, error);
    fs_unmap(&map);
    return rc;
}
