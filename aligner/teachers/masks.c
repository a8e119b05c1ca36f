/* The things in a picture as its data knows them: what a SAM without fault would say.
 *
 * FOLDER/KEY.png is the map of the sample whose key is KEY (data/mask.h), of the picture's size: equal numbers, one
 * thing; what is no thing (0) counts as one too.  Point k of points x points gives each cell +1 where it lies in the
 * thing of that point, -1 where not, on average.  Points of the same thing say the same, so a column stands for a
 * thing, times the root of the number of its points: cosines of rows are those of all points. */
#include <math.h>
#include <stdlib.h>

#include "aligner/teacher.h"
#include "base/memory.h"
#include "base/str.h"
#include "data/mask.h"

enum { NUMBERS = 1 << 16 }; /* that a map may hold */

struct masks {
    const char *folder;
    int64_t points; /* a side */
};

static int open(void *self, const struct pupil *pupil, const struct teacher_settings *c, struct error *error)
{
    struct masks *m = self;
    (void)pupil;
    if (!c->masks)
        return error_set(error, ERROR_USAGE,
                         "--teacher masks: give --masks, the folder of maps KEY.png of the samples");
    if (!fs_is_folder(c->masks)) return error_set(error, ERROR_FAILED, "--masks %s: no such folder", c->masks);
    *m = (struct masks){c->masks, c->points};
    return 0;
}

static int64_t columns(const void *self)
{
    const struct masks *m = self;
    return m->points * m->points;
}

/* The map of a sample, as large as its picture. */
static int read_map(const struct masks *m, const struct pupil *pupil, const struct record *r, struct mask *map,
                    struct error *error)
{
    struct image_info info;
    struct str path = {0};
    char *key = record_key(r);
    str_printf(&path, "%s/%s.png", m->folder, key);
    int rc = image_probe(r->bytes, r->len, &info, error);
    if (rc == 0) rc = mask_read(path.data, pupil->max_pixels, map, error);
    if (rc == 0 && (map->width != info.width || map->height != info.height)) {
        rc = error_set(error, ERROR_FAILED, "%s: %d x %d, its picture is %d x %d", path.data, map->width, map->height,
                       info.width, info.height);
        mask_free(map);
    }
    free(key);
    str_free(&path);
    return rc;
}

/* What is seen at place i of `count` equal parts of a side: the number there. */
static uint16_t number_at(const struct mask *map, const struct augment_view *view, int64_t x, int64_t y, int64_t count)
{
    int64_t across = view->flipped ? count - 1 - x : x;
    int64_t column = view->x + (int64_t)(((double)across + .5) * view->width / (double)count),
            row = view->y + (int64_t)(((double)y + .5) * view->height / (double)count);
    return map->pixels[row * map->width + column];
}

/* Things that have points, numbered: of [number] 1 + which it is, or 0; roots of their points. */
static int64_t find_things(const struct masks *m, const struct mask *map, const struct augment_view *view, int32_t *of,
                           float *roots)
{
    int64_t things = 0;
    for (int64_t k = 0; k < m->points * m->points; k++) {
        uint16_t number = number_at(map, view, k % m->points, k / m->points, m->points);
        if (!of[number]) {
            of[number] = (int32_t)++things;
            roots[things - 1] = 0;
        }
        roots[of[number] - 1]++;
    }
    for (int64_t k = 0; k < things; k++) roots[k] = sqrtf(roots[k]);
    return things;
}

static struct taught *rows_of(const struct masks *m, const struct pupil *p, const struct mask *map,
                              const struct augment_view *view)
{
    int32_t *of = mem_zalloc(NUMBERS, sizeof *of);
    float *roots = mem_alloc((size_t)(m->points * m->points), sizeof *roots);
    int64_t things = find_things(m, map, view, of, roots), cells = p->grid * p->grid, cell = p->size / p->grid;
    struct taught *out = mem_zalloc(sizeof *out + (size_t)(cells * things) * sizeof(float), 1);
    out->columns = things;
    for (int64_t y = 0; y < p->size; y++)
        for (int64_t x = 0; x < p->size; x++) {
            int32_t thing = of[number_at(map, view, x, y, p->size)];
            if (thing) out->rows[(y / cell * p->grid + x / cell) * things + thing - 1]++;
        }
    for (int64_t i = 0; i < cells * things; i++)
        out->rows[i] = roots[i % things] * (2 * out->rows[i] / (float)(cell * cell) - 1);
    free(of);
    free(roots);
    return out;
}

static struct taught *make(const void *self, const struct pupil *p, int64_t sample, uint64_t epoch,
                           const struct record *r, struct error *error)
{
    struct mask map;
    if (read_map(self, p, r, &map, error) < 0) return NULL;
    struct augment_view view =
        augment_view_of(map.width, map.height, p->augmentation, p->seed, epoch, (uint64_t)sample);
    struct taught *out = rows_of(self, p, &map, &view);
    mask_free(&map);
    return out;
}

const struct teacher teacher_masks = {
    .name = "masks", .bytes = sizeof(struct masks), .open = open, .columns = columns, .make = make};
