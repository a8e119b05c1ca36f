/* Targets of cells, and boxes from what cells say. */
#include "nn/cells.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static const float radius = 1.5f, nearest = 4, farthest = 8, area_most = 1e8f;

int64_t cells_levels(struct extent size, int64_t patch, struct cell_level levels[PYRAMID_LEVELS])
{
    struct extent grids[PYRAMID_LEVELS];
    int64_t cells = 0;
    pyramid_extents(extent_grid(size, patch), grids);
    for (int i = 0; i < PYRAMID_LEVELS; i++) {
        struct extent step = {size.height / grids[i].height, size.width / grids[i].width};
        levels[i] = (struct cell_level){grids[i], step, cells, (float)((patch << i) / 2)};
        cells += extent_area(grids[i]);
    }
    return cells;
}

/* --- targets --- */

static float smaller(float a, float b)
{
    return a < b ? a : b;
}

static float larger(float a, float b)
{
    return a > b ? a : b;
}

static void measure(const struct box *box, float x, float y, float distances[4])
{
    distances[0] = x - box->edges[0];
    distances[1] = y - box->edges[1];
    distances[2] = box->edges[2] - x;
    distances[3] = box->edges[3] - y;
}

/* May the cell at (x, y) of this level find the box? */
static bool may_find(const struct box *box, float x, float y, float side, bool first, bool last)
{
    float d[4], middle_x = (box->edges[0] + box->edges[2]) / 2, middle_y = (box->edges[1] + box->edges[3]) / 2;
    measure(box, x, y, d);
    float least = smaller(smaller(d[0], d[1]), smaller(d[2], d[3])),
          most = larger(larger(d[0], d[1]), larger(d[2], d[3]));
    return larger(fabsf(x - middle_x), fabsf(y - middle_y)) < radius * side && least > 0 &&
           most > (first ? 0 : nearest * side) && (last || most < farthest * side);
}

static int32_t choose(const struct box *boxes, int64_t count, float x, float y, float side, bool first, bool last)
{
    float best = 1e-5f;
    int32_t chosen = -1;
    for (int64_t i = 0; i < count; i++) {
        const float *e = boxes[i].edges;
        float value = area_most - (e[2] - e[0]) * (e[3] - e[1]);
        bool better = chosen < 0 ? value >= best : value > best;
        if (!better || !may_find(&boxes[i], x, y, side, first, last)) continue;
        best = value;
        chosen = (int32_t)i;
    }
    return chosen;
}

/* sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b)) */
static float centreness_of(const float d[4])
{
    return sqrtf(smaller(d[0], d[2]) / larger(d[0], d[2]) * (smaller(d[1], d[3]) / larger(d[1], d[3])));
}

void cells_targets(const struct cell_level levels[PYRAMID_LEVELS], const struct box *found, int64_t count,
                   int32_t *boxes, int32_t *classes, float *distances, float *centreness)
{
    for (int i = 0; i < PYRAMID_LEVELS; i++) {
        const struct cell_level *l = &levels[i];
        for (int64_t k = 0; k < extent_area(l->grid); k++) {
            float x = (float)(k % l->grid.width * l->step.width), y = (float)(k / l->grid.width * l->step.height);
            int32_t box = choose(found, count, x, y, l->side, i == 0, i == PYRAMID_LEVELS - 1);
            int64_t at = l->first + k;
            if (boxes) boxes[at] = box;
            classes[at] = box < 0 ? -1 : found[box].class;
            centreness[at] = -1;
            memset(distances + 4 * at, 0, 4 * sizeof *distances);
            if (box < 0) continue;
            measure(&found[box], x, y, distances + 4 * at);
            centreness[at] = centreness_of(distances + 4 * at);
        }
    }
}

/* --- finding --- */

struct candidate {
    struct found_box found;
    int64_t place; /* in order of levels, cells and classes */
};
struct candidates {
    struct candidate *data;
    int64_t count, room;
};

static float logistic(float x)
{
    return 1 / (1 + expf(-x));
}

static int by_score(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->found.score != y->found.score) return x->found.score < y->found.score ? 1 : -1;
    return (x->place > y->place) - (x->place < y->place);
}

static struct box box_of(const struct cell_level *l, struct extent size, int64_t cell, const float *distances)
{
    float at[2] = {(float)(cell % l->grid.width * l->step.width), (float)(cell / l->grid.width * l->step.height)};
    float most[2] = {(float)size.width, (float)size.height};
    struct box box;
    for (int i = 0; i < 4; i++) {
        float edge = i < 2 ? at[i % 2] - distances[i] * l->side : at[i % 2] + distances[i] * l->side;
        box.edges[i] = smaller(larger(edge, 0), most[i % 2]);
    }
    return box;
}

/* The best of a level, behind those that are there; -1: not finite. */
static int add_level(struct candidates *list, const struct cell_level *l, struct extent size,
                     const struct cell_outputs *out, int64_t classes, const struct found_rules *rules)
{
    int64_t first = list->count;
    for (int64_t cell = 0; cell < extent_area(l->grid); cell++) {
        float centre = logistic(out->centreness[cell]);
        for (int64_t k = 0; k < classes; k++) {
            float score = sqrtf(logistic(out->logits[cell * classes + k]) * centre);
            if (!isfinite(score)) return -1;
            if (!((double)score > rules->threshold)) continue;
            if (list->count == list->room)
                list->data = mem_realloc(list->data, (size_t)(list->room = 2 * list->room + 1024), sizeof *list->data);
            list->data[list->count++] =
                (struct candidate){{{.class = (int32_t)k}, score}, (l->first + cell) * classes + k};
        }
    }
    if (list->count == first) return 0;
    qsort(list->data + first, (size_t)(list->count - first), sizeof *list->data, by_score);
    if (list->count - first > rules->level_most) list->count = first + rules->level_most;
    for (int64_t i = first; i < list->count; i++) {
        struct candidate *c = &list->data[i];
        int64_t cell = c->place / classes - l->first;
        const float *d = out->distances + 4 * cell;
        if (!isfinite(d[0] + d[1] + d[2] + d[3])) return -1;
        c->found.box = box_of(l, size, cell, d);
        c->found.box.class = (int32_t)(c->place % classes);
    }
    return 0;
}

static float overlap_of(const struct box *a, const struct box *b)
{
    const float *x = a->edges, *y = b->edges;
    float width = larger(0, smaller(x[2], y[2]) - larger(x[0], y[0])),
          height = larger(0, smaller(x[3], y[3]) - larger(x[1], y[1])), inter = width * height;
    return inter / ((x[2] - x[0]) * (x[3] - x[1]) + (y[2] - y[0]) * (y[3] - y[1]) - inter);
}

/* Does a better one of its class overlap it too much? */
static bool hidden(const struct box *box, const struct found_box *found, int64_t count, double most)
{
    for (int64_t i = 0; i < count; i++)
        if (found[i].box.class == box->class && (double)overlap_of(&found[i].box, box) > most) return true;
    return false;
}

int64_t cells_find(const struct cell_level levels[PYRAMID_LEVELS], struct extent size,
                   const struct cell_outputs outputs[PYRAMID_LEVELS], int64_t classes, const struct found_rules *rules,
                   struct found_box *found)
{
    struct candidates list = {0};
    int64_t count = 0;
    int rc = 0;
    for (int i = 0; i < PYRAMID_LEVELS && rc == 0; i++)
        rc = add_level(&list, &levels[i], size, &outputs[i], classes, rules);
    if (rc == 0 && list.count) qsort(list.data, (size_t)list.count, sizeof *list.data, by_score);
    for (int64_t i = 0; i < list.count && count < rules->most && rc == 0; i++)
        if (!hidden(&list.data[i].found.box, found, count, rules->overlap)) found[count++] = list.data[i].found;
    free(list.data);
    return rc < 0 ? -1 : count;
}
