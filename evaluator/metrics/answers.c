/* Truth first, then predictions by id. */
#include "evaluator/metrics/answers.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/str.h"
#include "evaluator/metrics/published.h"

/* A file of truth: its name where it is one of a folder, its questions [first, first + count). */
struct answers_file {
    char *stem;
    int64_t first, count;
};

struct reader {
    struct answers *answers;
    struct answers_file *file; /* predictions: NULL where ids say which */
    const char *stem;          /* NULL: the path was a file */
    const struct layout *layout;
    bool boxes, ordered; /* ordered: predictions without ids */
    int64_t rows;        /* visited */
};

/* --- values --- */

static bool is_box(const json_t *value)
{
    bool sound = json_array_size(value) == 4;
    for (size_t i = 0; sound && i < 4; i++) sound = json_is_number(json_array_get(value, i));
    return sound;
}

/* A text, an integer, {answer}, or a box where those are asked for, as text or box; a new reference, NULL: none. */
static json_t *one_answer(json_t *value, bool boxes)
{
    if (boxes && is_box(value)) return json_incref(value);
    if (json_is_object(value)) value = json_object_get(value, "answer");
    char *text = published_text(value);
    json_t *out = text ? json_string(text) : NULL;
    free(text);
    return out;
}

/* All answers as an array, a new reference. */
static json_t *all_answers(json_t *value, bool boxes, struct error *error)
{
    json_t *out = json_array(), *member;
    size_t i;
    if (!json_is_array(value) || (boxes && is_box(value)))
        json_array_append_new(out, one_answer(value, boxes));
    else
        json_array_foreach (value, i, member)
            if (json_array_append_new(out, one_answer(member, boxes)) < 0) break;
    size_t want = json_is_array(value) && !(boxes && is_box(value)) ? json_array_size(value) : 1;
    if (json_array_size(out) == want && want) return out;
    json_decref(out);
    if (!value || json_is_null(value) || !want)
        error_set(error, ERROR_FAILED,
                  "has no answers; a test set whose answers are not published cannot be scored here");
    else
        error_set(error, ERROR_FAILED, "its answers must be texts%s", boxes ? " or boxes of four numbers" : "");
    return NULL;
}

/* A row's text at a key, for the caller to free, or NULL where it has none there (key NULL: nowhere). */
static int text_of(const json_t *row, const char *key, char **text, struct error *error)
{
    const json_t *value = key ? json_object_get(row, key) : NULL;
    *text = published_text(value);
    if (*text || !value || json_is_null(value)) return 0;
    return error_set(error, ERROR_FAILED, "its %s must be a text", key);
}

/* STEM/ID where the file is one of a folder whose files number their questions each for itself. */
static char *full_id(const struct reader *r, const struct layout *layout, const char *id)
{
    struct str full = {0};
    if (r->stem && !layout->unique) str_printf(&full, "%s/", r->stem);
    str_puts(&full, id);
    return str_steal(&full);
}

/* --- truth --- */

/* The id of a row of truth. */
static char *id_of(const struct reader *r, const json_t *row)
{
    const char *key = r->layout->id;
    if (!key) key = json_object_get(row, "id") ? "id" : "question_id";
    char *id = published_text(json_object_get(row, key));
    if (!id && !r->layout->id && !json_object_get(row, key)) {
        struct str number = {0};
        str_printf(&number, "%ld", (long)r->rows);
        id = str_steal(&number);
    }
    char *full = id ? full_id(r, r->layout, id) : NULL;
    free(id);
    return full;
}

/* MMMU's SPLIT_SUBJECT_NUMBER. */
static char *subject_of(const char *id)
{
    const char *first = strchr(id, '_'), *last = strrchr(id, '_');
    return first && last > first + 1 ? strndup(first + 1, (size_t)(last - first - 1)) : NULL;
}

static int check_choices(const struct question *q, const json_t *right, struct error *error)
{
    json_t *choice;
    size_t i;
    bool texts = !q->choices || json_is_array(q->choices);
    json_array_foreach (q->choices, i, choice) texts = texts && json_is_string(choice);
    if (!texts) return error_set(error, ERROR_FAILED, "its choices must be an array of texts");
    if (right && (q->right < 0 || (size_t)q->right >= json_array_size(q->choices)))
        return error_set(error, ERROR_FAILED, "the right choice must be a number, from 0, of its %zu choices",
                         json_array_size(q->choices));
    return 0;
}

static int fill_question(const struct reader *r, struct question *q, json_t *row, struct error *error)
{
    const struct layout *l = r->layout;
    q->row = json_incref(row);
    q->right = -1;
    json_t *choices = l->choices ? json_object_get(row, l->choices) : NULL;
    if (choices && !json_is_null(choices)) q->choices = published_list(choices);
    if (json_is_array(q->choices) && !json_array_size(q->choices)) {
        json_decref(q->choices);
        q->choices = NULL;
    }
    if (text_of(row, l->type, &q->type, error) < 0 || text_of(row, l->group, &q->group, error) < 0) return -1;
    if (!q->group && !strcmp(l->name, "MMMU")) q->group = subject_of(q->id);
    if (!q->group && r->stem && !l->unique && strcmp(l->name, "PerceptionTest")) q->group = mem_strdup(r->stem);
    const json_t *right = l->right ? json_object_get(row, l->right) : NULL;
    if (json_is_integer(right)) q->right = json_integer_value(right);
    if (check_choices(q, right, error) < 0) return -1;
    json_t *answers = right ? json_array_get(q->choices, (size_t)q->right) : NULL;
    if (!right && l->answers) answers = json_object_get(row, l->answers);
    json_t *list = !strcmp(l->name, "MMMU") ? published_list(answers) : json_incref(answers);
    q->answers = all_answers(list, r->boxes, error);
    json_decref(list);
    return q->answers ? 0 : -1;
}

static int add_question(void *context, const char *list, json_t *row, struct error *error)
{
    struct reader *r = context;
    struct answers *a = r->answers;
    if (!r->layout) r->layout = layout_find(list, row, error);
    if (!r->layout) return -1;
    char *id = id_of(r, row);
    if (!id) return error_set(error, ERROR_FAILED, "has no %s", r->layout->id ? r->layout->id : "id");
    r->rows++;
    const json_t *known = json_object_get(a->index, id);
    if (known && r->layout->captions) {
        struct question *q = &a->questions[json_integer_value(known)];
        json_t *more = all_answers(json_object_get(row, r->layout->answers), r->boxes, error);
        free(id);
        if (!more) return -1;
        json_array_extend(q->answers, more);
        json_decref(more);
        return 0;
    }
    if (known) {
        error_set(error, ERROR_FAILED, "question %s is there twice", id);
        free(id);
        return -1;
    }
    if ((a->count & (a->count - 1)) == 0)
        a->questions = mem_realloc(a->questions, a->count ? 2 * (size_t)a->count : 1, sizeof *a->questions);
    struct question *q = &a->questions[a->count];
    *q = (struct question){.id = id};
    json_object_set_new(a->index, id, json_integer(a->count++));
    return fill_question(r, q, row, error);
}

static int read_truth_file(struct answers *a, const char *path, char *stem, bool boxes, struct error *error)
{
    struct reader r = {.answers = a, .stem = stem, .boxes = boxes};
    a->files = mem_realloc(a->files, (size_t)a->file_count + 1, sizeof *a->files);
    struct answers_file *file = &a->files[a->file_count++];
    *file = (struct answers_file){.stem = stem, .first = a->count};
    int rc = published_each(path, add_question, &r, error);
    file->count = a->count - file->first;
    if (rc == 0 && !file->count) rc = error_set(error, ERROR_FAILED, "%s: holds no questions", path);
    if (rc == 0 && a->layout && r.layout != a->layout)
        rc = error_set(error, ERROR_FAILED, "%s: is of layout %s, the files before it are of %s", path, r.layout->name,
                       a->layout->name);
    a->layout = r.layout;
    return rc;
}

/* --- predictions --- */

static char *predicted_id(const struct layout *layout, const json_t *row)
{
    const char *keys[] = {layout->id ? layout->id : "id", "id", "question_id", "questionId", "image_id", "image"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char *id = published_text(json_object_get(row, keys[i]));
        if (id) return id;
    }
    return NULL;
}

/* A text or a box, a new reference.  list: of the member with the rows; in PerceptionTest's a choice is a number. */
static json_t *predicted_reply(const struct reader *r, const char *list, const json_t *row, struct error *error)
{
    static const char *const keys[] = {"reply", "answer", "caption", "text"};
    static const char *const doubtful[] = {"prediction", "pred", "response", "output"};
    const json_t *number = list && !strcmp(list, "mc_question") ? json_object_get(row, "answer_id") : NULL;
    if (json_is_integer(number)) { /* as the letter; below 0: none was chosen */
        json_int_t i = json_integer_value(number);
        return i >= 0 && i < 26 ? json_sprintf("%c", (int)('A' + i)) : json_string("");
    }
    for (size_t i = 0; i < sizeof doubtful / sizeof *doubtful; i++)
        if (json_object_get(row, doubtful[i]) && !json_object_get(row, "reply")) {
            error_set(error, ERROR_FAILED, "has a %s and no reply: call the key of the reply reply", doubtful[i]);
            return NULL;
        }
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_t *value = json_object_get(row, keys[i]);
        if (!value) continue;
        json_t *reply = json_is_object(value) ? NULL : one_answer(value, r->boxes);
        if (!reply)
            error_set(error, ERROR_FAILED, "%s must be a text%s", keys[i], r->boxes ? " or a box of four numbers" : "");
        return reply;
    }
    error_set(error, ERROR_FAILED, "has no reply, answer, caption or text");
    return NULL;
}

/* Where both rows say what was asked, is it the same? */
static bool same_asked(const struct question *q, const struct layout *layout, const json_t *row)
{
    static const char *const keys[] = {"question", "query"};
    const char *asked = layout->text ? json_string_value(json_object_get(q->row, layout->text)) : NULL;
    for (size_t i = 0; asked && i < sizeof keys / sizeof *keys; i++) {
        const char *answered = json_string_value(json_object_get(row, keys[i]));
        if (answered && strcmp(asked, answered)) return false;
    }
    return true;
}

/* The question of a row without an id: that of the same row of truth. */
static struct question *next_question(struct reader *r, const json_t *row, struct error *error)
{
    const struct layout *l = r->answers->layout;
    struct question *q = NULL;
    if (!r->file || l->captions)
        error_set(error, ERROR_FAILED, "has no id");
    else if (r->rows >= r->file->count)
        error_set(error, ERROR_FAILED, "rows without an id are the truth's in order, and it has %ld",
                  (long)r->file->count);
    else
        q = &r->answers->questions[r->file->first + r->rows];
    if (q && !same_asked(q, l, row)) {
        error_set(error, ERROR_FAILED, "rows without an id are the truth's in order, where this one asks \"%s\"",
                  json_string_value(json_object_get(q->row, l->text)));
        q = NULL;
    }
    return q;
}

static struct question *question_of(struct reader *r, const json_t *row, struct error *error)
{
    struct answers *a = r->answers;
    char *id = predicted_id(a->layout, row);
    if (!r->rows) r->ordered = !id;
    if (!id && r->ordered) return next_question(r, row, error);
    char *full = id ? full_id(r, a->layout, id) : NULL;
    const json_t *known = full ? json_object_get(a->index, full) : NULL;
    struct question *q = known ? &a->questions[json_integer_value(known)] : NULL;
    if (!id)
        error_set(error, ERROR_FAILED, "has no id, other rows have one");
    else if (r->ordered)
        error_set(error, ERROR_FAILED, "has an id, other rows have none"), q = NULL;
    else if (!q)
        error_set(error, ERROR_FAILED, "%s is no question of %s", full, a->truth);
    else if (q->reply)
        error_set(error, ERROR_FAILED, "question %s is answered twice", full), q = NULL;
    free(id);
    free(full);
    return q;
}

static int add_reply(void *context, const char *list, json_t *row, struct error *error)
{
    struct reader *r = context;
    struct question *q = question_of(r, row, error);
    if (!q) return -1;
    r->rows++;
    if (json_object_get(row, "error") && !json_object_get(row, "reply")) return 0;
    q->reply = predicted_reply(r, list, row, error);
    return q->reply ? 0 : -1;
}

static int read_predictions_file(struct answers *a, const char *path, const char *stem, bool boxes, struct error *error)
{
    struct reader r = {.answers = a, .stem = stem, .boxes = boxes};
    for (int64_t i = 0; i < a->file_count; i++)
        if (!a->files[i].stem || (stem && !strcmp(a->files[i].stem, stem))) r.file = &a->files[i];
    if (stem && (!r.file || !r.file->stem))
        return error_set(error, ERROR_FAILED, "%s: there is no such file in %s", path, a->truth);
    if (published_each(path, add_reply, &r, error) < 0) return -1;
    if (r.ordered && r.rows < r.file->count)
        return error_set(error, ERROR_FAILED, "%s: %ld rows without an id for %ld questions", path, (long)r.rows,
                         (long)r.file->count);
    return 0;
}

/* --- both --- */

static int read_file(struct answers *a, bool truth, const char *path, char *stem, bool boxes, struct error *error)
{
    if (truth) return read_truth_file(a, path, stem, boxes, error);
    int rc = read_predictions_file(a, path, stem, boxes, error);
    free(stem);
    return rc;
}

/* A file, or each .json and .jsonl of a folder. */
static int read_path(struct answers *a, bool truth, const char *path, bool boxes, struct error *error)
{
    struct fs_list list;
    int rc = 0, files = 0;
    if (!fs_is_folder(path)) return read_file(a, truth, path, NULL, boxes, error);
    if (fs_list(path, &list, error) < 0) return -1;
    for (size_t i = 0; i < list.count && rc == 0; i++) {
        const char *name = list.names[i], *dot = strrchr(name, '.');
        if (!dot || (strcmp(dot, ".json") && strcmp(dot, ".jsonl"))) continue;
        char *file = fs_join(path, name);
        rc = read_file(a, truth, file, strndup(name, (size_t)(dot - name)), boxes, error);
        free(file);
        files++;
    }
    fs_list_free(&list);
    return rc == 0 && !files ? error_set(error, ERROR_FAILED, "%s: holds no .json or .jsonl", path) : rc;
}

int answers_read(struct answers *a, const char *truth, const char *predictions, bool boxes, struct error *error)
{
    *a = (struct answers){.truth = truth, .predictions = predictions, .index = json_object()};
    if (read_path(a, true, truth, boxes, error) < 0) return -1;
    if (predictions && read_path(a, false, predictions, boxes, error) < 0) return -1;
    a->values = mem_zalloc((size_t)a->count, sizeof *a->values);
    a->keys = mem_alloc((size_t)a->count, sizeof *a->keys);
    for (int64_t i = 0; i < a->count; i++) a->keys[i] = a->questions[i].id;
    return 0;
}

void answers_free(struct answers *a)
{
    for (int64_t i = 0; i < a->count; i++) {
        struct question *q = &a->questions[i];
        free(q->id);
        free(q->type);
        free(q->group);
        json_decref(q->row);
        json_decref(q->answers);
        json_decref(q->choices);
        json_decref(q->reply);
    }
    for (int64_t i = 0; i < a->file_count; i++) free(a->files[i].stem);
    free(a->files);
    free(a->questions);
    free(a->values);
    free(a->keys);
    json_decref(a->index);
}
