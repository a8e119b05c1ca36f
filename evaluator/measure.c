/* pe-evaluator layers: tasks measured at every layer of one encoder or several, as curves.
 *
 * Each result lies in the folder OUTPUT without its ending (curves/ENCODER-TASK.json), so that a second run with
 * --skip-existing measures only what is missing.  Tasks whose features come of one pass share it; those that train
 * heads are runs of their own, with every layer's head on the same batches. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/str.h"
#include "checkpoint/tensors.h"
#include "evaluator/curves.h"
#include "evaluator/probe.h"
#include "evaluator/results.h"
#include "evaluator/task.h"
#include "evaluator/words.h"
#include "log/log.h"

struct layers_settings {
    struct option_list weights, labels, tasks, train_data, data, track_data, task_options;
    char *model, *layers, *feature, *output;
    bool skip_existing;
};

#define AT(field) offsetof(struct layers_settings, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_STRINGS, "weights", AT(weights), "!", 0, 0, NULL, "the encoder, and others to hold it against (init:SEED: random weights)"},
    {OPTION_STRINGS, "labels", AT(labels), NULL, 0, 0, NULL, "what the encoders are called in the picture (their weights)"},
    {OPTION_STRING, "model", AT(model), "!", 0, 0, NULL, "PE-Core-B16-224 ... or the path of a model's .json"},
    {OPTION_STRINGS, "tasks", AT(tasks), "!", 0, 0, NULL, "knn, logistic, linear, attention, track: separated by commas or blanks"},
    {OPTION_STRINGS, "train-data", AT(train_data), NULL, 0, 0, NULL, "labelled data sets that probes learn from"},
    {OPTION_STRINGS, "data", AT(data), NULL, 0, 0, NULL, "labelled data sets that probes are tested on"},
    {OPTION_STRINGS, "track-data", AT(track_data), NULL, 0, 0, NULL, "DAVIS folder for track"},
    {OPTION_STRING, "layers", AT(layers), "all", 0, 0, NULL, "all, last, or 1,5,12"},
    {OPTION_STRING, "feature", AT(feature), "pooled", 0, 0, NULL, "of probes on one row a picture: pooled, class or mean"},
    {OPTION_STRINGS, "task-options", AT(task_options), NULL, 0, 0, NULL, "other options: key=value for all, TASK.key=value for one of the tasks"},
    {OPTION_STRING, "output", AT(output), "!", 0, 0, NULL, "curves.json; curves.csv and curves.svg come beside it"},
    {OPTION_BOOL, "skip-existing", AT(skip_existing), "false", 0, 0, NULL, "keep the results that are there"},
    {0}};
/* clang-format on */

enum { TASKS_MAX = 32 };

/* A task of one encoder. */
struct part {
    const char *name;
    const struct task *task; /* NULL: a run of its own, */
    const struct verb *verb;
    char *path; /* its result */
    bool done;
};

struct measurement {
    const struct layers_settings *settings;
    const struct world *world;
    const char *weights, *label; /* of the encoder at work */
    struct part parts[TASKS_MAX];
    int count;
};

static const char *label_of(const struct layers_settings *c, int64_t encoder)
{
    return c->labels.count ? c->labels.items[encoder] : c->weights.items[encoder];
}

/* OUTPUT without its ending, the caller frees: the folder of the parts. */
static char *stem_of(const char *output)
{
    size_t len = strlen(output);
    struct str out = {0};
    str_append(&out, output, str_ends_with(output, ".json") ? len - strlen(".json") : len);
    return str_steal(&out);
}

/* --- the command lines of parts --- */

/* key=value of --task-options that are for `task` (TASK.key=value), or for all (NULL). */
static void add_task_options(struct words *w, const struct option_list *options, const char *task)
{
    for (int64_t i = 0; i < options->count; i++) {
        const char *text = options->items[i], *dot = strchr(text, '.'), *equal = strchr(text, '=');
        bool prefixed = dot && dot < equal;
        if (prefixed != (task != NULL)) continue;
        if (task && (strncmp(text, task, (size_t)(dot - text)) || task[dot - text])) continue;
        const char *key = prefixed ? dot + 1 : text;
        char *name = strndup(key, (size_t)(equal - key));
        words_option(w, name, equal + 1);
        free(name);
    }
}

static void add_session_words(struct words *w, const struct measurement *m, const char *output)
{
    words_option(w, "weights", m->weights);
    words_option(w, "model", m->settings->model);
    words_option(w, "output", output);
    add_task_options(w, &m->settings->task_options, NULL);
}

static void add_own_words(struct words *w, const struct measurement *m, const struct part *p)
{
    const struct layers_settings *c = m->settings;
    bool track = !strcmp(p->name, "track");
    words_option(w, "layers", c->layers);
    if (!track) words_options(w, "train-data", &c->train_data);
    words_options(w, "data", track ? &c->track_data : &c->data);
    if (!track && strcmp(p->name, "attention")) words_option(w, "feature", c->feature);
    add_task_options(w, &c->task_options, p->name);
}

/* --- running --- */

/* (all) Those of the parts in one session, each input passed once. */
static int run_session(struct measurement *m, struct part **parts, int count, const struct session_settings *settings,
                       void **selves, struct error *error)
{
    const struct task *tasks[TASKS_MAX];
    const char *outputs[TASKS_MAX];
    enum session_use use = USE_PICTURES;
    for (int i = 0; i < count; i++) {
        tasks[i] = parts[i]->task;
        outputs[i] = parts[i]->path;
        if (tasks[i]->use(selves[i]) == USE_TEXTS) use = USE_TEXTS;
    }
    struct session session;
    int rc = session_open(&session, m->world, settings, use, error);
    if (rc == 0) rc = tasks_run(tasks, selves, outputs, count, &session, error);
    session_close(&session);
    return rc;
}

/* (all) Parts that are tasks and not done. */
static int run_shared(struct measurement *m, struct error *error)
{
    struct part *parts[TASKS_MAX];
    void *selves[TASKS_MAX];
    struct option_program programs[TASKS_MAX], session = {PROGRAM, "layers", NULL, session_options};
    struct session_settings settings = {0};
    struct words words = {0};
    int count = 0, rc = OPTIONS_OK;
    for (int i = 0; i < m->count && rc == OPTIONS_OK; i++) {
        struct part *p = &m->parts[i];
        if (!p->task || p->done) continue;
        programs[count] = (struct option_program){PROGRAM, p->name, NULL, p->task->options};
        selves[count] = mem_zalloc(1, p->task->bytes);
        parts[count] = p;
        add_own_words(&words, m, p);
        rc = options_parse(&programs[count], selves[count], words.count, words.list, m->world->rank > 0, error);
        if (rc < 0) error_prefix(error, "task %s", p->name);
        words_free(&words);
        count++;
    }
    add_session_words(&words, m, m->settings->output);
    if (rc == OPTIONS_OK && count)
        rc = options_parse(&session, &settings, words.count, words.list, m->world->rank > 0, error);
    if (rc == OPTIONS_OK && count) rc = run_session(m, parts, count, &settings, selves, error);
    for (int i = 0; i < count; i++) {
        options_free(&programs[i], selves[i]);
        free(selves[i]);
    }
    options_free(&session, &settings);
    words_free(&words);
    return rc;
}

/* (all) Parts that are runs of their own. */
static int run_apart(struct measurement *m, struct error *error)
{
    int rc = 0;
    for (int i = 0; i < m->count && rc == 0; i++) {
        const struct part *p = &m->parts[i];
        struct words words = {0};
        if (!p->verb || p->done) continue;
        add_session_words(&words, m, p->path);
        add_own_words(&words, m, p);
        log_info("%s of %s", p->name, m->label);
        rc = p->verb->run(m->world, words.count, words.list, error);
        if (rc < 0) error_prefix(error, "task %s", p->name);
        words_free(&words);
    }
    return rc;
}

/* --- parts --- */

static int find_part(struct part *p, const char *name, struct error *error)
{
    *p = (struct part){.name = name};
    for (int i = 0; probe_tasks[i]; i++)
        if (!strcmp(probe_tasks[i]->name, name)) p->task = probe_tasks[i];
    for (int i = 0; probe_runs[i]; i++)
        if (!strcmp(probe_runs[i]->name, name)) p->verb = probe_runs[i];
    for (int i = 0; task_list[i]; i++)
        if (task_list[i]->layered && !strcmp(task_list[i]->name, name)) p->task = task_list[i];
    if (p->task || p->verb) return 0;
    return error_set(error, ERROR_USAGE, "--tasks %s: no task that is measured layer by layer", name);
}

/* The encoder's name in file names: what is no letter, digit, dot, plus or minus becomes '_'. */
static char *part_path(const struct measurement *m, const struct part *p)
{
    struct str out = {0};
    char *stem = stem_of(m->settings->output);
    str_printf(&out, "%s/", stem);
    free(stem);
    for (const char *c = m->label; *c; c++)
        str_putc(&out,
                 (*c >= '0' && *c <= '9') || ((*c | 32) >= 'a' && (*c | 32) <= 'z') || strchr(".+-", *c) ? *c : '_');
    str_printf(&out, "-%s.json", p->name);
    return str_steal(&out);
}

/* (rank 0) What a part's result depends on: its command line, and the weights themselves. */
static json_t *recipe_of(const struct measurement *m, const struct part *p, struct error *error)
{
    struct words words = {0};
    json_t *list = json_array(), *recipe = json_pack("{s:o}", "options", list);
    add_session_words(&words, m, p->path);
    add_own_words(&words, m, p);
    for (int i = 0; i < words.count; i++) json_array_append_new(list, json_text(words.list[i]));
    words_free(&words);
    if (fs_exists(m->weights) && tensors_identify(recipe, "weights", m->weights, error) < 0) {
        json_decref(recipe);
        return NULL;
    }
    return recipe;
}

static char *recipe_path(const struct part *p)
{
    struct str out = {0};
    str_printf(&out, "%.*s.options.json", (int)(strlen(p->path) - strlen(".json")), p->path);
    return str_steal(&out);
}

/* (rank 0) With --skip-existing: is the part's result there, made in the same way?  Else what it is made from is noted
 * for the next time. */
static int look_for(const struct measurement *m, struct part *p, struct error *error)
{
    char *path = recipe_path(p);
    json_t *recipe = recipe_of(m, p, error), *before = NULL;
    int rc = recipe ? 0 : -1;
    if (rc == 0 && m->settings->skip_existing && fs_exists(p->path)) {
        before = json_read(path, error);
        p->done = before && json_equal(before, recipe);
        if (!p->done)
            rc = error_set(error, ERROR_FAILED, "%s: measured with other options or weights than these (%s); remove it",
                           p->path, path);
    }
    if (rc == 0 && !p->done) rc = fs_remove_tree(p->path, error);
    if (rc == 0 && !p->done) rc = json_write(path, recipe, error);
    json_decref(before);
    json_decref(recipe);
    free(path);
    return rc;
}

/* (all) */
static int open_parts(struct measurement *m, const struct option_list *names, struct error *error)
{
    m->count = 0;
    for (int64_t i = 0; i < names->count; i++) {
        struct part *p = &m->parts[m->count];
        if (find_part(p, names->items[i], error) < 0) return -1;
        p->path = part_path(m, p);
        m->count++;
        if (!m->world->rank && look_for(m, p, error) < 0) return -1;
    }
    return 0;
}

static void close_parts(struct measurement *m)
{
    for (int i = 0; i < m->count; i++) free(m->parts[i].path);
    m->count = 0;
}

static int check_settings(const struct layers_settings *c, const struct option_list *names, struct error *error)
{
    if (c->labels.count && c->labels.count != c->weights.count)
        return error_set(error, ERROR_USAGE, "%ld --labels for %ld --weights", (long)c->labels.count,
                         (long)c->weights.count);
    if (names->count > TASKS_MAX) return error_set(error, ERROR_USAGE, "more than %d --tasks", TASKS_MAX);
    for (int64_t i = 0; i < c->task_options.count; i++)
        if (!strchr(c->task_options.items[i], '='))
            return error_set(error, ERROR_USAGE, "--task-options %s: give key=value or TASK.key=value",
                             c->task_options.items[i]);
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
static int measure_encoder(struct measurement *m, int64_t encoder, const struct option_list *names, char **paths,
                           struct error *error)
{
    m->weights = m->settings->weights.items[encoder];
    m->label = label_of(m->settings, encoder);
    int rc = world_agree(m->world, open_parts(m, names, error), error);
    for (int i = 0; i < m->count; i++) {
        m->parts[i].done = world_max(m->world, m->parts[i].done) > 0;
        paths[i] = mem_strdup(m->parts[i].path);
    }
    if (rc == 0) rc = run_shared(m, error);
    if (rc == 0) rc = run_apart(m, error);
    close_parts(m);
    return rc;
}

/* --- curves --- */

static int write_text(const char *output, const char *ending, const struct str *text, struct error *error)
{
    struct str path = {0};
    char *stem = stem_of(output);
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
    char *stem = stem_of(output);
    int rc = fs_make_folders(stem, error);
    free(stem);
    return rc;
}

/* (all) */
static int measure(const struct world *world, const struct layers_settings *c, const struct option_list *names,
                   struct error *error)
{
    struct measurement m = {.settings = c, .world = world};
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
