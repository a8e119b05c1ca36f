/* Reading and checking. */
#include "evaluator/question_rows.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/fs.h"
#include "base/memory.h"
#include "evaluator/metrics/published.h"
#include "serve/rows.h"

struct reader {
    struct question_rows *rows;
    const char *root, *task;
};

static int check_media(const json_t *row, struct error *error)
{
    static const char *const keys[] = {"image", "images", "video"};
    int named = 0;
    for (int i = 0; i < 3; i++) {
        const json_t *value = json_object_get(row, keys[i]);
        if (value && !(i == 1 ? json_array_size(value) > 0 : json_is_string(value)))
            return error_set(error, ERROR_FAILED, "its \"%s\" must be %s", keys[i],
                             i == 1 ? "an array of paths" : "a path");
        named += value != NULL;
        for (size_t k = 0; k < json_array_size(value); k++)
            if (!json_is_string(json_array_get(value, k)))
                return error_set(error, ERROR_FAILED, "its \"images\" must be an array of paths");
    }
    if (named == 1) return 0;
    return error_set(error, ERROR_FAILED,
                     named ? "names more than one of \"image\", \"images\" and \"video\""
                           : "shows nothing: it needs \"image\", \"images\" or \"video\"");
}

/* Parts of a video, as row_media_read takes them. */
static int check_times(const json_t *row, struct error *error)
{
    static const char *const keys[] = {"start_time", "end_time"};
    for (int i = 0; i < 2; i++) {
        const json_t *value = json_object_get(row, keys[i]);
        if (value && !json_is_null(value) && !json_is_number(value))
            return error_set(error, ERROR_FAILED, "its \"%s\" must be a number of seconds", keys[i]);
    }
    return 0;
}

static int check_choices(const struct question_task *task, const json_t *row, struct error *error)
{
    static const char *const keys[] = {"options", "choices"};
    const json_t *choices = question_choices(row), *choice;
    const char *type = json_string_value(json_object_get(row, "type"));
    size_t i;
    if (!task->choices) return 0;
    for (i = 0; i < 2; i++) {
        const json_t *value = json_object_get(row, keys[i]);
        if (value && !json_is_null(value) && !json_is_array(value))
            return error_set(error, ERROR_FAILED, "its \"%s\" must be an array of texts", keys[i]);
    }
    if (choices && task->open && type && !strcmp(type, "open"))
        return error_set(error, ERROR_FAILED, "is of type open, and has options");
    if (!choices && !task->open)
        return error_set(error, ERROR_FAILED, "%s needs \"options\", an array of texts", task->name);
    if (json_array_size(choices) > (size_t)task->choices)
        return error_set(error, ERROR_FAILED, "has %zu options, where replies to %s are read as letters up to %c",
                         json_array_size(choices), task->name, 'A' + task->choices - 1);
    json_array_foreach ((json_t *)(uintptr_t)choices, i, choice)
        if (!json_is_string(choice)) return error_set(error, ERROR_FAILED, "its \"options\" must be texts");
    return 0;
}

static int check(const struct question_row *q, struct error *error)
{
    const json_t *answers = json_object_get(q->row, "answers");
    if (q->task->shape != SHAPE_CAPTION && !json_is_string(json_object_get(q->row, "question")))
        return error_set(error, ERROR_FAILED, "has no \"question\"");
    if (!json_is_string(answers) && !json_is_integer(answers) && !json_array_size(answers))
        return error_set(error, ERROR_FAILED, "has no \"answers\": without them nothing can be scored");
    if (check_media(q->row, error) < 0 || check_times(q->row, error) < 0) return -1;
    return check_choices(q->task, q->row, error);
}

/* name NULL: none. */
static const struct question_task *find_task(const char *name, struct error *error)
{
    const struct question_task *task = name ? question_task_of(name) : NULL;
    struct str names = {0};
    question_task_names(&names);
    if (!name)
        error_set(error, ERROR_USAGE, "names no \"task\", and there is no --task: one of %s", names.data);
    else if (!task)
        error_set(error, ERROR_USAGE, "unknown task \"%s\": one of %s", name, names.data);
    str_free(&names);
    return task;
}

static const struct question_task *task_of(const struct reader *r, const json_t *row, struct error *error)
{
    const json_t *named = json_object_get(row, "task");
    if (!named || json_is_string(named)) return find_task(named ? json_string_value(named) : r->task, error);
    error_set(error, ERROR_FAILED, "its \"task\" must be a text");
    return NULL;
}

static void note_task(struct question_rows *rows, const struct question_task *task)
{
    for (int64_t i = 0; i < rows->task_count; i++)
        if (rows->tasks[i] == task) return;
    rows->tasks = mem_realloc(rows->tasks, (size_t)rows->task_count + 1, sizeof *rows->tasks);
    rows->tasks[rows->task_count++] = task;
}

static int add_row(void *context, json_t *row, struct error *error)
{
    struct reader *r = context;
    struct question_rows *rows = r->rows;
    struct question_row q = {.row = row, .root = r->root, .id = published_text(json_object_get(row, "id"))};
    if (!q.id) return error_set(error, ERROR_FAILED, "has no \"id\"");
    int rc = json_object_get(rows->ids, q.id)
                 ? error_set(error, ERROR_FAILED, "question %s is there twice; give each an id of its own", q.id)
                 : 0;
    if (rc == 0) rc = (q.task = task_of(r, row, error)) ? check(&q, error) : -1;
    if (rc < 0) {
        free(q.id);
        return -1;
    }
    json_incref(row);
    json_object_set_new(rows->ids, q.id, json_true());
    note_task(rows, q.task);
    if ((rows->count & (rows->count - 1)) == 0)
        rows->list = mem_realloc(rows->list, rows->count ? 2 * (size_t)rows->count : 1, sizeof *rows->list);
    rows->list[rows->count++] = q;
    return 0;
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? strndup(path, (size_t)(slash - path) + (slash == path)) : mem_strdup(".");
}

int question_rows_open(struct question_rows *rows, const struct option_list *paths, const char *task,
                       struct error *error)
{
    *rows =
        (struct question_rows){.ids = json_object(), .roots = mem_zalloc((size_t)paths->count, sizeof *rows->roots)};
    if (task && !find_task(task, error)) return error_prefix(error, "--task");
    for (int64_t i = 0; i < paths->count; i++) {
        uint64_t sum;
        rows->roots[rows->root_count++] = folder_of(paths->items[i]);
        struct reader r = {rows, rows->roots[i], task};
        if (fs_checksum(paths->items[i], &sum, error) < 0 || rows_each(paths->items[i], add_row, &r, error) < 0)
            return -1;
        rows->identity = XXH3_64bits_withSeed(&sum, sizeof sum, rows->identity);
    }
    return rows->count ? 0 : error_set(error, ERROR_FAILED, "%s: no questions", paths->items[0]);
}

void question_rows_close(struct question_rows *rows)
{
    for (int64_t i = 0; i < rows->count; i++) {
        json_decref(rows->list[i].row);
        free(rows->list[i].id);
    }
    for (int64_t i = 0; i < rows->root_count; i++) free(rows->roots[i]);
    free(rows->list);
    free(rows->roots);
    free(rows->tasks);
    json_decref(rows->ids);
    *rows = (struct question_rows){0};
}
