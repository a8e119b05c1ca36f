/* Precision-recall curves, kept as the few places where they change.
 *
 * A curve's precision is best just where a detection is right, so those places are all it needs; how many detections
 * came before is looked up in sums that the ten overlaps of a category share. */
#include "evaluator/metrics/precision.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { RECALLS = 101 };

/* A detection that is right, or that does not count at this overlap though it does at others. */
struct event {
    int32_t at; /* its place among the detections of the curve's category */
    int32_t image;
    bool right;
};

/* A category in a range of size. */
struct curve {
    int64_t count;
    int32_t *images; /* [count] of the detections that count at some overlap, by score */
    struct event *events[OVERLAPS];
    int64_t event_counts[OVERLAPS];
    int64_t truth_count;    /* pictures with annotations that count */
    struct counted *truths; /* [truth_count] */
};
struct counted {
    int32_t image, count;
};

struct scratch {
    int64_t *before; /* [count + 1] detections before each place */
    double *precision;
    int64_t *right; /* [events] after each */
};

struct curves {
    int64_t categories;
    struct curve *of; /* [categories] */
    struct scratch scratch;
};

static void scratch_free(struct scratch *s)
{
    free(s->before);
    free(s->precision);
    free(s->right);
}

static struct scratch scratch_make(int64_t found)
{
    size_t room = (size_t)found + 1;
    return (struct scratch){mem_alloc(room, sizeof(int64_t)), mem_alloc(room, sizeof(double)),
                            mem_alloc(room, sizeof(int64_t))};
}

static void curve_free(struct curve *c)
{
    for (int t = 0; t < OVERLAPS; t++) free(c->events[t]);
    free(c->images);
    free(c->truths);
}

/* --- a curve's figures --- */

/* How many annotations each of the recalls takes, at least 1. */
static void count_recalls(int64_t truths, int64_t needed[RECALLS])
{
    for (int r = 0; r < RECALLS; r++) {
        double recall = r * 0.01;
        int64_t k = (int64_t)(recall * (double)truths);
        while (k > 1 && (double)(k - 1) / (double)truths >= recall) k--;
        while (k < 1 || (double)k / (double)truths < recall) k++;
        needed[r] = k;
    }
}

static double average_precision(const struct event *events, int64_t count, const int32_t *times, struct scratch *s,
                                const int64_t needed[RECALLS])
{
    int64_t right = 0, ignored = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t weight = times ? times[events[i].image] : 1;
        if (events[i].right)
            right += weight;
        else
            ignored += weight;
        s->right[i] = right;
        s->precision[i] = (double)right / ((double)(s->before[events[i].at + 1] - ignored) + DBL_EPSILON);
    }
    double sum = 0, best = 0;
    int r = RECALLS - 1;
    while (r >= 0 && needed[r] > right) r--;
    for (int64_t i = count - 1; i >= 0 && r >= 0; i--) {
        int64_t before = i ? s->right[i - 1] : 0;
        if (s->right[i] == before) continue;
        if (s->precision[i] > best) best = s->precision[i];
        for (; r >= 0 && needed[r] > before; r--) sum += best;
    }
    return sum / RECALLS;
}

/* The average precision at each overlap; false where no annotation counts. */
static bool curve_precision(const struct curve *c, const int32_t *times, struct scratch *s, double out[OVERLAPS])
{
    int64_t truths = 0, needed[RECALLS];
    for (int64_t i = 0; i < c->truth_count; i++)
        truths += c->truths[i].count * (int64_t)(times ? times[c->truths[i].image] : 1);
    if (!truths) return false;
    count_recalls(truths, needed);
    s->before[0] = 0;
    for (int64_t i = 0; i < c->count; i++) s->before[i + 1] = s->before[i] + (times ? times[c->images[i]] : 1);
    for (int t = 0; t < OVERLAPS; t++) out[t] = average_precision(c->events[t], c->event_counts[t], times, s, needed);
    return true;
}

/* --- making curves --- */

/* A detection of a category. */
struct ranked {
    double score;
    int64_t place; /* in detections.found */
};

static int by_score(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return (x->place > y->place) - (x->place < y->place);
}

/* The detections or annotations of a category, which stand together. */
struct span {
    int64_t first, end;
};

static struct span span_after(struct span before, const struct object_list *list, int64_t category)
{
    struct span s = {before.end, before.end};
    while (s.end < list->count && list->data[s.end].category == category) s.end++;
    return s;
}

static void count_truths(struct curve *c, const struct detections *d, struct span truths, enum size_range range)
{
    c->truths = mem_alloc((size_t)(truths.end - truths.first) + 1, sizeof *c->truths);
    for (int64_t i = truths.first; i < truths.end; i++) {
        const struct object *truth = &d->truths.data[i];
        if (truth->ignored || !size_holds(range, truth->area)) continue;
        if (!c->truth_count || c->truths[c->truth_count - 1].image != truth->image)
            c->truths[c->truth_count++] = (struct counted){truth->image, 0};
        c->truths[c->truth_count - 1].count++;
    }
}

static struct curve curve_make(const struct detections *d, struct span truths, const struct ranked *ranked,
                               int64_t count, enum size_range range)
{
    const uint16_t all = (1 << OVERLAPS) - 1;
    struct curve c = {.images = mem_alloc((size_t)count + 1, sizeof *c.images)};
    count_truths(&c, d, truths, range);
    for (int t = 0; t < OVERLAPS; t++) {
        int64_t events = 0;
        for (int64_t i = 0; i < count; i++) {
            const struct outcome *o = &d->outcomes[ranked[i].place];
            if (o->ignored[range] == all) continue;
            events += (o->right[range] | o->ignored[range]) >> t & 1;
        }
        c.events[t] = mem_alloc((size_t)events + 1, sizeof *c.events[t]);
    }
    for (int64_t i = 0; i < count; i++) {
        const struct outcome *o = &d->outcomes[ranked[i].place];
        if (o->ignored[range] == all) continue;
        int32_t image = d->found.data[ranked[i].place].image;
        for (int t = 0; t < OVERLAPS; t++)
            if ((o->right[range] | o->ignored[range]) >> t & 1)
                c.events[t][c.event_counts[t]++] = (struct event){(int32_t)c.count, image, o->right[range] >> t & 1};
        c.images[c.count++] = image;
    }
    return c;
}

/* Shares of the annotations that detections of a rank below `best` find. */
static void curve_recall(const struct curve *c, const struct detections *d, const struct ranked *ranked, int64_t count,
                         enum size_range range, int32_t best, double out[OVERLAPS])
{
    int64_t truths = 0, right[OVERLAPS] = {0};
    for (int64_t i = 0; i < c->truth_count; i++) truths += c->truths[i].count;
    for (int64_t i = 0; i < count; i++) {
        const struct outcome *o = &d->outcomes[ranked[i].place];
        for (int t = 0; o->right[range] && o->rank < best && t < OVERLAPS; t++) right[t] += o->right[range] >> t & 1;
    }
    for (int t = 0; t < OVERLAPS; t++) out[t] = truths ? (double)right[t] / (double)truths : NAN;
}

/* The category's figures; its curve of all sizes is the caller's. */
static struct curve score_category(const struct detections *d, struct span truths, struct span found,
                                   struct ranked *ranked, struct scratch *s, struct category_score *score)
{
    static const int32_t best[] = {1, 10};
    struct curve whole = {0};
    int64_t count = found.end - found.first;
    for (int64_t i = 0; i < count; i++)
        ranked[i] = (struct ranked){d->found.data[found.first + i].score, found.first + i};
    qsort(ranked, (size_t)count, sizeof *ranked, by_score);
    for (int range = 0; range < SIZES; range++) {
        struct curve c = curve_make(d, truths, ranked, count, range);
        for (int t = 0; t < OVERLAPS; t++) score->precision[range][t] = NAN;
        curve_precision(&c, NULL, s, score->precision[range]);
        curve_recall(&c, d, ranked, count, range, INT32_MAX, score->recall[range]);
        for (int k = 0; range == SIZE_ALL && k < 2; k++)
            curve_recall(&c, d, ranked, count, range, best[k], score->recall_best[k]);
        if (range == SIZE_ALL)
            whole = c;
        else
            curve_free(&c);
    }
    return whole;
}

void precision_score(const struct detections *d, struct category_score *scores, struct curves **curves)
{
    struct curves *all = mem_zalloc(1, sizeof *all);
    *all = (struct curves){d->categories, mem_zalloc((size_t)d->categories + 1, sizeof *all->of),
                           scratch_make(d->found.count)};
    struct ranked *ranked = mem_alloc((size_t)d->found.count + 1, sizeof *ranked);
    struct span truths = {0}, found = {0};
    for (int64_t k = 0; k < d->categories; k++) {
        truths = span_after(truths, &d->truths, k);
        found = span_after(found, &d->found, k);
        all->of[k] = score_category(d, truths, found, ranked, &all->scratch, &scores[k]);
    }
    free(ranked);
    if (curves)
        *curves = all;
    else
        curves_close(all);
}

/* --- resamples --- */

double curves_resample(struct curves *curves, const int32_t *times)
{
    double sum = 0;
    int64_t count = 0;
    for (int64_t k = 0; k < curves->categories; k++) {
        double precision[OVERLAPS];
        if (!curve_precision(&curves->of[k], times, &curves->scratch, precision)) continue;
        for (int t = 0; t < OVERLAPS; t++) sum += precision[t];
        count += OVERLAPS;
    }
    return count ? sum / (double)count : NAN;
}

void curves_close(struct curves *curves)
{
    if (!curves) return;
    for (int64_t k = 0; k < curves->categories; k++) curve_free(&curves->of[k]);
    free(curves->of);
    scratch_free(&curves->scratch);
    free(curves);
}
