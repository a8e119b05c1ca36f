/* Over jansson; lines are rows_each's. */
#include "evaluator/metrics/published.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/utf8.h"
#include "serve/rows.h"

struct visitor {
    int (*visit)(void *context, const char *list, json_t *row, struct error *error);
    void *context;
};

static int visit_row(const struct visitor *v, const char *list, json_t *row, struct error *error)
{
    if (!json_is_object(row)) return error_set(error, ERROR_FAILED, "a row must be an object");
    return v->visit(v->context, list, row, error);
}

static int visit_line(void *context, json_t *row, struct error *error)
{
    return visit_row(context, NULL, row, error);
}

char *published_text(const json_t *value)
{
    if (json_is_string(value)) return mem_strdup(json_string_value(value));
    if (!json_is_integer(value)) return NULL;
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
    return mem_strdup(text);
}

/* One character of a Python literal's text, behind a backslash or not, appended; false: an escape that is not known. */
static bool unescape(const char **at, struct str *out)
{
    static const char escapes[] = "nrt\\'\"", meant[] = "\n\r\t\\'\"";
    const char *found = **at == '\\' ? strchr(escapes, (*at)[1]) : NULL;
    if (**at == '\\' && (!found || !*found)) return false;
    str_putc(out, found ? meant[found - escapes] : **at);
    *at += found ? 2 : 1;
    return true;
}

/* The text at *at, between quotes; NULL: there is none, or it does not end. */
static json_t *quoted(const char **at)
{
    struct str text = {0};
    const char quote = **at;
    json_t *out = NULL;
    str_puts(&text, "");
    bool sound = quote == '\'' || quote == '"';
    for (*at += sound; sound && **at && **at != quote;) sound = unescape(at, &text);
    if (sound && **at) out = json_string(text.data);
    *at += out != NULL;
    str_free(&text);
    return out;
}

json_t *published_list(json_t *value)
{
    const char *text = json_string_value(value), *at = text ? text + strspn(text, " ") : "";
    if (*at != '[') return json_incref(value);
    json_t *list = json_array(), *member = NULL;
    at += 1 + strspn(at + 1, " \n");
    while (*at && *at != ']' && (member = quoted(&at))) {
        json_array_append_new(list, member);
        at += strspn(at, " \n");
        if (*at != ',') break;
        at += 1 + strspn(at + 1, " \n");
    }
    if (*at == ']') return list;
    json_decref(list);
    return json_incref(value);
}

/* {id: text} as rows. */
static json_t *rows_of_texts(json_t *document)
{
    json_t *rows = json_array(), *text;
    const char *id;
    json_object_foreach (document, id, text) {
        if (!json_is_string(text)) {
            json_decref(rows);
            return NULL;
        }
        json_array_append_new(rows, json_pack("{s:s, s:O}", "id", id, "answer", text));
    }
    return rows;
}

/* {video: {mc_question: rows}} or {video: rows} as rows. */
static json_t *rows_of_videos(json_t *document)
{
    json_t *all = json_array(), *member, *row;
    const char *video;
    size_t i;
    json_object_foreach (document, video, member) {
        json_t *rows = json_is_array(member) ? member : json_object_get(member, "mc_question");
        json_array_foreach (rows, i, row) {
            char *id = published_text(json_object_get(row, "id"));
            json_t *copy = json_is_object(row) ? json_copy(row) : json_null();
            if (id) json_object_set_new(copy, "id", json_sprintf("%s/%s", video, id));
            json_array_append_new(all, copy);
            free(id);
        }
        if (json_is_array(rows)) continue;
        json_decref(all);
        return NULL;
    }
    return all;
}

static json_t *members_of(json_t *object)
{
    json_t *rows = json_array(), *member;
    const char *key;
    json_object_foreach (object, key, member) {
        json_t *row = json_is_object(member) ? json_copy(member) : json_incref(member);
        if (!json_object_get(row, "question")) json_object_set_new(row, "question", json_string(key));
        json_array_append_new(rows, row);
    }
    return rows;
}

/* The rows of a document, a new reference, and the name of the member that holds them. */
static json_t *rows_of(json_t *document, const char **list)
{
    static const char *const lists[] = {"data", "annotations", "questions", "mc_question"};
    static const char *const ids[] = {"id", "question_id", "questionId", "image_id"};
    *list = NULL;
    if (json_is_array(document)) return json_incref(document);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        json_t *rows = json_object_get(document, lists[i]);
        *list = lists[i];
        if (json_is_array(rows)) return json_incref(rows);
        if (json_is_object(rows)) return members_of(rows);
    }
    *list = NULL;
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (json_object_get(document, ids[i])) return json_pack("[O]", document);
    json_t *rows = rows_of_texts(document);
    if (rows) return rows;
    *list = "mc_question";
    return rows_of_videos(document);
}

/* The file as one value, a new reference; NULL where it is lines of them, or with an error. */
static json_t *document_of(const char *path, struct error *error)
{
    char *text;
    size_t len;
    json_error_t why;
    if (fs_read(path, &text, &len, error) < 0) return NULL;
    size_t begin = utf8_mark(text, len);
    json_t *document = json_loadb(text + begin, len - begin, JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, &why);
    if (!document)
        error_set(error, ERROR_FAILED, "%s:%d:%d: %s", path, why.line, why.column, why.text);
    else {
        const char *rest = text + begin + why.position;
        if (rest + strspn(rest, " \t\r\n") < text + len) {
            json_decref(document);
            document = NULL;
        }
    }
    free(text);
    return document;
}

int published_each(const char *path, int (*visit)(void *context, const char *list, json_t *row, struct error *error),
                   void *context, struct error *error)
{
    struct visitor v = {visit, context};
    struct error why = {0};
    json_t *document = document_of(path, &why), *row;
    if (why.code) return error_set(error, why.code, "%s", why.text);
    if (!document) return rows_each(path, visit_line, &v, error);
    const char *list;
    json_t *rows = rows_of(document, &list);
    int rc = rows ? 0 : error_set(error, ERROR_FAILED, "%s: holds no rows that are known", path);
    size_t i;
    json_array_foreach (rows, i, row) {
        rc = visit_row(&v, list, row, error);
        if (rc < 0) error_prefix(error, "%s: %s[%zu]", path, list ? list : "", i);
        if (rc < 0) break;
    }
    json_decref(rows);
    json_decref(document);
    return rc;
}
