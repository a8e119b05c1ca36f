/* pe-evaluator layers: tasks measured at every layer of one encoder or several, as curves. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/str.h"
#include "evaluator/curves.h"
#include "evaluator/parts.h"
#include "evaluator/results.h"

#define AT(field) offsetof(struct layers_settings, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_STRINGS, "weights", AT(weights), "!", 0, 0, NULL, "the encoder, and others to hold it against (init:SEED: random weights)"},
    {OPTION_STRINGS, "labels", AT(labels), NULL, 0, 0, NULL, "what the encoders are called in the picture (their weights)"},
    {OPTION_STRING, "model", AT(model), "!", 0, 0, NULL, "PE-Core-B16-224 ... or the path of a model's .json"},
    {OPTION_STRINGS, "tasks", AT(tasks), "!", 0, 0, NULL, "knn, logistic, linear, attention, track, segment, depth, detect: separated by commas or blanks"},
    {OPTION_STRINGS, "train-data", AT(train_data), NULL, 0, 0, NULL, "labelled data sets that probes learn from"},
    {OPTION_STRINGS, "data", AT(data), NULL, 0, 0, NULL, "labelled data sets that probes are tested on"},
    {OPTION_STRINGS, "track-data", AT(track_data), NULL, 0, 0, NULL, "DAVIS folder for track"},
    {OPTION_STRINGS, "segment-data", AT(segment_data), NULL, 0, 0, NULL, "ADE20K folder for segment, of training and validation"},
    {OPTION_STRINGS, "depth-data", AT(depth_data), NULL, 0, 0, NULL, "NYU folder for depth, of train and test"},
    {OPTION_STRINGS, "detect-data", AT(detect_data), NULL, 0, 0, NULL, "COCO folder for detect, of train and val"},
    {OPTION_STRING, "layers", AT(layers), "all", 0, 0, NULL, "all, last, or 1,5,12"},
    {OPTION_STRING, "feature", AT(feature), "pooled", 0, 0, NULL, "of probes on one row a picture: pooled, class or mean"},
    {OPTION_STRINGS, "task-options", AT(task_options), NULL, 0, 0, NULL, "other options: key=value for all, TASK.key=value for one of the tasks"},
    {OPTION_STRING, "output", AT(output), "!", 0, 0, NULL, "curves.json; curves.csv and curves.svg come beside it", OPTION_WRITTEN},
    {OPTION_BOOL, "skip-existing", AT(skip_existing), "false", 0, 0, NULL, "keep the results that the same options and weights made (noted in .NAME.options)"},
    {0}};
/* clang-format on */

static const char *label_of(const struct layers_settings *c, int64_t encoder)
{
    return c->labels.count ? c->labels.items[encoder] : c->weights.items[encoder];
}

static int check_settings(const struct layers_settings *c, const struct option_list *names, struct error *error)
{
    if (c->labels.count && c->labels.count != c->weights.count)
        return error_set(error, ERROR_USAGE, "%ld --labels for %ld --weights", (long)c->labels.count,
                         (long)c->weights.count);
    if (names->count > PARTS_MAX) return error_set(error, ERROR_USAGE, "more than %d --tasks", PARTS_MAX);
    for (int64_t i = 0; i < c->task_options.count; i++)
        if (!strchr(c->task_options.items[i], '='))
            return error_set(error, ERROR_USAGE, "--task-options %s: give key=value or TASK.key=value",
                             c->task_options.items[i]);
    for (int64_t i = 0; i < names->count; i++) {
        const struct option_list *own = parts_own_data(c, names->items[i]);
        if (own && !own->count)
            return error_set(error, ERROR_USAGE, "--%s-data: the folder that task %s is to use", names->items[i],
                             names->items[i]);
    }
    for (int64_t i = 0; i < names->count; i++)
        for (int64_t k = 0; k < i; k++)
            if (!strcmp(names->items[i], names->items[k]))
                return error_set(error, ERROR_USAGE, "--tasks %s twice", names->items[i]);
    for (int64_t i = 0; i < c->weights.count; i++)
        for (int64_t k = 0; k < i; k++)
            if (!strcmp(label_of(c, i), label_of(c, k)))
                return error_set(error, ERROR_USAGE, "two encoders are called %s: give --labels", label_of(c, i));
    return 0;
}

/* (all) All tasks of an encoder; where their results are goes to paths [tasks]. */
static int measure_encoder(struct parts *m, int64_t encoder, const struct option_list *names, char **paths,
                           struct error *error)
{
    m->weights = m->settings->weights.items[encoder];
    m->label = label_of(m->settings, encoder);
    int rc = parts_open(m, names, error);
    for (int i = 0; i < m->count; i++) paths[i] = mem_strdup(m->list[i].path);
    if (rc == 0) rc = parts_run(m, error);
    parts_close(m);
    return rc;
}

/* --- curves --- */

static int write_text(const char *output, const char *ending, const struct str *text, struct error *error)
{
    struct str path = {0};
    char *stem = parts_folder(output);
    str_printf(&path, "%s%s", stem, ending);
    int rc = fs_write(path.data, text->data, text->len, error);
    str_free(&path);
    free(stem);
    return rc;
}

/* (rank 0) paths [encoders][tasks]. */
static int write_curves(const struct layers_settings *c, char **paths, int64_t tasks, struct error *error)
{
    struct curves curves = {0};
    struct str csv = {0}, svg = {0}, title = {0};
    int rc = 0;
    for (int64_t t = 0; t < tasks && rc == 0; t++)
        for (int64_t e = 0; e < c->weights.count && rc == 0; e++) {
            const char *path = paths[e * tasks + t];
            json_t *result = json_read(path, error);
            rc = result ? curves_add(&curves, result, label_of(c, e), error) : -1;
            if (result && rc < 0) error_prefix(error, "%s", path);
            json_decref(result);
        }
    if (rc == 0) {
        json_t *json = curves_json(&curves);
        str_printf(&title, "%s, layer by layer", label_of(c, 0));
        curves_csv(&curves, &csv);
        curves_svg(&curves, title.data, &svg);
        rc = json_write(c->output, json, error);
        if (rc == 0) rc = write_text(c->output, ".csv", &csv, error);
        if (rc == 0) rc = write_text(c->output, ".svg", &svg, error);
        if (rc == 0) curves_print(&curves);
        json_decref(json);
    }
    str_free(&csv);
    str_free(&svg);
    str_free(&title);
    curves_free(&curves);
    return rc;
}

static int make_folder(const char *output, struct error *error)
{
    char *stem = parts_folder(output);
    int rc = fs_make_folders(stem, error);
    free(stem);
    return rc;
}

/* (all) */
static int measure(const struct world *world, const struct layers_settings *c, const struct option_list *names,
                   struct error *error)
{
    struct parts m = {.settings = c, .world = world};
    int64_t tasks = names->count, count = c->weights.count * tasks;
    char **paths = mem_zalloc((size_t)count + 1, sizeof *paths);
    int rc = check_settings(c, names, error);
    if (rc == 0) rc = world_agree(world, world->rank ? 0 : make_folder(c->output, error), error);
    for (int64_t e = 0; e < c->weights.count && rc == 0; e++)
        rc = measure_encoder(&m, e, names, paths + e * tasks, error);
    if (rc == 0) rc = world_agree(world, world->rank ? 0 : write_curves(c, paths, tasks, error), error);
    for (int64_t i = 0; i < count; i++) free(paths[i]);
    free(paths);
    return rc;
}

/* "knn,linear track" -> its words. */
static struct option_list split_names(const struct option_list *list)
{
    struct option_list out = {0};
    for (int64_t i = 0; i < list->count; i++) {
        char *copy = mem_strdup(list->items[i]), *rest = NULL;
        for (char *word = strtok_r(copy, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
            out.items = mem_realloc(out.items, (size_t)out.count + 1, sizeof *out.items);
            out.items[out.count++] = mem_strdup(word);
        }
        free(copy);
    }
    return out;
}

extern const struct verb verb_layers;

static int run(const struct world *world, int argc, char **argv, struct error *error)
{
    struct option_program program = {PROGRAM, verb_layers.name, verb_layers.summary, options};
    struct layers_settings c = {0};
    int rc = options_parse(&program, &c, argc, argv, world->rank > 0, error);
    if (rc == OPTIONS_OK) {
        struct option_list names = split_names(&c.tasks);
        rc = measure(world, &c, &names, error);
        for (int64_t i = 0; i < names.count; i++) free(names.items[i]);
        free(names.items);
    }
    options_free(&program, &c);
    return rc < 0 ? -1 : 0;
}

const struct verb verb_layers = {"layers", "tasks at every layer of an encoder, as curves and a picture", run};
