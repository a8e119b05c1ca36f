/* Reading back and appending. */
#include "serve/rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/utf8.h"
#include "dist/lock.h"

static char *path_of(const struct rows *r, const char *kind, int rank)
{
    struct str path = {0};
    str_printf(&path, "%s/%s", r->folder, r->name);
    if (rank >= 0)
        str_printf(&path, "-%s-%05d.jsonl", kind, rank);
    else
        str_puts(&path, kind);
    return str_steal(&path);
}

/* Visit whole lines of a rank's file that are JSON; what follows the last line end was torn off and is cut away when
 * `mend`. */
static int each_line(const char *path, bool mend, void (*visit)(void *context, json_t *value), void *context,
                     struct error *error)
{
    char *text;
    size_t len, at = 0;
    if (fs_read(path, &text, &len, error) < 0) return -1;
    for (char *end; at < len && (end = memchr(text + at, '\n', len - at)); at = (size_t)(end - text) + 1) {
        json_t *value = json_loadb(text + at, (size_t)(end - text) - at, JSON_DECODE_ANY, NULL);
        if (value) visit(context, value);
        json_decref(value);
    }
    free(text);
    if (mend && at < len && truncate(path, (off_t)at) < 0)
        return error_set(error, ERROR_FAILED, "%s: cannot cut a torn line: %s", path, strerror(errno));
    return 0;
}

/* All files of a kind, of whatever ranks wrote them. */
static int each_file(const struct rows *r, const char *kind, bool mend, void (*visit)(void *context, json_t *value),
                     void *context, struct error *error)
{
    struct fs_list list;
    struct str prefix = {0};
    str_printf(&prefix, "%s-%s-", r->name, kind);
    int rc = fs_list(r->folder, &list, error);
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        if (!str_starts_with(list.names[i], prefix.data)) continue;
        char *path = fs_join(r->folder, list.names[i]);
        rc = each_line(path, mend, visit, context, error);
        free(path);
    }
    if (rc == 0) fs_list_free(&list);
    str_free(&prefix);
    return rc;
}

static int64_t item_of(const struct rows *r, const json_t *row)
{
    const json_t *item = json_object_get(row, "item");
    int64_t n = json_is_integer(item) ? json_integer_value(item) : -1;
    return n >= 0 && n < r->count ? n : -1;
}

static void mark_done(void *context, json_t *row)
{
    struct rows *r = context;
    int64_t item = item_of(r, row);
    if (item >= 0) r->done[item] = true;
}

struct tries {
    struct rows *rows;
    uint8_t *count;
};

static void count_try(void *context, json_t *value)
{
    struct tries *t = context;
    int64_t number = json_integer_value(value), item = number < 0 ? -1 - number : number;
    if (!json_is_integer(value) || item >= t->rows->count) return;
    if (number >= 0 && t->count[item] < 255) t->count[item]++;
    if (number < 0 && t->count[item] > 0) t->count[item]--;
}

/* Members of one that are other, or not there, in the other. */
static void list_other(const json_t *one, const json_t *other, bool missing, struct str *names)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)one, key, value) {
        const json_t *there = json_object_get(other, key);
        if (missing ? there != NULL : there && json_equal(value, there)) continue;
        str_printf(names, "%s%s", names->len ? ", " : "", key);
    }
}

/* Rank 0: the folder is this run's. */
static int claim(struct rows *r, const json_t *recipe, struct error *error)
{
    char *path = path_of(r, ".json", -1), *lock = path_of(r, ".lock", -1);
    struct str names = {0};
    int rc = fs_make_folders(r->folder, error);
    if (rc == 0) rc = lock_take(&r->lock, lock, r->folder, "--output", error);
    if (rc == 0 && fs_exists(path)) {
        json_t *before = json_read(path, error);
        list_other(recipe, before, false, &names);
        list_other(before, recipe, true, &names);
        if (!before)
            rc = -1;
        else if (names.len)
            rc = error_set(error, ERROR_FAILED,
                           "%s: this folder's rows were made with other data, model or options (%s); choose another "
                           "--output, or remove them",
                           path, names.data);
        json_decref(before);
    } else if (rc == 0)
        rc = json_write(path, recipe, error);
    str_free(&names);
    free(path);
    free(lock);
    return rc;
}

static int open_append(FILE **file, const char *path, struct error *error)
{
    *file = fopen(path, "ab");
    return *file ? 0 : error_set(error, ERROR_FAILED, "%s: cannot write: %s", path, strerror(errno));
}

/* Items that killed those who began them become rows with an error, written by rank 0. */
static int give_up(struct rows *r, int64_t attempts, struct error *error)
{
    struct tries t = {r, mem_zalloc((size_t)r->count + 1, 1)};
    int rc = each_file(r, "begun", false, count_try, &t, error);
    for (int64_t i = 0; rc == 0 && i < r->count; i++) {
        if (r->done[i] || t.count[i] < attempts) continue;
        r->done[i] = true;
        if (!r->world->rank)
            rc = rows_write(r, i, json_pack("{s:s}", "error", "ended the program each time it was begun"), error);
    }
    free(t.count);
    return rc;
}

static int open_files(struct rows *r, int64_t attempts, struct error *error)
{
    char *out = path_of(r, "rows", r->world->rank), *begun = path_of(r, "begun", r->world->rank);
    int rc = each_file(r, "rows", false, mark_done, r, error);
    if (rc == 0) rc = open_append(&r->out, out, error);
    if (rc == 0) rc = open_append(&r->begun, begun, error);
    if (rc == 0) rc = give_up(r, attempts, error);
    r->todo = mem_alloc((size_t)r->count + 1, sizeof *r->todo);
    for (int64_t i = 0; i < r->count; i++)
        if (!r->done[i]) r->todo[r->left++] = i;
    free(out);
    free(begun);
    return rc;
}

static void nothing(void *context, json_t *row)
{
    (void)context, (void)row;
}

int rows_open(struct rows *r, const struct world *world, const char *folder, const char *name, int64_t count,
              int64_t attempts, const json_t *recipe, struct error *error)
{
    *r = (struct rows){.folder = mem_strdup(folder),
                       .name = name,
                       .world = world,
                       .count = count,
                       .lock = -1,
                       .done = mem_zalloc((size_t)count + 1, sizeof *r->done)};
    int rc = world->rank ? 0 : claim(r, recipe, error);
    if (rc == 0 && !world->rank) rc = each_file(r, "rows", true, nothing, NULL, error);
    if (rc == 0 && !world->rank) rc = each_file(r, "begun", true, nothing, NULL, error);
    if (world_agree(world, rc, error) < 0) return -1;
    rc = world_agree(world, open_files(r, attempts, error), error);
    world_barrier(world); /* nobody writes before all have read */
    return rc;
}

void rows_close(struct rows *r)
{
    if (r->out) fclose(r->out);
    if (r->begun) fclose(r->begun);
    if (r->lock >= 0) close(r->lock);
    free(r->folder);
    free(r->done);
    free(r->todo);
    *r = (struct rows){.lock = -1};
}

static int put_line(FILE *file, const char *what, const char *text, struct error *error)
{
    if (fprintf(file, "%s\n", text) > 0 && fflush(file) == 0) return 0;
    return error_set(error, ERROR_FAILED, "%s: cannot write: %s", what, strerror(errno));
}

int rows_begin(struct rows *r, int64_t item, struct error *error)
{
    char number[24];
    snprintf(number, sizeof number, "%ld", (long)item);
    return put_line(r->begun, r->folder, number, error);
}

int rows_put_back(struct rows *r, int64_t item, struct error *error)
{
    return rows_begin(r, -1 - item, error);
}

int rows_write(struct rows *r, int64_t item, json_t *row, struct error *error)
{
    json_object_set_new(row, "item", json_integer(item));
    char *text = json_dumps(row, JSON_COMPACT | JSON_SORT_KEYS);
    int rc = put_line(r->out, r->folder, text, error);
    free(text);
    json_decref(row);
    return rc;
}

struct merge {
    struct rows *rows;
    json_t **list;
};

static void collect(void *context, json_t *row)
{
    struct merge *m = context;
    int64_t item = item_of(m->rows, row);
    if (item >= 0 && !m->list[item]) m->list[item] = json_incref(row);
}

static int write_lists(struct rows *r, json_t *const *list, void (*visit)(void *context, json_t *row), void *context,
                       struct error *error)
{
    struct str good = {0}, bad = {0};
    for (int64_t i = 0; i < r->count; i++) {
        if (!list[i]) continue;
        bool failed = json_object_get(list[i], "error");
        if (!failed && visit) visit(context, list[i]);
        char *text = json_dumps(list[i], JSON_COMPACT | JSON_SORT_KEYS);
        str_printf(failed ? &bad : &good, "%s\n", text);
        free(text);
    }
    char *rows = path_of(r, ".jsonl", -1), *quarantine = path_of(r, "-quarantine.jsonl", -1);
    int rc = fs_write(rows, good.data ? good.data : "", good.len, error);
    if (rc == 0) rc = fs_write(quarantine, bad.data ? bad.data : "", bad.len, error);
    str_free(&good);
    str_free(&bad);
    free(rows);
    free(quarantine);
    return rc;
}

int rows_merge(struct rows *r, void (*visit)(void *context, json_t *row), void *context, struct error *error)
{
    int rc = fflush(r->out) || fsync(fileno(r->out))
                 ? error_set(error, ERROR_FAILED, "%s: cannot write: %s", r->folder, strerror(errno))
                 : 0;
    if (world_agree(r->world, rc, error) < 0) return -1;
    if (!r->world->rank) {
        struct merge m = {r, mem_zalloc((size_t)r->count + 1, sizeof *m.list)};
        rc = each_file(r, "rows", false, collect, &m, error);
        if (rc == 0) rc = write_lists(r, m.list, visit, context, error);
        rows_free_list(m.list, r->count);
    }
    return world_agree(r->world, rc, error);
}

int rows_each(const char *path, int (*visit)(void *context, json_t *row, struct error *error), void *context,
              struct error *error)
{
    char *text;
    size_t len;
    int64_t number = 0;
    int rc = 0;
    if (fs_read(path, &text, &len, error) < 0) return -1;
    for (size_t at = utf8_mark(text, len), size; at < len && rc == 0; at += size + 1) {
        const char *line = text + at, *end = memchr(line, '\n', len - at);
        json_error_t why;
        size = end ? (size_t)(end - line) : len - at;
        number++;
        if (strspn(line, " \t\r") >= size) continue;
        json_t *row = json_loadb(line, size, 0, &why);
        rc = row ? visit(context, row, error) : error_set(error, ERROR_FAILED, "%s", why.text);
        if (rc < 0) error_prefix(error, "%s: line %ld", path, (long)number);
        json_decref(row);
    }
    free(text);
    return rc;
}

static int collect_known(void *context, json_t *row, struct error *error)
{
    struct merge *m = context;
    if (item_of(m->rows, row) < 0)
        return error_set(error, ERROR_FAILED, "not a row of one of the %ld items; is it of other data?",
                         (long)m->rows->count);
    collect(m, row);
    return 0;
}

int rows_read(const char *path, int64_t count, json_t ***list, struct error *error)
{
    struct rows r = {.count = count};
    struct merge m = {&r, mem_zalloc((size_t)count + 1, sizeof *m.list)};
    int rc = rows_each(path, collect_known, &m, error);
    if (rc < 0)
        rows_free_list(m.list, count);
    else
        *list = m.list;
    return rc;
}

void rows_free_list(json_t **list, int64_t count)
{
    for (int64_t i = 0; list && i < count; i++) json_decref(list[i]);
    free(list);
}
