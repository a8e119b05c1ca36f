/* The metrics over texts against what their official evaluators made of the same answers and replies
 * (test/golden/README.md).  Each file of rows is truth and predictions at once. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evaluator/metrics/metric.h"
#include "evaluator/metrics/ptb.h"
#include "evaluator/metrics/vqa_words.h"
#include "serve/rows.h"
#include "test/harness.h"

#define FOLDER "test/golden/answers"

static const struct metric *metric_named(const char *name)
{
    for (int i = 0; metric_list[i]; i++)
        if (!strcmp(metric_list[i]->name, name)) return metric_list[i];
    EXPECT(0, "no metric %s", name);
    return NULL;
}

static int collect(void *context, json_t *row, struct error *error)
{
    (void)error;
    return json_array_append(context, row);
}

static json_t *rows_of(const char *path)
{
    struct error error = {0};
    json_t *rows = json_array();
    EXPECT(rows_each(path, collect, rows, &error) == 0 && json_array_size(rows) > 0, "%s", error.text);
    return rows;
}

static bool same(double a, double b)
{
    return fabs(a - b) <= 1e-12;
}

static void check_figures(const char *file, const json_t *figures)
{
    struct error error = {0};
    json_t *all = json_read(FOLDER "/figures.json", &error), *want;
    const char *key;
    EXPECT(all, "%s", error.text);
    json_t *wanted = json_object_get(all, file);
    EXPECT(json_object_size(wanted) > 0, "no figures of %s", file);
    json_object_foreach (wanted, key, want) {
        double got = json_is_real(json_object_get(figures, key)) ? json_real_value(json_object_get(figures, key)) : NAN;
        EXPECT(same(got, json_number_value(want)), "%s: %s %.17g, want %.17g", file, key, got, json_number_value(want));
    }
    json_decref(all);
}

/* The metric with these options over FILE.jsonl: its figures, and its values where it gives them. */
static void run(const char *name, const char *file, char **options, int count)
{
    struct error error = {0};
    struct metric_result result = {.figures = json_object()};
    const struct metric *metric = metric_named(name);
    struct option none[] = {{0}};
    struct option_program program = {"test", NULL, "", metric->options ? metric->options : none};
    void *self = mem_zalloc(1, metric->bytes);
    char path[128];
    snprintf(path, sizeof path, FOLDER "/%s", file);
    EXPECT(options_parse(&program, self, count, options, true, &error) == 0, "%s", error.text);
    EXPECT(metric->open(self, path, path, &result, &error) == 0, "%s", error.text);
    check_figures(file, result.figures);
    json_t *rows = rows_of(path);
    EXPECT(result.units == (int64_t)json_array_size(rows) && result.missing == 0, "%ld units, %ld missing",
           (long)result.units, (long)result.missing);
    for (int64_t i = 0; i < result.units && result.values; i++) {
        const json_t *row = json_array_get(rows, (size_t)i);
        double want = json_number_value(json_object_get(row, "value"));
        EXPECT(same(result.values[i], want), "%s: row %ld, \"%s\": %.17g, want %.17g", file, (long)i,
               json_string_value(json_object_get(row, "reply")), result.values[i], want);
    }
    json_decref(rows);
    json_decref(result.figures);
    metric->close(self);
    options_free(&program, self);
    free(self);
}

static void exact(void)
{
    char *loose[] = {"--exact-ignore-case", "--exact-ignore-punctuation"};
    run("exact", "exact.jsonl", NULL, 0);
    run("exact", "exact-loose.jsonl", loose, 2);
}

static void anls(void)
{
    run("anls", "anls.jsonl", NULL, 0);
}

static void relaxed(void)
{
    run("relaxed", "relaxed.jsonl", NULL, 0);
}

static void vqa(void)
{
    char *split[] = {"--vqa-tokenize", "on"};
    run("vqa", "vqa.jsonl", NULL, 0);
    run("vqa", "vqa-split.jsonl", split, 2);
}

static void words(void)
{
    json_t *rows = rows_of(FOLDER "/words.jsonl"), *row;
    size_t i;
    json_array_foreach (rows, i, row)
        for (int split = 0; split < 2; split++) {
            const char *text = json_string_value(json_object_get(row, "text"));
            const char *want = json_string_value(json_object_get(row, split ? "split" : "plain"));
            char *got = vqa_words(text, split);
            EXPECT(!strcmp(got, want), "\"%s\", split %d: \"%s\", want \"%s\"", text, split, got, want);
            free(got);
        }
    json_decref(rows);
}

static void choice(void)
{
    static const char *const rules[] = {"ai2d", "perceptiontest", "mvbench", "mmmu"};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        char file[64], rule[32], *options[] = {"--choice-rule", rule};
        snprintf(file, sizeof file, "choice-%s.jsonl", rules[i]);
        snprintf(rule, sizeof rule, "%s", rules[i]);
        run("choice", file, options, 2);
    }
}

static void pope(void)
{
    run("pope", "pope.jsonl", NULL, 0);
}

static void grounding(void)
{
    run("grounding", "grounding.jsonl", NULL, 0);
}

static void cider(void)
{
    run("cider", "cider.jsonl", NULL, 0);
    run("cider", "cider-set.jsonl", NULL, 0);
}

static void treebank(void)
{
    json_t *rows = rows_of(FOLDER "/ptb.jsonl"), *row;
    struct ptb *ptb = ptb_open();
    size_t i;
    json_array_foreach (rows, i, row) {
        struct str got = {0};
        const char *text = json_string_value(json_object_get(row, "text"));
        const char *want = json_string_value(json_object_get(row, "tokens"));
        ptb_tokenize(ptb, text, &got);
        str_append(&got, "", 0);
        EXPECT(!strcmp(got.data, want), "\"%s\": \"%s\", want \"%s\"", text, got.data, want);
        str_free(&got);
    }
    EXPECT(i >= 1000, "%zu sentences", i);
    ptb_close(ptb);
    json_decref(rows);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"exact_match", exact},
                                     {"anls", anls},
                                     {"relaxed_accuracy", relaxed},
                                     {"vqa_normaliser", words},
                                     {"vqa_accuracy", vqa},
                                     {"choice_rules", choice},
                                     {"pope", pope},
                                     {"grounding", grounding},
                                     {"treebank_tokens", treebank},
                                     {"cider", cider},
                                     {0}});
}
