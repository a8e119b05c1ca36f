/* What each part is called with, where its result lies, and running it. */
#include "evaluator/parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "evaluator/probe.h"
#include "evaluator/recipe.h"
#include "evaluator/words.h"
#include "log/log.h"

char *parts_folder(const char *output)
{
    size_t len = strlen(output);
    struct str out = {0};
    str_append(&out, output, str_ends_with(output, ".json") ? len - strlen(".json") : len);
    return str_steal(&out);
}

/* --- command lines --- */

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

static void add_session_words(struct words *w, const struct parts *m, const char *output)
{
    words_option(w, "weights", m->weights);
    words_option(w, "model", m->settings->model);
    words_option(w, "output", output);
    add_task_options(w, &m->settings->task_options, NULL);
}

const struct option_list *parts_own_data(const struct layers_settings *c, const char *task)
{
    return !strcmp(task, "track")     ? &c->track_data
           : !strcmp(task, "segment") ? &c->segment_data
           : !strcmp(task, "depth")   ? &c->depth_data
           : !strcmp(task, "detect")  ? &c->detect_data
                                      : NULL;
}

static void add_own_words(struct words *w, const struct parts *m, const struct part *p)
{
    const struct layers_settings *c = m->settings;
    const struct option_list *own = parts_own_data(c, p->name);
    words_option(w, "layers", c->layers);
    if (own != &c->track_data) words_options(w, "train-data", own ? own : &c->train_data);
    words_options(w, "data", own ? own : &c->data);
    if (!own && strcmp(p->name, "attention")) words_option(w, "feature", c->feature);
    add_task_options(w, &c->task_options, p->name);
}

/* --- names and results --- */

static int find_part(struct part *p, const char *name, struct error *error)
{
    *p = (struct part){.name = name};
    for (int i = 0; probe_tasks[i]; i++)
        if (!strcmp(probe_tasks[i]->name, name)) p->task = probe_tasks[i];
    for (int i = 0; probe_runs[i]; i++)
        if (!strcmp(probe_runs[i]->name, name)) p->verb = probe_runs[i];
    for (int i = 0; dense_runs[i]; i++)
        if (!strcmp(dense_runs[i]->name, name)) p->verb = dense_runs[i];
    for (int i = 0; task_list[i]; i++)
        if (task_list[i]->layered && !strcmp(task_list[i]->name, name)) p->task = task_list[i];
    if (p->task || p->verb) return 0;
    return error_set(error, ERROR_USAGE, "--tasks %s: no task that is measured layer by layer", name);
}

/* The encoder's name in file names: what is no letter, digit, dot, plus or minus becomes '_'. */
static char *part_path(const struct parts *m, const struct part *p)
{
    struct str out = {0};
    char *stem = parts_folder(m->settings->output);
    str_printf(&out, "%s/", stem);
    free(stem);
    for (const char *c = m->label; *c; c++)
        str_putc(&out,
                 (*c >= '0' && *c <= '9') || ((*c | 32) >= 'a' && (*c | 32) <= 'z') || strchr(".+-", *c) ? *c : '_');
    str_printf(&out, "-%s.json", p->name);
    return str_steal(&out);
}

/* (rank 0) Its command line and its encoder's weights. */
static json_t *recipe_of(const struct parts *m, const struct part *p, struct error *error)
{
    struct words words = {0};
    json_t *list = json_array();
    add_session_words(&words, m, p->path);
    add_own_words(&words, m, p);
    for (int i = 0; i < words.count; i++) json_array_append_new(list, json_text(words.list[i]));
    words_free(&words);
    return recipe_make(list, m->weights, error);
}

/* (rank 0) */
static int look_for(const struct parts *m, struct part *p, struct error *error)
{
    json_t *recipe = recipe_of(m, p, error);
    int rc = recipe ? 0 : -1;
    if (rc == 0 && m->settings->skip_existing) rc = recipe_find(p->path, recipe, &p->done, error);
    if (rc == 0 && !p->done) rc = recipe_begin(p->path, recipe, error);
    json_decref(recipe);
    return rc;
}

static int open_each(struct parts *m, const struct option_list *names, struct error *error)
{
    m->count = 0;
    for (int64_t i = 0; i < names->count; i++) {
        struct part *p = &m->list[m->count];
        if (find_part(p, names->items[i], error) < 0) return -1;
        p->path = part_path(m, p);
        m->count++;
        if (!m->world->rank && look_for(m, p, error) < 0) return -1;
    }
    return 0;
}

int parts_open(struct parts *m, const struct option_list *names, struct error *error)
{
    if (world_agree(m->world, open_each(m, names, error), error) < 0) return -1;
    for (int i = 0; i < m->count; i++) m->list[i].done = world_max(m->world, m->list[i].done) > 0;
    return 0;
}

void parts_close(struct parts *m)
{
    for (int i = 0; i < m->count; i++) free(m->list[i].path);
    m->count = 0;
}

/* --- running --- */

/* (all) Those of the parts in one session, each input passed once. */
static int run_session(struct parts *m, struct part **parts, int count, const struct session_settings *settings,
                       void **selves, struct error *error)
{
    const struct task *tasks[PARTS_MAX];
    const char *outputs[PARTS_MAX];
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
static int run_shared(struct parts *m, struct error *error)
{
    struct part *parts[PARTS_MAX];
    void *selves[PARTS_MAX];
    struct option_program programs[PARTS_MAX], session = {PROGRAM, "layers", NULL, session_options};
    struct session_settings settings = {0};
    struct words words = {0};
    int count = 0, rc = OPTIONS_OK;
    for (int i = 0; i < m->count && rc == OPTIONS_OK; i++) {
        struct part *p = &m->list[i];
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
static int run_apart(struct parts *m, struct error *error)
{
    int rc = 0;
    for (int i = 0; i < m->count && rc == 0; i++) {
        const struct part *p = &m->list[i];
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

int parts_run(struct parts *m, struct error *error)
{
    return run_shared(m, error) < 0 ? -1 : run_apart(m, error);
}
