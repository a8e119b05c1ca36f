/* COCO's and LVIS's figures are the official evaluators', and a resample is what its pictures would score
 * (test/golden/coco/, made by scripts/reference/coco.py). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/rng.h"
#include "evaluator/metrics/metric.h"
#include "evaluator/metrics/segmentation.h"
#include "test/harness.h"

static const char folder[] = "test/golden/coco";

static const struct metric *metric_of(const char *name)
{
    for (int i = 0; metric_list[i]; i++)
        if (!strcmp(metric_list[i]->name, name)) return metric_list[i];
    EXPECT(false, "no metric %s", name);
    return NULL;
}

struct opened {
    const struct metric *metric;
    void *self;
    struct metric_result result;
    bool ok;
};

static struct opened open_files(const char *name, const char *truth, const char *predictions)
{
    const struct metric *metric = metric_of(name);
    struct opened o = {metric, mem_zalloc(1, metric->bytes), {.figures = json_object()}, false};
    struct error error = {0};
    o.ok = metric->open(o.self, truth, predictions, &o.result, &error) == 0;
    EXPECT(o.ok, "%s of %s: %s", name, truth, error.text);
    return o;
}

static void close_files(struct opened *o)
{
    o->metric->close(o->self);
    json_decref(o->result.figures);
    free(o->self);
}

static struct opened open_case(const char *metric, const char *name)
{
    char truth[128], results[128];
    snprintf(truth, sizeof truth, "%s/%s-truth.json", folder, name);
    snprintf(results, sizeof results, "%s/%s-results.json", folder, name);
    return open_files(metric, truth, results);
}

/* The same keys in the same order, each within 1e-12; null is -1. */
static void compare(const char *name, const char *metric, json_t *official, json_t *ours)
{
    const char *key;
    json_t *value;
    void *at = json_object_iter(ours);
    json_object_foreach (official, key, value) {
        EXPECT(at && !strcmp(json_object_iter_key(at), key), "%s %s: no %s", name, metric, key);
        if (!at) return;
        json_t *figure = json_object_iter_value(at);
        double got = json_is_null(figure) ? -1 : json_real_value(figure);
        EXPECT(fabs(got - json_real_value(value)) <= 1e-12, "%s %s %s: %.17g, official %.17g", name, metric, key, got,
               json_real_value(value));
        at = json_object_iter_next(ours, at);
    }
    EXPECT(!at, "%s %s: more figures than %zu", name, metric, json_object_size(official));
}

static void official_figures(void)
{
    struct error error = {0};
    char path[128];
    snprintf(path, sizeof path, "%s/cases.json", folder);
    json_t *cases = json_read(path, &error), *metrics, *figures;
    EXPECT(json_object_size(cases) > 10, "%s", error.text);
    const char *name, *metric;
    json_object_foreach (cases, name, metrics)
        json_object_foreach (metrics, metric, figures) {
            struct opened o = open_case(metric, name);
            if (o.ok) compare(name, metric, figures, o.result.figures);
            if (o.ok) EXPECT(o.result.units == o.result.samples && o.result.missing < o.result.samples, "counts");
            close_files(&o);
        }
    json_decref(cases);
}

/* --- resamples --- */

/* The rows of `list` whose key is an image's id, once for each time the image is drawn, with the copy's id. */
static json_t *drawn(const json_t *list, const char *key, const struct opened *o, const int32_t *times)
{
    json_t *out = json_array(), *row;
    size_t i;
    for (int64_t image = 0; image < o->result.units; image++)
        for (int copy = 0; copy < times[image]; copy++)
            json_array_foreach (list, i, row) {
                if (json_integer_value(json_object_get(row, key)) != atoll(o->result.keys[image])) continue;
                json_t *other = json_copy(row);
                if (json_object_get(row, "area"))
                    json_object_set_new(other, "id", json_integer((int)json_array_size(out) + 1));
                json_object_set_new(other, key, json_integer(100 * image + copy));
                json_array_append_new(out, other);
            }
    return out;
}

/* The headline of files in which image i is times[i] times. */
static double headline_of_copies(const char *metric, const char *name, const struct opened *o, const int32_t *times)
{
    struct error error = {0};
    char path[128];
    snprintf(path, sizeof path, "%s/%s-truth.json", folder, name);
    json_t *truth = json_read(path, &error);
    snprintf(path, sizeof path, "%s/%s-results.json", folder, name);
    json_t *results = json_read(path, &error), *copies = drawn(results, "image_id", o, times);
    json_object_set_new(truth, "images", drawn(json_object_get(truth, "images"), "id", o, times));
    json_object_set_new(truth, "annotations", drawn(json_object_get(truth, "annotations"), "image_id", o, times));
    char *a = fs_join(test_folder(), "truth.json"), *b = fs_join(test_folder(), "results.json");
    EXPECT(json_write(a, truth, &error) == 0 && json_write(b, copies, &error) == 0, "%s", error.text);
    struct opened again = open_files(metric, a, b);
    double headline = json_real_value(json_object_get(again.result.figures, "AP"));
    close_files(&again);
    free(a);
    free(b);
    json_decref(truth);
    json_decref(results);
    json_decref(copies);
    return headline;
}

static void resamples_are_copies(void)
{
    const char *const cases[][2] = {{"coco-box", "box"},
                                    {"coco-mask", "mask"},
                                    {"coco-box", "crowded"},
                                    {"lvis-box", "lvis"},
                                    {"lvis-box", "lviscut"}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct opened o = open_case(cases[c][0], cases[c][1]);
        int32_t times[64];
        for (int i = 0; i < o.result.units; i++) times[i] = 1;
        double whole = o.metric->resample(o.self, times),
               headline = json_real_value(json_object_get(o.result.figures, "AP"));
        EXPECT(whole == headline, "%s: all once %.17g, AP %.17g", cases[c][1], whole, headline);
        for (uint64_t draw = 0; draw < 5; draw++) {
            struct rng rng = rng_open(draw, RNG_TEST, c, 0);
            memset(times, 0, sizeof times);
            for (int i = 0; i < o.result.units; i++) times[rng_below(&rng, (uint64_t)o.result.units)]++;
            double quick = o.metric->resample(o.self, times);
            if (isnan(quick)) continue;
            double slow = headline_of_copies(cases[c][0], cases[c][1], &o, times);
            EXPECT(fabs(quick - slow) <= 1e-12, "%s, draw %d: %.17g, copies %.17g", cases[c][1], (int)draw, quick,
                   slow);
        }
        memset(times, 0, sizeof times);
        EXPECT(isnan(o.metric->resample(o.self, times)), "%s: a figure of nothing", cases[c][1]);
        close_files(&o);
    }
}

/* --- masks --- */

/* What the reader makes of a mask's segmentation, as the official string. */
static void check_mask(size_t number, const json_t *segmentation, const json_t *official)
{
    struct error error = {0};
    json_int_t height = 0, width = 0;
    const char *counts = "";
    json_unpack((json_t *)(uintptr_t)official, "{s:[I, I], s:s}", "size", &height, &width, "counts", &counts);
    char *text = json_dumps(segmentation, JSON_REAL_PRECISION(17));
    struct json_reader r = reader_open("mask", text, strlen(text), &error);
    struct segmentation s = {0};
    struct runs runs = {0};
    struct str again = {0};
    segmentation_read(&s, &r, height, width, &runs);
    EXPECT(!r.failed, "%zu: %s", number, error.text);
    rle_to_string(&again, mask_of(&runs));
    EXPECT(!strcmp(again.data, counts), "%zu: %s, official %s", number, again.data, counts);
    str_free(&again);
    runs_free(&runs);
    segmentation_free(&s);
    reader_close(&r);
    free(text);
}

static void official_masks(void)
{
    struct error error = {0};
    json_t *masks = json_read("test/golden/coco/polygons.json", &error), *mask;
    EXPECT(json_array_size(masks) > 10, "%s", error.text);
    size_t i;
    json_array_foreach (masks, i, mask) {
        check_mask(i, json_object_get(mask, "polygons"), mask);
        check_mask(i, mask, mask);
    }
    json_decref(masks);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"official_figures", official_figures},
                                     {"resamples_are_copies", resamples_are_copies},
                                     {"official_masks", official_masks},
                                     {0}});
}
