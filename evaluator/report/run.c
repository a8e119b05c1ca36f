/* A run: curves of its metrics, and its settings. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/memory.h"
#include "evaluator/report/chart.h"
#include "evaluator/report/figures.h"
#include "evaluator/report/html.h"
#include "evaluator/report/report.h"
#include "serve/rows.h"

/* What is drawn: charts, each of the keys that the run has. */
static const struct {
    const char *title;
    bool percent;
    struct {
        const char *split, *key, *name;
    } lines[6];
} charts[] = {
    {"Loss",
     false,
     {{"train", "loss", "training"}, {"val", "loss", "validation"}, {"val", "clip_val_loss", "validation"}}},
    {"Loss by its parts",
     false,
     {{"train", "core_loss", "cosine to the frozen encoder"},
      {"train", "local_loss", "difference from the teacher's cosines"}}},
    {"Right answers",
     true,
     {{"train", "accuracy", "in a training batch"},
      {"val", "image_to_text_R@1", "picture to text"},
      {"val", "text_to_image_R@1", "text to picture"},
      {"val", "accuracy", "validation"},
      {"val", "acc1", "classes named"},
      {"val", "zeroshot_acc1", "classes named"}}},
    {"Learning rate", false, {{"train", "lr", ""}}},
    {"Samples a second", false, {{"train", "samples_per_second", ""}}},
    {"Pixels a side", false, {{"train", "image_size", ""}}},
};
enum { CHARTS = sizeof charts / sizeof *charts, LINES = 6 };

struct run {
    json_t *rows, *config;
    struct series lines[CHARTS][LINES];
};

static int take(void *context, json_t *row, struct error *error)
{
    struct run *r = context;
    double step = number_of(row, "step");
    if (!isfinite(step)) return error_set(error, ERROR_FAILED, "a row without \"step\": no metrics of a run");
    for (int c = 0; c < CHARTS; c++)
        for (int i = 0; i < LINES && charts[c].lines[i].key; i++) {
            double value = number_of(row, charts[c].lines[i].key);
            if (isfinite(value) && !strcmp(text_of(row, "split"), charts[c].lines[i].split))
                series_add(&r->lines[c][i], step, value);
        }
    json_array_append(r->rows, row);
    return 0;
}

static void put_chart(struct str *out, const struct run *r, int number)
{
    struct series shown[LINES];
    struct chart chart = {charts[number].title, "steps", charts[number].percent, shown, 0};
    bool moves = false;
    for (int i = 0; i < LINES && charts[number].lines[i].key; i++) {
        const struct series *s = &r->lines[number][i];
        if (s->count < 2) continue;
        for (int64_t k = 0; k < s->count; k++) moves |= s->y[k] != s->y[0];
        shown[chart.count] = *s;
        shown[chart.count++].name = (char *)(uintptr_t)charts[number].lines[i].name;
    }
    if (chart.count && moves) chart_put(out, &chart);
}

/* --- facts --- */

static void put_value(struct str *out, const json_t *value)
{
    size_t i;
    const json_t *item;
    if (json_is_string(value)) {
        html_text(out, json_string_value(value));
    } else if (json_is_array(value)) {
        json_array_foreach (value, i, item) {
            if (i) str_puts(out, ", ");
            put_value(out, item);
        }
    } else {
        char *line = json_line(value);
        html_text(out, line);
        free(line);
    }
}

/* The last row of training; NULL: there is none. */
static const json_t *last_of(const json_t *rows)
{
    for (size_t i = json_array_size(rows); i-- > 0;)
        if (!strcmp(text_of(json_array_get(rows, i), "split"), "train")) return json_array_get(rows, i);
    return NULL;
}

static void put_when(struct str *out, double seconds)
{
    time_t when = (time_t)seconds;
    struct tm utc;
    char text[32];
    gmtime_r(&when, &utc);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M", &utc);
    str_puts(out, text);
}

static bool is_set(const json_t *value)
{
    return value && !json_is_null(value) && !(json_is_array(value) && !json_array_size(value)) &&
           !(json_is_string(value) && !*json_string_value(value));
}

static void put_facts(struct str *out, const struct run *r)
{
    static const char *const keys[][2] = {{"model", "model"},
                                          {"pretrained", "begun from"},
                                          {"weights", "encoder"},
                                          {"core-layer", "layer that teaches"},
                                          {"teacher", "teacher of places"},
                                          {"train-data", "trained on"},
                                          {"val-data", "examined on"},
                                          {"data", "examined on"},
                                          {"global-batch-size", "samples a step"},
                                          {"opt", "optimiser"},
                                          {"lr", "learning rate"},
                                          {"resolution-schedule", "resolution: share"},
                                          {"precision", "precision"}};
    const json_t *last = last_of(r->rows);
    str_puts(out, "<div class=\"facts\"><h3>How</h3><dl>\n");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *value = json_object_get(r->config, keys[i][0]);
        if (!is_set(value)) continue;
        html_put(out, "<dt>", keys[i][1], "</dt><dd>");
        put_value(out, value);
        str_puts(out, "</dd>\n");
    }
    if (last && isfinite(number_of(last, "peak_memory")))
        str_printf(out, "<dt>memory of a rank</dt><dd>%.0f MB</dd>\n", number_of(last, "peak_memory") / 1e6);
    str_puts(out, "</dl></div>\n");
}

static void put_settings(struct str *out, const struct run *r)
{
    if (!r->config) return;
    const char *key;
    json_t *value;
    str_puts(out, "<details><summary>All settings</summary><dl>\n");
    json_object_foreach (r->config, key, value) {
        if (!is_set(value)) continue;
        html_put(out, "<dt>", key, "</dt><dd>");
        put_value(out, value);
        str_puts(out, "</dd>\n");
    }
    str_puts(out, "</dl></details>\n");
}

/* "644 steps, 82432 samples, in 37m51s, begun 2026-11-25 07:46 UTC; the loss went from 5.18 to 1.90." */
static void put_sentence(struct str *out, const struct run *r)
{
    const json_t *first = json_array_get(r->rows, 0), *last = last_of(r->rows);
    const struct series *loss = &r->lines[0][0];
    char lasted[32];
    str_puts(out, "<p>");
    if (last) {
        double begun = number_of(first, "time") - fmax(number_of(first, "batch_time"), 0);
        str_printf(out, "%.0f steps", number_of(last, "step"));
        if (isfinite(number_of(last, "samples_seen")))
            str_printf(out, ", %.0f samples seen", number_of(last, "samples_seen"));
        if (isfinite(begun) && isfinite(number_of(last, "time"))) {
            clock_duration(number_of(last, "time") - begun, lasted);
            str_printf(out, ", in %s, begun ", lasted);
            put_when(out, begun);
            str_puts(out, " UTC");
        }
        str_puts(out, ". ");
    }
    if (loss->count > 1) str_printf(out, "The loss went from %.3g to %.3g.", loss->y[0], loss->y[loss->count - 1]);
    str_puts(out, "</p>\n");
}

int report_run(struct str *out, const char *folder, struct error *error)
{
    struct run r = {.rows = json_array()};
    char *metrics = fs_join(folder, "metrics.jsonl"), *config = fs_join(folder, "config.json"), *name = fs_last(folder);
    int rc = rows_each(metrics, take, &r, error);
    if (rc == 0 && !json_array_size(r.rows)) rc = error_set(error, ERROR_FAILED, "%s: no rows yet", metrics);
    if (rc == 0 && fs_exists(config)) rc = (r.config = json_read(config, error)) ? 0 : -1;
    if (rc == 0) {
        html_put(out, "<section>\n<h2>The run ", name, "</h2>\n");
        put_sentence(out, &r);
        str_puts(out, "<div class=\"plots\">\n");
        for (int c = 0; c < CHARTS; c++) put_chart(out, &r, c);
        put_facts(out, &r);
        str_puts(out, "</div>\n");
        put_settings(out, &r);
        str_puts(out, "</section>\n");
    }
    for (int c = 0; c < CHARTS; c++)
        for (int i = 0; i < LINES; i++) series_free(&r.lines[c][i]);
    json_decref(r.rows);
    json_decref(r.config);
    free(metrics);
    free(config);
    free(name);
    return rc;
}
