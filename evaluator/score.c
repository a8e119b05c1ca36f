/* pe-evaluator score: figures from files of truth and predictions, with what a resample of them would say.
 *
 * Rank 0 works; a metric may use threads.  Standard errors: of a mean, the sample's deviation / sqrt(units) (units - 1
 * below it); else the deviation of `--bootstrap` resamples of the units.  A comparison draws the same resamples of
 * both, so what the two share cancels (paired bootstrap; Efron & Tibshirani 1993). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "base/str.h"
#include "evaluator/metrics/metric.h"
#include "evaluator/results.h"
#include "evaluator/scoring.h"
#include "evaluator/statistics.h"
#include "evaluator/verb.h"

extern const struct verb verb_score;

#define RESAMPLES "1000"

struct score_settings {
    char *metric, *truth, *predictions, *against, *output;
    int64_t resamples, seed;
};

#define AT(field) offsetof(struct score_settings, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_CHOICE, "metric", AT(metric), "!", 0, 0, NULL, "what is scored"},
    {OPTION_STRING, "truth", AT(truth), "!", 0, 0, NULL, "file or folder of the truth, as its data set is published"},
    {OPTION_STRING, "predictions", AT(predictions), "!", 0, 0, NULL, "file or folder of predictions, as its evaluator reads them"},
    {OPTION_STRING, "against", AT(against), NULL, 0, 0, NULL, "other predictions of the same truth: how sure is the difference?"},
    {OPTION_STRING, "output", AT(output), "!", 0, 0, NULL, "file to write", OPTION_WRITTEN},
    {OPTION_INT, "bootstrap", AT(resamples), RESAMPLES, 0, 1000000, NULL, "resamples for the standard error of what is no mean, and for --against; 0: neither"},
    {OPTION_INT, "seed", AT(seed), "0", 0, 1e15, NULL, "of the resamples"},
    {0}};
/* clang-format on */

/* --- resampling --- */

struct scored {
    const struct metric *metric;
    void *self;
    struct metric_result result;
};

/* The headline of a resample. */
static double headline_of(const struct scored *s, const int32_t *times)
{
    if (s->metric->resample) return s->metric->resample(s->self, times);
    double sum = 0;
    for (int64_t i = 0; i < s->result.units; i++) sum += times[i] * s->result.values[i];
    return sum / (double)s->result.units;
}

/* The headlines of resamples of a (and b): what is defined comes first, how many is returned. */
static int64_t resample(const struct scored *a, const struct scored *b, const struct score_settings *c, double *out)
{
    int64_t units = a->result.units, count = 0;
    int32_t *times = mem_alloc((size_t)units + 1, sizeof *times);
    for (int64_t r = 0; r < c->resamples && units; r++) {
        struct rng rng = rng_open((uint64_t)c->seed, RNG_SAMPLE, (uint64_t)r, 0);
        memset(times, 0, (size_t)units * sizeof *times);
        for (int64_t i = 0; i < units; i++) times[rng_below(&rng, (uint64_t)units)]++;
        double value = headline_of(a, times) - (b ? headline_of(b, times) : 0);
        if (isfinite(value)) out[count++] = value;
    }
    free(times);
    return count;
}

static double error_of(const struct scored *s, const struct score_settings *c)
{
    if (s->result.values) return standard_error(s->result.values, s->result.units);
    double *values = mem_alloc((size_t)c->resamples + 1, sizeof *values);
    int64_t count = resample(s, NULL, c, values);
    double out = count > 1 ? deviation(values, count) : NAN;
    free(values);
    return out;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int same_units(const struct scored *a, const struct scored *b, const char *path, struct error *error)
{
    bool same = a->result.units == b->result.units;
    for (int64_t i = 0; same && a->result.keys && i < a->result.units; i++)
        same = !strcmp(a->result.keys[i], b->result.keys[i]);
    return same ? 0 : error_set(error, ERROR_FAILED, "%s: not of the same samples as --predictions", path);
}

/* predictions - against: the difference, its standard error, the 95 % interval of the resamples, and the share of them
 * in which the sign is another (or there is none). */
static json_t *difference(const struct scored *a, const struct scored *b, const struct score_settings *c)
{
    double *values = mem_alloc((size_t)c->resamples + 1, sizeof *values);
    int64_t count = resample(a, b, c, values), other = 0;
    double whole = json_number_value(json_object_get(a->result.figures, a->metric->headline)) -
                   json_number_value(json_object_get(b->result.figures, b->metric->headline));
    for (int64_t i = 0; i < count; i++) other += whole > 0 ? values[i] <= 0 : values[i] >= 0;
    qsort(values, (size_t)count, sizeof *values, by_value);
    json_t *out = json_pack("{s:s, s:f}", "figure", a->metric->headline, "difference", whole);
    if (count > 1) {
        int64_t tail = (int64_t)(0.025 * (double)count);
        json_object_set_new(out, "stderr", json_real(deviation(values, count)));
        json_object_set_new(out, "low", json_real(values[tail]));
        json_object_set_new(out, "high", json_real(values[count - 1 - tail]));
        json_object_set_new(out, "other_sign", json_real((double)other / (double)count));
    }
    free(values);
    return out;
}

/* --- scoring --- */

static int open_scored(struct scored *s, const struct score_settings *c, const char *predictions, struct error *error)
{
    s->result.figures = json_object();
    if (s->metric->open(s->self, c->truth, predictions, &s->result, error) < 0) return -1;
    if (!s->result.units) return error_set(error, ERROR_FAILED, "%s: nothing to score", c->truth);
    json_t *figures = s->result.figures;
    json_object_set_new(figures, "samples", json_integer(s->result.samples));
    json_object_set_new(figures, "unparsed", json_integer(s->result.unparsed));
    json_object_set_new(figures, "missing", json_integer(s->result.missing));
    double error_of_figure = error_of(s, c);
    if (isfinite(error_of_figure)) json_object_set_new(figures, "stderr", json_real(error_of_figure));
    return 0;
}

static void close_scored(struct scored *s)
{
    if (s->result.figures) s->metric->close(s->self);
    json_decref(s->result.figures);
    free(s->self);
}

/* self: `metric` with its options filled in. */
static int score(const struct score_settings *c, const struct metric *metric, const void *self, struct error *error)
{
    struct scored a = {metric, mem_zalloc(1, metric->bytes)}, b = {metric, mem_zalloc(1, metric->bytes)};
    memcpy(a.self, self, metric->bytes);
    memcpy(b.self, self, metric->bytes);
    int rc = open_scored(&a, c, c->predictions, error);
    if (rc == 0 && c->against) {
        rc = open_scored(&b, c, c->against, error);
        if (rc == 0) rc = same_units(&a, &b, c->against, error);
        if (rc == 0) {
            json_object_set_new(a.result.figures, "against", json_copy(b.result.figures));
            json_object_set_new(a.result.figures, "difference", difference(&a, &b, c));
        }
    }
    struct results_head head = {c->truth, c->predictions, c->against ? c->against : "", metric->name};
    if (rc == 0) rc = results_write(c->output, &head, json_incref(a.result.figures), error);
    close_scored(&a);
    close_scored(&b);
    return rc;
}

/* --- for others --- */

/* Words between spaces, which are made ends in `text`; [*count], the caller frees the array. */
static char **words_of(char *text, int *count)
{
    char **words = mem_alloc(strlen(text) + 1, sizeof *words);
    *count = 0;
    for (char *word; (word = strsep(&text, " "));)
        if (*word) words[(*count)++] = word;
    return words;
}

static json_t *values_of(const struct metric_result *r)
{
    json_t *values = json_object();
    for (int64_t i = 0; r->worth && i < r->units; i++)
        json_object_set_new(values, r->keys[i], isnan(r->worth[i]) ? json_null() : json_real(r->worth[i]));
    return values;
}

int scoring_run(const struct scoring *scoring, json_t **figures, json_t **values, struct error *error)
{
    static const struct option none[] = {{0}};
    const struct metric *const *m = metric_list;
    while (strcmp((*m)->name, scoring->metric)) m++;
    struct option_program program = {PROGRAM, verb_score.name, verb_score.summary,
                                     (*m)->options ? (*m)->options : none};
    struct score_settings c = {.truth = (char *)(uintptr_t)scoring->truth, .resamples = atoi(RESAMPLES)};
    struct scored a = {*m, mem_zalloc(1, (*m)->bytes)};
    char *text = mem_strdup(scoring->options);
    void *self = mem_zalloc(1, (*m)->bytes);
    int count;
    char **words = words_of(text, &count);
    int rc = options_parse(&program, self, count, words, true, error) == OPTIONS_OK ? 0 : -1;
    memcpy(a.self, self, (*m)->bytes);
    if (rc == 0) rc = open_scored(&a, &c, scoring->predictions, error);
    if (rc == 0) {
        *figures = json_incref(a.result.figures);
        if (values) *values = values_of(&a.result);
    }
    close_scored(&a);
    options_free(&program, self);
    free(self);
    free(words);
    free(text);
    return rc;
}

/* --- the verb --- */

/* The verb's own options and those of all metrics, one behind the other; offsets [metrics] of the latter. */
static struct option *table_of(struct str *choices, size_t *offsets, size_t *bytes)
{
    size_t count = 0, rows = sizeof options / sizeof *options - 1;
    while (metric_list[count]) count++;
    struct option *table = mem_zalloc(rows + 2 * count + 1, sizeof *table);
    memcpy(table, options, rows * sizeof *table);
    *bytes = sizeof(struct score_settings);
    for (size_t i = 0; i < count; i++) {
        const struct metric *m = metric_list[i];
        str_printf(choices, "%s%s", i ? "|" : "", m->name);
        offsets[i] = *bytes;
        *bytes += (m->bytes + sizeof(double) - 1) / sizeof(double) * sizeof(double);
        if (!m->options) continue;
        table[rows++] = (struct option){OPTION_GROUP, m->name, .doc = m->summary};
        table[rows++] = (struct option){OPTION_TABLE, .offset = offsets[i], .table = m->options};
    }
    table[0].choices = choices->data;
    return table;
}

static int run(const struct world *world, int argc, char **argv, struct error *error)
{
    struct str choices = {0};
    size_t count = 0, bytes;
    while (metric_list[count]) count++;
    size_t *offsets = mem_alloc(count + 1, sizeof *offsets);
    struct option *table = table_of(&choices, offsets, &bytes);
    struct option_program program = {PROGRAM, verb_score.name, verb_score.summary, table};
    char *settings = mem_zalloc(1, bytes);
    const struct score_settings *c = (const void *)settings;
    int rc = options_parse(&program, settings, argc, argv, world->rank > 0, error);
    if (rc == OPTIONS_OK) {
        size_t which = 0;
        while (strcmp(metric_list[which]->name, c->metric)) which++;
        rc = world->rank ? 0 : score(c, metric_list[which], settings + offsets[which], error);
        rc = world_agree(world, rc, error);
    }
    options_free(&program, settings);
    free(settings);
    free(table);
    free(offsets);
    str_free(&choices);
    return rc < 0 ? -1 : 0;
}

const struct verb verb_score = {"score", "figures from files of truth and predictions, with no model", run};
