/* Rows of replies, and their scores. */
#include "evaluator/replies.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "evaluator/scoring.h"
#include "log/log.h"

char *replies_path(const char *output, const char *what)
{
    struct str path = {0};
    size_t len = strlen(output) - (str_ends_with(output, ".json") ? strlen(".json") : 0);
    str_append(&path, output, len);
    str_printf(&path, ".%s.jsonl", what);
    return str_steal(&path);
}

static void copy(json_t *to, const char *name, const json_t *from, const char *key)
{
    json_t *value = json_object_get(from, key);
    if (value) json_object_set(to, name, value);
}

/* The line of question i, without its score. */
static json_t *line_of(const struct replies *r, int64_t i)
{
    static const char *const asked[] = {"type", "group", "image", "images", "video", "question", "right"},
                             *const said[] = {"reply", "text", "log_probability", "likelihoods", "flags", "error"},
                             *const sizes[] = {"width", "height"};
    const struct question_row *q = &r->rows->list[i];
    json_t *line = json_pack("{s:s, s:s}", "id", q->id, "task", q->task->name);
    for (size_t k = 0; k < sizeof asked / sizeof *asked; k++) copy(line, asked[k], q->row, asked[k]);
    struct str prompt = {0};
    question_prompt(q->task, r->wording, q->row, &prompt);
    json_object_set_new(line, "prompt", json_string(prompt.data));
    str_free(&prompt);
    if (q->task->choices && question_choices(q->row))
        json_object_set(line, "choices", (json_t *)(uintptr_t)question_choices(q->row));
    copy(line, "answers", q->row, "answers");
    for (size_t k = 0; k < 2; k++) copy(line, sizes[k], r->said[i], sizes[k]); /* boxes need them: as decoded, */
    for (size_t k = 0; k < 2; k++) copy(line, sizes[k], q->row, sizes[k]);     /* or as the row has it */
    for (size_t k = 0; k < sizeof said / sizeof *said; k++) copy(line, said[k], r->said[i], said[k]);
    return line;
}

/* values NULL: not scored yet. */
static int write_lines(const struct replies *r, const struct question_task *task, const char *path,
                       const json_t *values, struct error *error)
{
    struct str out = {0};
    for (int64_t i = 0; i < r->rows->count; i++) {
        const struct question_row *q = &r->rows->list[i];
        if (q->task != task) continue;
        json_t *line = line_of(r, i);
        if (values) copy(line, "score", values, q->id);
        char *text = json_line(line);
        str_printf(&out, "%s\n", text);
        free(text);
        json_decref(line);
    }
    int rc = fs_write(path, out.data, out.len, error);
    str_free(&out);
    return rc;
}

static bool is_cut(const json_t *row)
{
    const json_t *flags = json_object_get(row, "flags"), *flag;
    size_t i;
    json_array_foreach ((json_t *)(uintptr_t)flags, i, flag)
        if (!strcmp(json_string_value(flag), "cut")) return true;
    return false;
}

static void count_cut(const struct replies *r, const struct question_task *task, json_t *figures)
{
    int64_t cut = 0;
    for (int64_t i = 0; i < r->rows->count; i++) cut += r->rows->list[i].task == task && is_cut(r->said[i]);
    json_object_set_new(figures, "truncated", json_integer(cut));
}

int replies_rehearse(const struct question_rows *rows, const struct question_task *task, const char *output,
                     struct error *error)
{
    json_t *unasked = json_pack("{s:s}", "error", "not asked yet"), *figures = NULL;
    json_t **said = mem_alloc((size_t)rows->count, sizeof *said);
    for (int64_t i = 0; i < rows->count; i++) said[i] = unasked;
    struct replies replies = {rows, WORDING_PLM, said};
    const char *slash = strrchr(output, '/');
    char *folder = slash > output ? strndup(output, (size_t)(slash - output)) : mem_strdup("."),
         *path = replies_path(output, "questions");
    struct scoring scoring = {task->metric, task->options, path, path};
    int rc = fs_make_folders(folder, error);
    if (rc == 0) rc = write_lines(&replies, task, path, NULL, error);
    if (rc == 0) rc = scoring_run(&scoring, &figures, NULL, error);
    if (rc == 0) rc = fs_remove_tree(path, error);
    json_decref(figures);
    json_decref(unasked);
    free(said);
    free(folder);
    free(path);
    return rc;
}

/* Nothing to score is no score of 0. */
static int check_missing(const json_t *figures, const char *path, struct error *error)
{
    int64_t missing = json_integer_value(json_object_get(figures, "missing")),
            samples = json_integer_value(json_object_get(figures, "samples"));
    if (missing == samples)
        return error_set(
            error, ERROR_FAILED,
            "%s: none of the %ld questions has a reply; their rows say why.  Remove the .job folder beside "
            "it to ask again",
            path, (long)samples);
    if (missing)
        log_warn("%s: %ld questions have no reply and count as wrong; their rows say why", path, (long)missing);
    return 0;
}

json_t *replies_score(const struct replies *r, const struct question_task *task, const char *output,
                      struct error *error)
{
    char *path = replies_path(output, "replies");
    struct scoring scoring = {task->metric, task->options, path, path};
    json_t *figures = NULL, *values = NULL;
    int rc = write_lines(r, task, path, NULL, error);
    if (rc == 0) rc = scoring_run(&scoring, &figures, &values, error);
    if (rc == 0) rc = write_lines(r, task, path, values, error);
    if (rc == 0) rc = check_missing(figures, path, error);
    if (rc == 0) {
        count_cut(r, task, figures);
        json_object_set_new(figures, "metric", json_string(task->metric));
        if (*task->options) json_object_set_new(figures, "metric_options", json_string(task->options));
    }
    json_decref(values);
    free(path);
    if (rc == 0) return figures;
    json_decref(figures);
    return NULL;
}
