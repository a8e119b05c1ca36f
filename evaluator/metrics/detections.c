/* Sorting and matching. */
#include "evaluator/metrics/detections.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"

/* numpy.linspace(.5, .95, 10) */
static const double overlaps[OVERLAPS] = {.5, .55, .6, .65, .7, .75, .8, .85, 0.8999999999999999, .95};
enum { BEST_OF_CATEGORY = 100, BEST_OF_IMAGE = 300 };

bool size_holds(enum size_range range, double area)
{
    static const double low[SIZES] = {0, 0, 32 * 32, 96 * 96}, high[SIZES] = {1e10, 32 * 32, 96 * 96, 1e10};
    return area >= low[range] && area <= high[range];
}

struct object *objects_add(struct object_list *list)
{
    if (list->count == list->room) {
        list->room = 2 * list->room + 1024;
        list->data = mem_realloc(list->data, (size_t)list->room, sizeof *list->data);
    }
    list->data[list->count] = (struct object){0};
    return &list->data[list->count++];
}

void places_add(struct place_list *list, int32_t category, int32_t image)
{
    if (list->count == list->room) {
        list->room = 2 * list->room + 1024;
        list->data = mem_realloc(list->data, (size_t)list->room, sizeof *list->data);
    }
    list->data[list->count++] = (struct category_place){category, image};
}

void detections_free(struct detections *d)
{
    free(d->absent.data);
    free(d->not_exhaustive.data);
    free(d->truths.data);
    free(d->found.data);
    free(d->outcomes);
    runs_free(&d->runs);
    *d = (struct detections){0};
}

/* --- order --- */

/* An object's number in the file with what it is sorted by. */
struct entry {
    double score;
    int32_t number, image, category;
};

static int by_score(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return (x->number > y->number) - (x->number < y->number);
}

/* Counting sort, stable, by image or category below `bound`. */
static void sort_rows(struct entry **rows, struct entry **scratch, int64_t count, int64_t bound, bool by_category)
{
    int64_t *starts = mem_zalloc((size_t)bound + 1, sizeof *starts);
    struct entry *from = *rows, *to = *scratch;
    for (int64_t i = 0; i < count; i++) starts[(by_category ? from[i].category : from[i].image) + 1]++;
    for (int64_t k = 0; k < bound; k++) starts[k + 1] += starts[k];
    for (int64_t i = 0; i < count; i++) to[starts[by_category ? from[i].category : from[i].image]++] = from[i];
    *rows = to;
    *scratch = from;
    free(starts);
}

/* Rows of each picture by score, at most `best` of it, and of those the ones of a category.  How many stay. */
static int64_t rank_images(struct entry *rows, int64_t count, int64_t best, int64_t *cut)
{
    int64_t kept = 0;
    for (int64_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && rows[end].image == rows[i].image;) end++;
        qsort(rows + i, (size_t)(end - i), sizeof *rows, by_score);
        int64_t last = end - i < best ? end : i + best;
        for (int64_t k = i; k < last; k++)
            if (rows[k].category >= 0) rows[kept++] = rows[k];
        *cut += end - last;
    }
    return kept;
}

/* At most `best` rows of each category and picture stay. */
static int64_t cut_categories(struct entry *rows, int64_t count, int64_t best, int64_t *cut)
{
    int64_t kept = 0, rank = 0;
    int32_t category = -1, image = -1;
    for (int64_t i = 0; i < count; i++) {
        rank = rows[i].category == category && rows[i].image == image ? rank + 1 : 0;
        category = rows[i].category;
        image = rows[i].image;
        if (rank < best) rows[kept++] = rows[i];
    }
    *cut += count - kept;
    return kept;
}

static void sort_objects(struct object_list *list, const struct detections *d, bool ranked, int64_t *cut)
{
    int64_t count = list->count;
    CHECK(count <= INT32_MAX, "%ld objects", (long)count);
    struct entry *rows = mem_alloc((size_t)count + 1, sizeof *rows),
                 *other = mem_alloc((size_t)count + 1, sizeof *other);
    for (int64_t i = 0; i < count; i++)
        rows[i] = (struct entry){list->data[i].score, (int32_t)i, list->data[i].image, list->data[i].category};
    sort_rows(&rows, &other, count, d->images, false);
    if (ranked) count = rank_images(rows, count, d->federated ? BEST_OF_IMAGE : INT64_MAX, cut);
    sort_rows(&rows, &other, count, d->categories, true);
    if (ranked && !d->federated) count = cut_categories(rows, count, BEST_OF_CATEGORY, cut);
    struct object *sorted = mem_alloc((size_t)count + 1, sizeof *sorted);
    for (int64_t i = 0; i < count; i++) sorted[i] = list->data[rows[i].number];
    free(list->data);
    free(rows);
    free(other);
    *list = (struct object_list){sorted, count, count + 1};
}

static int by_place(const void *a, const void *b)
{
    const struct category_place *x = a, *y = b;
    if (x->category != y->category) return x->category < y->category ? -1 : 1;
    return (x->image > y->image) - (x->image < y->image);
}

void detections_sort(struct detections *d)
{
    sort_objects(&d->truths, d, false, &d->cut);
    sort_objects(&d->found, d, true, &d->cut);
    if (d->absent.count) qsort(d->absent.data, (size_t)d->absent.count, sizeof *d->absent.data, by_place);
    if (d->not_exhaustive.count)
        qsort(d->not_exhaustive.data, (size_t)d->not_exhaustive.count, sizeof *d->not_exhaustive.data, by_place);
}

static bool is_among(const struct place_list *list, struct category_place place)
{
    return list->count && bsearch(&place, list->data, (size_t)list->count, sizeof place, by_place);
}

/* --- matching --- */

/* The detections and annotations of a category in a picture. */
struct group {
    const struct detections *d;
    const struct object *truths, *found;
    struct outcome *outcomes;
    int64_t truth_count, found_count;
    bool unknown, partial; /* LVIS: nothing is known of the category here; not all is marked */
    bool forgive;
};

static double least(double a, double b)
{
    return a < b ? a : b;
}

static double most(double a, double b)
{
    return a > b ? a : b;
}

/* Of a detection with an annotation: the part of both that they share; of the detection where the other is a crowd. */
static double overlap(const struct detections *d, const struct object *found, const struct object *truth)
{
    const double *a = found->box, *b = truth->box;
    double w = least(a[2] + a[0], b[2] + b[0]) - most(a[0], b[0]);
    double h = least(a[3] + a[1], b[3] + b[1]) - most(a[1], b[1]);
    if (w <= 0 || h <= 0) return 0;
    if (!found->run_count) {
        double own = a[2] * a[3], both = w * h;
        return both / (truth->crowd ? own : own + b[2] * b[3] - both);
    }
    int64_t both = rle_intersection((struct mask){d->runs.data + found->runs, found->run_count},
                                    (struct mask){d->runs.data + truth->runs, truth->run_count});
    int64_t whole = truth->crowd ? found->pixels : found->pixels + truth->pixels - both;
    return both ? (double)both / (double)whole : 0;
}

/* What is left of a group while it is matched. */
struct matching {
    double *overlaps; /* [truths] of one detection */
    int32_t *near;    /* [truths] those it overlaps enough for the least threshold */
    uint16_t *taken;  /* [truths][SIZES] at which overlaps */
    int64_t room;
};

static void matching_room(struct matching *m, int64_t truths)
{
    if (truths > m->room) {
        m->room = 2 * truths;
        m->overlaps = mem_realloc(m->overlaps, (size_t)m->room, sizeof *m->overlaps);
        m->near = mem_realloc(m->near, (size_t)m->room, sizeof *m->near);
        m->taken = mem_realloc(m->taken, (size_t)m->room * SIZES, sizeof *m->taken);
    }
    if (truths) memset(m->taken, 0, (size_t)truths * SIZES * sizeof *m->taken);
}

/* The best free annotation at overlap t of those that count in the range (or that do not), -1: none. */
static int64_t best_of(const struct group *g, const struct matching *m, int64_t near, enum size_range range, int t,
                       bool counting)
{
    double reached = overlaps[t];
    int64_t best = -1;
    for (int64_t i = 0; i < near; i++) {
        int64_t k = m->near[i];
        const struct object *truth = &g->truths[k];
        if (counting == (truth->ignored || !size_holds(range, truth->area))) continue;
        if (m->taken[k * SIZES + range] >> t & 1 && !truth->crowd) continue;
        if (m->overlaps[k] < reached) continue;
        reached = m->overlaps[k];
        best = k;
    }
    return best;
}

/* Does detection i find something at overlap t? */
static void match_at(const struct group *g, struct matching *m, int64_t i, int64_t near, enum size_range range, int t)
{
    struct outcome *out = &g->outcomes[i];
    uint16_t bit = (uint16_t)(1 << t);
    int64_t counting = best_of(g, m, near, range, t, true);
    int64_t best = counting >= 0 ? counting : best_of(g, m, near, range, t, false);
    if (best < 0) return;
    m->taken[best * SIZES + range] |= bit;
    if (counting < 0)
        out->ignored[range] |= bit;
    else if (!g->truths[best].zero || g->forgive)
        out->right[range] |= bit;
}

static void match_one(const struct group *g, struct matching *m, int64_t i)
{
    const uint16_t all = (1 << OVERLAPS) - 1;
    struct outcome *out = &g->outcomes[i];
    int64_t near = 0;
    double best = 0;
    for (int64_t k = 0; k < g->truth_count; k++) {
        m->overlaps[k] = overlap(g->d, &g->found[i], &g->truths[k]);
        if (m->overlaps[k] >= overlaps[0]) m->near[near++] = (int32_t)k;
        best = most(best, m->overlaps[k]);
    }
    for (int range = 0; range < SIZES; range++) {
        for (int t = 0; t < OVERLAPS && overlaps[t] <= best; t++) match_at(g, m, i, near, range, t);
        if (g->partial || !size_holds(range, g->found[i].area)) out->ignored[range] |= all & ~out->right[range];
        if (g->unknown) out->ignored[range] = all;
    }
}

void detections_match(struct detections *d, bool forgive)
{
    struct matching m = {0};
    const struct object *truth = d->truths.data, *truths_end = truth + d->truths.count;
    const struct object *found = d->found.data, *found_end = found + d->found.count;
    free(d->outcomes);
    d->outcomes = mem_zalloc((size_t)d->found.count + 1, sizeof *d->outcomes);
    while (found < found_end) {
        struct category_place at = {found->category, found->image};
        struct group g = {
            .d = d, .found = found, .outcomes = d->outcomes + (found - d->found.data), .forgive = forgive};
        for (; found < found_end && found->category == at.category && found->image == at.image; found++)
            g.outcomes[g.found_count].rank = (int32_t)g.found_count, g.found_count++;
        while (truth < truths_end &&
               (truth->category < at.category || (truth->category == at.category && truth->image < at.image)))
            truth++;
        g.truths = truth;
        for (; truth < truths_end && truth->category == at.category && truth->image == at.image; truth++)
            g.truth_count++;
        g.unknown = d->federated && !g.truth_count && !is_among(&d->absent, at);
        g.partial = d->federated && is_among(&d->not_exhaustive, at);
        matching_room(&m, g.truth_count);
        for (int64_t i = 0; i < g.found_count; i++) match_one(&g, &m, i);
    }
    free(m.overlaps);
    free(m.near);
    free(m.taken);
}
