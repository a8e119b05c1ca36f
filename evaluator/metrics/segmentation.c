/* Polygons and runs from JSON. */
#include "evaluator/metrics/segmentation.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"

void segmentation_free(struct segmentation *s)
{
    free(s->xy);
    free(s->counts);
    runs_free(&s->next);
    runs_free(&s->both);
    *s = (struct segmentation){0};
}

static void put_real(struct segmentation *s, int64_t at, double value)
{
    if (at == s->xy_room) {
        s->xy_room = 2 * s->xy_room + 64;
        s->xy = mem_realloc(s->xy, (size_t)s->xy_room, sizeof *s->xy);
    }
    s->xy[at] = value;
}

static void put_count(struct segmentation *s, int64_t at, int64_t value)
{
    if (at == s->count_room) {
        s->count_room = 2 * s->count_room + 64;
        s->counts = mem_realloc(s->counts, (size_t)s->count_room, sizeof *s->counts);
    }
    s->counts[at] = value;
}

/* The points of a polygon. */
static int64_t read_polygon(struct segmentation *s, struct json_reader *r, bool first)
{
    int64_t count = 0;
    for (bool more = reader_enter(r, '['); more; more = reader_more(r, ']')) {
        double value = reader_real(r);
        if (fabs(value) > RLE_COORDINATE_MAX) reader_fault(r, "a polygon's coordinate is beyond a million");
        put_real(s, count++, value);
    }
    if (count % 2) reader_fault(r, "a polygon has an odd number of coordinates");
    if (count < (first ? 6 : 2)) reader_fault(r, "a polygon has less than three points: remove it");
    return count / 2;
}

static void read_polygons(struct segmentation *s, struct json_reader *r, int64_t height, int64_t width,
                          struct runs *out)
{
    int64_t first = out->count, count = 0;
    for (bool more = reader_enter(r, '['); more; more = reader_more(r, ']'), count++) {
        int64_t points = read_polygon(s, r, !count);
        if (r->failed) return;
        s->next.count = s->both.count = 0;
        rle_from_polygon(count ? &s->next : out, s->xy, points, height, width);
        if (!count) continue;
        rle_union(&s->both, (struct mask){out->data + first, out->count - first}, mask_of(&s->next));
        out->count = first;
        runs_append(out, mask_of(&s->both));
    }
    if (!count) reader_fault(r, "a segmentation without polygons");
}

/* size: [height, width] of the picture. */
static void read_size(struct json_reader *r, int64_t height, int64_t width)
{
    int64_t size[2] = {0}, count = 0;
    for (bool more = reader_enter(r, '['); more; more = reader_more(r, ']'), count++) {
        int64_t value = reader_integer(r);
        if (count < 2) size[count] = value;
    }
    if (!r->failed && (count != 2 || size[0] != height || size[1] != width))
        reader_fault(r, "a mask of size [%ld, %ld], but its picture is %ld high and %ld wide", (long)size[0],
                     (long)size[1], (long)height, (long)width);
}

static const char *read_counts(struct segmentation *s, struct json_reader *r, int64_t pixels, struct runs *out)
{
    if (reader_peek(r) == '"') {
        size_t len;
        const char *text = reader_string(r, &len);
        return rle_from_string(out, text, len, pixels);
    }
    int64_t count = 0;
    for (bool more = reader_enter(r, '['); more; more = reader_more(r, ']')) put_count(s, count++, reader_integer(r));
    return rle_from_counts(out, s->counts, count, pixels);
}

static void read_runs(struct segmentation *s, struct json_reader *r, int64_t height, int64_t width, struct runs *out)
{
    static const char *const keys[] = {"size", "counts", NULL};
    unsigned seen = 0;
    for (bool more = reader_enter(r, '{'); more; more = reader_more(r, '}')) switch (reader_key(r, keys, &seen)) {
        case 0: read_size(r, height, width); break;
        case 1: {
            const char *wrong = read_counts(s, r, height * width, out);
            if (wrong) reader_fault(r, "not a mask: %s", wrong);
            break;
        }
        default: reader_skip(r);
        }
    if (seen != 3) reader_fault(r, "a mask needs \"size\" and \"counts\"");
}

void segmentation_read(struct segmentation *s, struct json_reader *r, int64_t height, int64_t width, struct runs *out)
{
    if (reader_peek(r) == '{')
        read_runs(s, r, height, width, out);
    else
        read_polygons(s, r, height, width, out);
}
