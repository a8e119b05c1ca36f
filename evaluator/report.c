/* pe-evaluator report: runs and results as one HTML file for people, with all that it needs inside.
 *
 *   pe-evaluator report RUN zeroshot.json curves.json results/ --output report.html
 *
 * A section appears where its inputs are there; beside a result also what lies beside it (report/report.h). */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "evaluator/report/figures.h"
#include "evaluator/report/html.h"
#include "evaluator/report/report.h"
#include "evaluator/verb.h"
#include "log/log.h"

extern const struct verb verb_report;

struct report_settings {
    struct option_list inputs, labels, depth, boxes, tracks;
    char *output, *title, *says;
    int64_t examples;
    double scale;
    bool reduce_zero;
};

#define AT(field) offsetof(struct report_settings, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_STRINGS, "inputs", AT(inputs), NULL, 0, 0, NULL, "run folders, result files, curves.json, or folders of results; also without the key, in front"},
    {OPTION_STRING, "output", AT(output), "report.html", 0, 0, NULL, "page to write", OPTION_WRITTEN},
    {OPTION_STRING, "title", AT(title), NULL, 0, 0, NULL, "its heading; without: the model's name and what was measured"},
    {OPTION_STRING, "says", AT(says), NULL, 0, 0, NULL, "a sentence below it, in your words"},
    {OPTION_INT, "examples", AT(examples), "3", 1, 50, NULL, "how many of the worst, the best and a sample of each kind"},
    {OPTION_GROUP, "predictions, in place of those that results name", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_STRINGS, "labels", AT(labels), NULL, 0, 0, NULL, "label maps: PICTURES PREDICTED [TRUTH], folders of files of one name; PREDICTED and TRUTH .png"},
    {OPTION_BOOL, "reduce-zero-label", AT(reduce_zero), NULL, 0, 0, NULL, "0 in the truth of --labels is nothing, and its 1 the predictions' 0 (ADE20K)"},
    {OPTION_STRINGS, "depth", AT(depth), NULL, 0, 0, NULL, "depth: PICTURES PREDICTED [TRUTH], folders; .png of 16 bits or .npy in metres"},
    {OPTION_REAL, "depth-scale", AT(scale), "1000", 1e-6, 1e9, NULL, "a metre in .png of --depth"},
    {OPTION_STRINGS, "boxes", AT(boxes), NULL, 0, 0, NULL, "objects: PICTURES RESULTS.json TRUTH.json, files as COCO has them"},
    {OPTION_STRINGS, "tracks", AT(tracks), NULL, 0, 0, NULL, "objects followed: DAVIS PREDICTED, folders; PREDICTED as `track --masks` writes it"},
    {0}};
/* clang-format on */

struct report {
    const struct report_settings *settings;
    struct results results;
    struct curves curves;
    char **runs;
    int64_t run_count;
};

/* --- what is there --- */

/* The encoder of a result in a legend: the last part of its weights' path. */
static char *encoder_name(const json_t *result)
{
    const char *weights = text_of(result, "pretrained");
    return fs_last(*weights ? weights : text_of(result, "model"));
}

static int add_result(struct report *r, const char *path, json_t *json, struct error *error)
{
    r->results.list = mem_realloc(r->results.list, (size_t)r->results.count + 1, sizeof *r->results.list);
    r->results.list[r->results.count++] = (struct result){mem_strdup(path), json_incref(json)};
    const json_t *m = json_object_get(json, "metrics");
    if (json_array_size(json_object_get(m, "layers")) < 2 || !json_object_get(m, "best_layer")) return 0;
    char *name = encoder_name(json);
    int rc = curves_add(&r->curves, json, name, error);
    free(name);
    return rc < 0 ? error_prefix(error, "%s", path) : 0;
}

/* 1: taken, 0: it is neither results nor curves. */
static int add_json(struct report *r, const char *path, struct error *error)
{
    json_t *json = json_read(path, error);
    if (!json) return -1;
    int rc = 0;
    if (json_is_object(json_object_get(json, "metrics")) && json_is_string(json_object_get(json, "task")))
        rc = add_result(r, path, json, error) < 0 ? -1 : 1;
    else if (json_is_array(json_object_get(json, "curves")))
        rc = curves_read(&r->curves, json, error) < 0 ? error_prefix(error, "%s", path) : 1;
    json_decref(json);
    return rc;
}

/* A folder: of a run, or of results among other files. */
static int add_folder(struct report *r, const char *folder, struct error *error)
{
    char *metrics = fs_join(folder, "metrics.jsonl");
    bool run = fs_exists(metrics);
    struct fs_list list;
    int rc = 0, taken = 0;
    free(metrics);
    if (run) {
        r->runs = mem_realloc(r->runs, (size_t)r->run_count + 1, sizeof *r->runs);
        r->runs[r->run_count++] = mem_strdup(folder);
        return 0;
    }
    if (fs_list(folder, &list, error) < 0) return -1;
    for (size_t i = 0; i < list.count && rc >= 0; i++) {
        char *path = fs_join(folder, list.names[i]);
        if (str_ends_with(path, ".json") && (rc = add_json(r, path, error)) > 0) taken++;
        free(path);
    }
    fs_list_free(&list);
    if (rc < 0) return -1;
    return taken ? 0 : error_set(error, ERROR_FAILED, "%s: neither a run (metrics.jsonl) nor results (.json)", folder);
}

static int add_input(struct report *r, const char *path, struct error *error)
{
    if (fs_is_folder(path)) return add_folder(r, path, error);
    int rc = add_json(r, path, error);
    if (rc == 0)
        return error_set(error, ERROR_FAILED,
                         "%s: neither a result (\"task\", \"metrics\") nor curves; a run is given by its folder", path);
    return rc < 0 ? -1 : 0;
}

/* Curves of a task stand together, in the order in which they came. */
static void sort_curves(struct curves *c)
{
    for (int64_t i = 1; i < c->count; i++) {
        int64_t to = i;
        for (int64_t k = 0; k < i; k++)
            if (!strcmp(c->list[k].task, c->list[i].task) && !strcmp(c->list[k].key, c->list[i].key)) to = k + 1;
        struct curve moved = c->list[i];
        memmove(&c->list[to + 1], &c->list[to], (size_t)(i - to) * sizeof moved);
        c->list[to] = moved;
    }
}

/* --- the page --- */

/* This member of the results, each once. */
static void put_distinct(struct str *out, const struct results *results, const char *key)
{
    for (int64_t i = 0; i < results->count; i++) {
        const char *text = text_of(results->list[i].json, key);
        bool seen = false;
        for (int64_t k = 0; k < i && !seen; k++) seen = !strcmp(text, text_of(results->list[k].json, key));
        if (!seen) str_printf(out, i ? ", %s" : "%s", text);
    }
}

/* "What A, B can do" */
static void put_models(struct str *title, const struct results *results)
{
    str_puts(title, "What ");
    put_distinct(title, results, "model");
    str_puts(title, " can do");
}

static void put_head(struct str *out, const struct report *r)
{
    const struct report_settings *c = r->settings;
    struct str title = {0};
    if (c->title)
        str_puts(&title, c->title);
    else if (r->results.count)
        put_models(&title, &r->results);
    else
        str_puts(&title, r->run_count ? "A training run" : "Predictions beside the truth");
    html_open(out, title.data);
    html_put(out, "<h1>", title.data, "</h1>\n");
    str_free(&title);
    if (c->says) html_put(out, "<p class=\"lead\">", c->says, "</p>\n");
}

static void put_lead(struct str *out, const struct report *r)
{
    bool any = false;
    for (int64_t i = 0; i < r->results.count; i++) any |= figure_headline(r->results.list[i].json) != NULL;
    if (!any) return;
    struct str sets = {0};
    put_distinct(&sets, &r->results, "dataset");
    html_put(out, "<p class=\"lead\">Measured on ", sets.data,
             ". The mark on a bar is what knowing nothing would reach.</p>\n");
    str_free(&sets);
    report_tiles(out, &r->results);
}

static int put_examples(struct str *out, const struct report *r, struct error *error)
{
    const struct report_settings *c = r->settings;
    bool named = c->labels.count || c->depth.count || c->boxes.count || c->tracks.count;
    struct label_numbers numbers = {255, c->reduce_zero, c->reduce_zero};
    int rc = 0;
    for (int64_t i = 0; i < r->results.count && rc == 0; i++) {
        const struct result *result = &r->results.list[i];
        const char *task = text_of(result->json, "task");
        if (!strcmp(task, "zeroshot_retrieval")) rc = report_queries(out, result, c->examples, error);
        if (!strcmp(task, "zeroshot_classification")) rc = report_classes(out, result, c->examples, error);
        if (rc == 0) rc = report_questions(out, result, 2 * c->examples, error);
        if (rc == 0) rc = report_maps(out, result, c->examples, error);
        if (rc == 0 && !named) rc = report_files(out, result, c->examples, error);
    }
    if (rc == 0) rc = report_labels(out, &c->labels, numbers, c->examples, error);
    if (rc == 0) rc = report_depth(out, &c->depth, c->scale, c->examples, error);
    if (rc == 0) rc = report_boxes(out, &c->boxes, c->examples, error);
    if (rc == 0) rc = report_tracks(out, &c->tracks, c->examples, error);
    return rc;
}

static int write_page(const struct report *r, struct error *error)
{
    struct str out = {0};
    put_head(&out, r);
    put_lead(&out, r);
    int rc = put_examples(&out, r, error);
    report_layers(&out, &r->curves);
    for (int64_t i = 0; i < r->run_count && rc == 0; i++) rc = report_run(&out, r->runs[i], error);
    report_table(&out, &r->results);
    str_printf(&out, "<footer>Made by pe-evaluator report %s.</footer>\n", percept_version);
    html_close(&out);
    if (rc == 0) rc = fs_write(r->settings->output, out.data, out.len, error);
    if (rc == 0) log_info("%s: %.1f MB", r->settings->output, (double)out.len / 1e6);
    str_free(&out);
    return rc;
}

static void close_report(struct report *r)
{
    for (int64_t i = 0; i < r->results.count; i++) {
        free(r->results.list[i].path);
        json_decref(r->results.list[i].json);
    }
    for (int64_t i = 0; i < r->run_count; i++) free(r->runs[i]);
    free(r->results.list);
    free(r->runs);
    curves_free(&r->curves);
}

static int make(const struct report_settings *c, struct error *error)
{
    struct report r = {.settings = c};
    int rc = 0;
    if (!c->inputs.count && !c->labels.count && !c->depth.count && !c->boxes.count && !c->tracks.count)
        rc = error_set(error, ERROR_USAGE,
                       "nothing to report: name run folders, results, or --labels, --depth, "
                       "--boxes, --tracks");
    for (int64_t i = 0; i < c->inputs.count && rc == 0; i++) rc = add_input(&r, c->inputs.items[i], error);
    sort_curves(&r.curves);
    if (rc == 0) rc = write_page(&r, error);
    close_report(&r);
    return rc;
}

char *report_beside(const char *result, const char *ending)
{
    struct str out = {0};
    str_puts(&out, result);
    if (str_ends_with(result, ".json")) out.len -= strlen(".json");
    out.data[out.len] = 0;
    str_puts(&out, ending);
    return str_steal(&out);
}

/* Words in front of the first key are values of --inputs. */
static int run(const struct world *world, int argc, char **argv, struct error *error)
{
    struct option_program program = {PROGRAM, verb_report.name, verb_report.summary, options};
    struct report_settings c = {0};
    char key[] = "--inputs", **words = mem_alloc((size_t)argc + 1, sizeof *words);
    bool bare = argc > 0 && strncmp(argv[0], "--", 2);
    words[0] = key;
    memcpy(words + bare, argv, (size_t)argc * sizeof *argv);
    int rc = options_parse(&program, &c, argc + bare, words, world->rank > 0, error);
    if (rc == OPTIONS_OK) rc = world_agree(world, world->rank ? 0 : make(&c, error), error);
    options_free(&program, &c);
    free(words);
    return rc < 0 ? -1 : 0;
}

const struct verb verb_report = {"report", "runs and results as one HTML page, with pictures", run};
