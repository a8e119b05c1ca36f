/* A task on its own command line: of one encoder on its data, or, where --output has places to fill, of each encoder
 * on each data set, as clip_benchmark runs them.
 *
 *   --weights A B --data x y --output 'results/{dataset}_{pretrained}_{model}_{task}.json'     four files
 *
 * An encoder is loaded once for all its data.  What fails is named and left out; the others run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/str.h"
#include "evaluator/recipe.h"
#include "evaluator/task.h"
#include "evaluator/verb.h"
#include "log/log.h"

struct sweep_settings {
    struct session_settings session; /* its weights and model: of the encoder at work */
    struct option_list weights, models;
    bool skip_existing;
};

#define AT(field) offsetof(struct sweep_settings, field)
/* clang-format off */
static const struct option sweep_options[] = {
    {OPTION_STRINGS, "weights", AT(weights), "!", 0, 0, NULL,
     ".safetensors file (PE, open_clip or timm naming) or checkpoint folder; several where --output has {pretrained}"},
    {OPTION_STRINGS, "model", AT(models), "!", 0, 0, NULL,
     "PE-Core-B16-224 ... or the path of a model's .json; one for all --weights, or one each"},
    {OPTION_BOOL, "skip-existing", AT(skip_existing), "false", 0, 0, NULL, "keep the results that the same options and weights made (noted in .NAME.options)"},
    {OPTION_TABLE, .table = session_options},
    {0}};
/* clang-format on */

/* One encoder on one data set, or on all of them as one. */
struct combination {
    char *weights, *model;
    int64_t data; /* which; -1: all of them */
    char *output;
    bool done;
};

struct sweep {
    const struct task *task;
    const struct world *world;
    const struct option_program *program;
    struct sweep_settings *settings; /* what it fills */
    void *self;                      /* the task's own, as parsed: each run has a copy */
    struct option_list *data;        /* in it; NULL: it takes none */
    struct combination *list;
    int64_t count, failures;
    struct str failed; /* outputs of those that did */
};

/* --- names --- */

/* The last part of a path, without its ending .json; the caller frees. */
static char *model_name(const char *model)
{
    char *name = fs_last(model);
    if (str_ends_with(name, ".json")) name[strlen(name) - strlen(".json")] = 0;
    return name;
}

/* The last part of a path; of RUN/checkpoints/latest RUN-latest.  The caller frees. */
static char *short_name(const char *path)
{
    const char *inner = strstr(path, "/checkpoints/");
    struct str out = {0};
    char *name = fs_last(path);
    if (inner && !strchr(inner + strlen("/checkpoints/"), '/')) {
        char *run = strndup(path, (size_t)(inner - path)), *run_name = fs_last(run);
        str_printf(&out, "%s-", run_name);
        free(run_name);
        free(run);
    }
    str_puts(&out, name);
    free(name);
    return str_steal(&out);
}

static char *full_name(const char *path)
{
    char *copy = mem_strdup(path);
    for (char *c = copy; *c; c++)
        if (*c == '/') *c = '_';
    return copy;
}

enum { PLACES = 6 };

/* --output with its places filled; the caller frees.  NULL with `error`: a place of no name. */
static char *fill(const struct sweep *s, const struct combination *c, struct error *error)
{
    struct {
        const char *name;
        char *value;
    } places[PLACES] = {{"dataset", c->data < 0 ? mem_strdup("") : short_name(s->data->items[c->data])},
                        {"pretrained", short_name(c->weights)},
                        {"pretrained_full_path", full_name(c->weights)},
                        {"model", model_name(c->model)},
                        {"task", mem_strdup(s->task->result ? s->task->result : s->task->name)},
                        {"language", mem_strdup("en")}};
    struct str out = {0};
    int rc = 0;
    for (const char *at = s->settings->session.output; *at && rc == 0;) {
        const char *end = *at == '{' ? strchr(at, '}') : NULL;
        int which = 0;
        if (!end) {
            str_putc(&out, *at++);
            continue;
        }
        while (which < PLACES &&
               (strncmp(at + 1, places[which].name, (size_t)(end - at - 1)) || places[which].name[end - at - 1]))
            which++;
        if (which < PLACES)
            str_puts(&out, places[which].value);
        else
            rc = error_set(error, ERROR_USAGE,
                           "--output: %.*s is none of {dataset} {pretrained} {pretrained_full_path} {model} {task} "
                           "{language}",
                           (int)(end - at + 1), at);
        at = end + 1;
    }
    for (int i = 0; i < PLACES; i++) free(places[i].value);
    if (rc == 0) return str_steal(&out);
    str_free(&out);
    return NULL;
}

/* --- what is to be run --- */

/* The list behind --data, among the task's options. */
static struct option_list *find_data(const struct option *table, char *self)
{
    struct option_list *found = NULL;
    for (const struct option *o = table; (o->key || o->type) && !found; o++) {
        if (o->type == OPTION_TABLE)
            found = find_data(o->table, self + o->offset);
        else if (o->type == OPTION_STRINGS && !strcmp(o->key, "data"))
            found = (struct option_list *)(void *)(self + o->offset);
    }
    return found;
}

static int add(struct sweep *s, int64_t weights, int64_t data, struct error *error)
{
    const struct sweep_settings *c = s->settings;
    struct combination *n = &s->list[s->count];
    *n = (struct combination){c->weights.items[weights], c->models.items[c->models.count > 1 ? weights : 0],
                              .data = data};
    n->output = fill(s, n, error);
    if (!n->output) return -1;
    s->count++;
    for (int64_t i = 0; i + 1 < s->count; i++)
        if (!strcmp(s->list[i].output, n->output))
            return error_set(error, ERROR_USAGE,
                             "--output: %s would be the result of several; put {dataset}, {pretrained} or "
                             "{pretrained_full_path} into it",
                             n->output);
    return 0;
}

static int combine(struct sweep *s, struct error *error)
{
    const struct sweep_settings *c = s->settings;
    bool each = strchr(c->session.output, '{') && s->data && s->data->count;
    int64_t weights = c->weights.count, data = each ? s->data->count : 1;
    s->list = mem_zalloc((size_t)(weights * data) + 1, sizeof *s->list);
    if (c->models.count > 1 && c->models.count != weights)
        return error_set(error, ERROR_USAGE, "%ld --model for %ld --weights: give one, or one each",
                         (long)c->models.count, (long)weights);
    for (int64_t w = 0; w < weights; w++)
        for (int64_t d = 0; d < data; d++)
            if (add(s, w, each ? d : -1, error) < 0) return -1;
    return 0;
}

/* (rank 0) Its options, but for those that change no result, with what is its own among them. */
static json_t *recipe_of(const struct sweep *s, const struct combination *c, struct error *error)
{
    static const char *const no_matter[] = {"output", "skip-existing", "batch-size", "threads"};
    json_t *options = options_json(s->program, s->settings);
    for (size_t i = 0; i < sizeof no_matter / sizeof *no_matter; i++) json_object_del(options, no_matter[i]);
    json_object_set_new(options, "weights", json_text(c->weights));
    json_object_set_new(options, "model", json_text(c->model));
    if (c->data >= 0) json_object_set_new(options, "data", json_pack("[o]", json_text(s->data->items[c->data])));
    return recipe_make(options, c->weights, error);
}

static int find_result(const struct sweep *s, struct combination *c, struct error *error)
{
    if (!fs_exists(c->output)) return 0;
    json_t *recipe = recipe_of(s, c, error);
    int rc = recipe ? recipe_find(c->output, recipe, &c->done, error) : -1;
    json_decref(recipe);
    return rc;
}

/* (all) */
static int look_for_results(struct sweep *s, struct error *error)
{
    int rc = 0;
    for (int64_t i = 0; i < s->count && s->settings->skip_existing && rc == 0; i++) {
        struct combination *c = &s->list[i];
        rc = world_agree(s->world, s->world->rank ? 0 : find_result(s, c, error), error);
        c->done = world_max(s->world, c->done) > 0;
        if (c->done) log_info("%s is there already", c->output);
    }
    return rc;
}

/* --- running --- */

static int make_folder(const char *path, struct error *error)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path) return 0;
    char *folder = strndup(path, (size_t)(slash - path));
    int rc = fs_make_folders(folder, error);
    free(folder);
    return rc;
}

/* (rank 0) A place for its result; of a sweep, or what may be skipped later, what it is made from is noted. */
static int begin(const struct sweep *s, const struct combination *c, struct error *error)
{
    bool noted = s->settings->skip_existing || strchr(s->settings->session.output, '{');
    json_t *recipe = noted ? recipe_of(s, c, error) : NULL;
    int rc = noted && !recipe ? -1 : make_folder(c->output, error);
    if (rc == 0) rc = recipe_begin(c->output, recipe, error);
    json_decref(recipe);
    return rc;
}

/* (all) */
static int run_one(const struct sweep *s, const struct combination *c, struct session *session, struct error *error)
{
    char *own = mem_alloc(1, s->task->bytes);
    void *self = own;
    const char *output = c->output;
    memcpy(own, s->self, s->task->bytes);
    if (c->data >= 0) *find_data(s->task->options, own) = (struct option_list){s->data->items + c->data, 1};
    if (s->count > 1 && !s->world->rank) printf("%s\n", output);
    int rc = world_agree(s->world, s->world->rank ? 0 : begin(s, c, error), error);
    if (rc == 0) rc = tasks_run(&s->task, &self, &output, 1, session, error);
    free(own);
    return rc;
}

/* (all) A failure ends the sweep when it is its only part, or a signal asked for it.  Returns -1 then. */
static int note(struct sweep *s, const struct combination *c, const struct error *why, struct error *error)
{
    if (s->count == 1 || why->code == ERROR_STOPPED) return error_set(error, why->code, "%s", why->text);
    if (!s->world->rank) log_warn("%s: not made: %s", c->output, why->text);
    str_printf(&s->failed, s->failures++ ? ", %s" : "%s", c->output);
    return 0;
}

/* (all) Combinations [first, end) are of one encoder. */
static int run_encoder(struct sweep *s, int64_t first, int64_t end, struct error *error)
{
    struct session session = {0};
    struct error why = {0};
    struct session_settings settings = s->settings->session;
    settings.weights = s->list[first].weights;
    settings.model = s->list[first].model;
    int rc = 0, opened = session_open(&session, s->world, &settings, s->task->use(s->self), &why);
    for (int64_t i = first; i < end && rc == 0; i++) {
        if (s->list[i].done) continue;
        if (opened < 0) {
            rc = note(s, &s->list[i], &why, error);
            continue;
        }
        struct error one = {0};
        if (run_one(s, &s->list[i], &session, &one) < 0) rc = note(s, &s->list[i], &one, error);
        session_forget(&session);
    }
    session_close(&session);
    return rc;
}

/* (all) */
static int run_all(struct sweep *s, struct error *error)
{
    int rc = combine(s, error);
    if (rc == 0) rc = look_for_results(s, error);
    for (int64_t first = 0, end; first < s->count && rc == 0; first = end) {
        bool any = false;
        for (end = first; end < s->count && s->list[end].weights == s->list[first].weights; end++)
            any |= !s->list[end].done;
        if (any) rc = run_encoder(s, first, end, error);
    }
    if (rc == 0 && s->failures)
        rc = error_set(error, ERROR_FAILED, "%ld of %ld results are not there (the log says why): %s",
                       (long)s->failures, (long)s->count, s->failed.data);
    for (int64_t i = 0; i < s->count; i++) free(s->list[i].output);
    free(s->list);
    str_free(&s->failed);
    return rc;
}

int task_run(const struct task *task, const struct world *world, int argc, char **argv, struct error *error)
{
    const size_t own = sizeof(struct sweep_settings); /* the task's own options lie behind these */
    struct option options[] = {
        {OPTION_TABLE, .table = sweep_options}, {OPTION_TABLE, .offset = own, .table = task->options}, {0}};
    struct option_program program = {PROGRAM, task->name, task->summary, options};
    char *settings = mem_zalloc(1, own + task->bytes), *self = settings + own;
    int rc = options_parse(&program, settings, argc, argv, world->rank > 0, error);
    if (rc == OPTIONS_OK) {
        struct sweep sweep = {
            .task = task, .world = world, .program = &program, .settings = (void *)settings, .self = self};
        sweep.data = find_data(task->options, self);
        rc = run_all(&sweep, error);
    }
    options_free(&program, settings);
    free(settings);
    return rc < 0 ? -1 : 0;
}
