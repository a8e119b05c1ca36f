/* COCO's and LVIS's figures for boxes and masks: those of pycocotools 2.0.11 and lvis 0.5.3.
 *
 *   AP AP50 AP75     average precision at overlaps .5, .55 .. .95; at .5; at .75; mean over categories
 *   APs APm APl      of objects with an area up to 32^2, 32^2 to 96^2, from 96^2
 *   APr APc APf      LVIS: of categories that are rare, common, frequent
 *   AR1 AR10 AR100   COCO: recall by the best 1, 10, 100 detections of a category in a picture; mean over overlaps
 *   AR               LVIS: recall by the best 300 of a picture (AR@300 in its own output)
 *   ARs ARm ARl      by 100 (COCO) or 300, of objects of a size
 *
 * Categories without an annotation that counts are left out of a mean.  Where none is left the official evaluators say
 * -1; here the figure is null, so that nobody averages it, and the log says so.  Where nothing at all counts there is
 * no result, but an error.  Units of a standard error are pictures. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "evaluator/metrics/coco_files.h"
#include "evaluator/metrics/metric.h"
#include "evaluator/metrics/precision.h"
#include "log/log.h"

enum { KEY_ROOM = 24 }; /* an id in decimal */

struct scoring {
    struct coco coco;
    struct category_score *scores; /* [categories] */
    struct curves *curves;
    char *digits, **keys; /* [images] ids as text */
};

/* --- figures --- */

enum measure { PRECISION, RECALL, RECALL_1, RECALL_10 };

struct figure {
    const char *key;
    enum measure measure;
    enum size_range range;
    int overlap;    /* its place, or ALL */
    char frequency; /* of categories, 0: all */
};
enum { ALL = -1, AT_50 = 0, AT_75 = 5 };

/* clang-format off */
static const struct figure coco_figures[] = {
    {"AP", PRECISION, SIZE_ALL, ALL},
    {"AP50", PRECISION, SIZE_ALL, AT_50},
    {"AP75", PRECISION, SIZE_ALL, AT_75},
    {"APs", PRECISION, SIZE_SMALL, ALL},
    {"APm", PRECISION, SIZE_MEDIUM, ALL},
    {"APl", PRECISION, SIZE_LARGE, ALL},
    {"AR1", RECALL_1, SIZE_ALL, ALL},
    {"AR10", RECALL_10, SIZE_ALL, ALL},
    {"AR100", RECALL, SIZE_ALL, ALL},
    {"ARs", RECALL, SIZE_SMALL, ALL},
    {"ARm", RECALL, SIZE_MEDIUM, ALL},
    {"ARl", RECALL, SIZE_LARGE, ALL},
    {0}};

static const struct figure lvis_figures[] = {
    {"AP", PRECISION, SIZE_ALL, ALL},
    {"AP50", PRECISION, SIZE_ALL, AT_50},
    {"AP75", PRECISION, SIZE_ALL, AT_75},
    {"APs", PRECISION, SIZE_SMALL, ALL},
    {"APm", PRECISION, SIZE_MEDIUM, ALL},
    {"APl", PRECISION, SIZE_LARGE, ALL},
    {"APr", PRECISION, SIZE_ALL, ALL, 'r'},
    {"APc", PRECISION, SIZE_ALL, ALL, 'c'},
    {"APf", PRECISION, SIZE_ALL, ALL, 'f'},
    {"AR", RECALL, SIZE_ALL, ALL},
    {"ARs", RECALL, SIZE_SMALL, ALL},
    {"ARm", RECALL, SIZE_MEDIUM, ALL},
    {"ARl", RECALL, SIZE_LARGE, ALL},
    {0}};
/* clang-format on */

static const double *measured(const struct category_score *score, const struct figure *f)
{
    switch (f->measure) {
    case PRECISION: return score->precision[f->range];
    case RECALL: return score->recall[f->range];
    case RECALL_1: return score->recall_best[0];
    default: return score->recall_best[1];
    }
}

/* NAN where no category has an annotation that counts. */
static double figure_value(const struct scoring *s, const struct figure *f)
{
    int first = f->overlap == ALL ? 0 : f->overlap, end = f->overlap == ALL ? OVERLAPS : first + 1;
    double sum = 0;
    int64_t count = 0;
    for (int64_t k = 0; k < s->coco.d.categories; k++) {
        const double *values = measured(&s->scores[k], f);
        if (isnan(values[0]) || (f->frequency && s->coco.categories[k].frequency != f->frequency)) continue;
        for (int t = first; t < end; t++) sum += values[t];
        count += end - first;
    }
    return count ? sum / (double)count : NAN;
}

static int put_figures(const struct scoring *s, const char *truth, json_t *figures, struct error *error)
{
    struct str none = {0};
    const struct figure *list = s->coco.d.federated ? lvis_figures : coco_figures;
    if (isnan(figure_value(s, list))) return error_set(error, ERROR_FAILED, "%s: no annotation that counts", truth);
    for (const struct figure *f = list; f->key; f++) {
        double value = figure_value(s, f);
        if (isnan(value)) str_printf(&none, "%s%s", none.len ? ", " : "", f->key);
        json_object_set_new(figures, f->key, isnan(value) ? json_null() : json_real(value));
    }
    if (none.len) log_warn("%s: no annotation counts for %s: null, -1 with the official evaluator", truth, none.data);
    str_free(&none);
    return 0;
}

/* --- what the mean does not show --- */

/* Of categories, the first as text. */
struct ids {
    int64_t count;
    struct str text;
};

static void add(struct ids *list, int64_t id)
{
    enum { SHOWN = 5 };
    if (list->count < SHOWN) str_printf(&list->text, "%s%ld", list->count ? ", " : "", (long)id);
    if (list->count++ == SHOWN) str_puts(&list->text, " ...");
}

static void say_categories(const struct scoring *s, const char *truth, const char *predictions)
{
    const struct coco *c = &s->coco;
    struct ids missed = {0}, idle = {0};
    int64_t *found = mem_zalloc((size_t)c->d.categories + 1, sizeof *found), idle_found = 0;
    for (int64_t i = 0; i < c->d.found.count; i++) found[c->d.found.data[i].category]++;
    for (int64_t k = 0; k < c->d.categories; k++) {
        bool counts = !isnan(s->scores[k].precision[SIZE_ALL][0]);
        if (counts && !found[k]) add(&missed, c->categories[k].id);
        if (counts || !found[k]) continue;
        add(&idle, c->categories[k].id);
        idle_found += found[k];
    }
    if (missed.count)
        log_warn("%s: categories with annotations but no detection: %ld (ids %s); each counts as 0", predictions,
                 (long)missed.count, missed.text.data);
    if (idle.count)
        log_warn(
            "%s: categories with detections but no annotation that counts: %ld (ids %s); they are in no mean, so %ld "
            "detections cost nothing",
            truth, (long)idle.count, idle.text.data, (long)idle_found);
    if (c->d.cut)
        log_info("%s: %ld detections beyond the best %s are not scored", predictions, (long)c->d.cut,
                 c->d.federated ? "300 of their picture" : "100 of their picture and category");
    str_free(&missed.text);
    str_free(&idle.text);
    free(found);
}

/* What the headline would be if the annotation had another id than 0. */
static void say_zero(struct scoring *s, const char *truth)
{
    struct scoring other = {.coco = s->coco};
    other.coco.d.outcomes = NULL;
    other.scores = mem_alloc((size_t)s->coco.d.categories, sizeof *other.scores);
    detections_match(&other.coco.d, true);
    precision_score(&other.coco.d, other.scores, NULL);
    log_warn("%s: with another id than 0, AP would be %.6f", truth, figure_value(&other, coco_figures));
    free(other.coco.d.outcomes);
    free(other.scores);
}

/* --- the metric --- */

static void name_units(struct scoring *s, struct metric_result *result)
{
    const struct coco *c = &s->coco;
    s->digits = mem_alloc((size_t)c->d.images, KEY_ROOM);
    s->keys = mem_alloc((size_t)c->d.images, sizeof *s->keys);
    for (int64_t i = 0; i < c->d.images; i++) {
        s->keys[i] = s->digits + i * KEY_ROOM;
        snprintf(s->keys[i], KEY_ROOM, "%ld", (long)c->images[i].id);
        result->missing += !c->images[i].found;
    }
    result->units = result->samples = c->d.images;
    result->keys = s->keys;
}

static int open_scoring(struct scoring *s, bool masks, bool federated, const char *truth, const char *predictions,
                        struct metric_result *result, struct error *error)
{
    struct coco *c = &s->coco;
    c->masks = masks;
    c->d.federated = federated;
    if (coco_read_truth(c, truth, error) < 0 || coco_read_results(c, predictions, truth, error) < 0) return -1;
    detections_sort(&c->d);
    detections_match(&c->d, false);
    s->scores = mem_alloc((size_t)c->d.categories + 1, sizeof *s->scores);
    precision_score(&c->d, s->scores, &s->curves);
    if (put_figures(s, truth, result->figures, error) < 0) return -1;
    say_categories(s, truth, predictions);
    if (c->zero) say_zero(s, truth);
    name_units(s, result);
    return 0;
}

static double resample(void *self, const int32_t *times)
{
    struct scoring *s = self;
    return curves_resample(s->curves, times);
}

static void close_scoring(void *self)
{
    struct scoring *s = self;
    curves_close(s->curves);
    coco_free(&s->coco);
    free(s->scores);
    free(s->digits);
    free(s->keys);
}

static int open_coco_box(void *self, const char *truth, const char *predictions, struct metric_result *result,
                         struct error *error)
{
    return open_scoring(self, false, false, truth, predictions, result, error);
}

static int open_coco_mask(void *self, const char *truth, const char *predictions, struct metric_result *result,
                          struct error *error)
{
    return open_scoring(self, true, false, truth, predictions, result, error);
}

static int open_lvis_box(void *self, const char *truth, const char *predictions, struct metric_result *result,
                         struct error *error)
{
    return open_scoring(self, false, true, truth, predictions, result, error);
}

static int open_lvis_mask(void *self, const char *truth, const char *predictions, struct metric_result *result,
                          struct error *error)
{
    return open_scoring(self, true, true, truth, predictions, result, error);
}

#define METRIC(name, summary, open) \
    (struct metric) \
    { \
        name, summary, "AP", NULL, sizeof(struct scoring), open, resample, close_scoring \
    }
const struct metric metric_coco_box = METRIC("coco-box", "boxes as COCO scores them", open_coco_box);
const struct metric metric_coco_mask = METRIC("coco-mask", "masks as COCO scores them", open_coco_mask);
const struct metric metric_lvis_box = METRIC("lvis-box", "boxes as LVIS scores them", open_lvis_box);
const struct metric metric_lvis_mask = METRIC("lvis-mask", "masks as LVIS scores them", open_lvis_mask);
