/* Names below folders, and threads over them. */
#include "evaluator/metrics/pairs.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/str.h"
#include "serve/texts.h"

struct names {
    int64_t count, room;
    char **list;
};

static void add_name(struct names *names, char *name)
{
    if (names->count == names->room)
        names->list = mem_realloc(names->list, (size_t)(names->room = 2 * names->room + 256), sizeof *names->list);
    names->list[names->count++] = name;
}

/* Of all .png below root/below. */
static int walk(struct names *names, const char *root, const char *below, struct error *error)
{
    struct fs_list list;
    char *folder = *below ? fs_join(root, below) : mem_strdup(root);
    int rc = fs_list(folder, &list, error);
    free(folder);
    if (rc < 0) return -1;
    for (size_t i = 0; i < list.count && rc == 0; i++) {
        char *name = *below ? fs_join(below, list.names[i]) : mem_strdup(list.names[i]), *path = fs_join(root, name);
        if (fs_is_folder(path))
            rc = walk(names, root, name, error);
        else if (str_ends_with(name, ".png"))
            add_name(names, mem_strdup(name));
        free(path);
        free(name);
    }
    fs_list_free(&list);
    return rc;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int check_once(char *const *names, int64_t count, const char *list, struct error *error)
{
    char **sorted = mem_alloc((size_t)count + 1, sizeof *sorted);
    memcpy(sorted, names, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, by_bytes);
    int rc = 0;
    for (int64_t i = 1; i < count && rc == 0; i++)
        if (!strcmp(sorted[i - 1], sorted[i]))
            rc = error_set(error, ERROR_FAILED, "%s: %s is there twice", list, sorted[i]);
    free(sorted);
    return rc;
}

static int read_names(struct pairs *p, const char *truth, const char *list, struct error *error)
{
    if (list) {
        if (texts_read(list, true, &p->names, &p->count, error) < 0) return -1;
        return p->count ? check_once(p->names, p->count, list, error)
                        : error_set(error, ERROR_FAILED, "%s: names nothing", list);
    }
    struct names names = {0};
    int rc = walk(&names, truth, "", error);
    p->names = names.list;
    p->count = names.count;
    if (rc < 0) return -1;
    if (!p->count) return error_set(error, ERROR_FAILED, "%s: no .png in this folder or below", truth);
    qsort(p->names, (size_t)p->count, sizeof *p->names, by_bytes);
    return 0;
}

/* path, which ends in .png, with another ending; NULL without one. */
static char *with_ending(const char *path, const char *ending)
{
    struct str text = {0};
    if (!ending || !str_ends_with(path, ".png")) return NULL;
    str_append(&text, path, strlen(path) - strlen(".png"));
    str_puts(&text, ending);
    return str_steal(&text);
}

/* The path of a prediction, NULL with `error`. */
static char *prediction_of(const char *folder, const char *name, const char *other, struct error *error)
{
    char *path = fs_join(folder, name), *second = with_ending(path, other);
    bool there = fs_exists(path), also = second && fs_exists(second);
    if (there && also) error_set(error, ERROR_FAILED, "%s: and %s: which is the prediction?", path, second);
    if (!there && !also)
        error_set(error, ERROR_FAILED, "%s: no such file%s%s: each picture of the truth needs a prediction", path,
                  second ? ", nor " : "", second ? second : "");
    char *found = there == also ? NULL : there ? path : second;
    if (found != path) free(path);
    if (found != second) free(second);
    return found;
}

int pairs_open(struct pairs *pairs, const char *truth, const char *list, const char *predictions, const char *other,
               struct error *error)
{
    *pairs = (struct pairs){0};
    if (read_names(pairs, truth, list, error) < 0) return -1;
    pairs->truth = mem_zalloc((size_t)pairs->count, sizeof *pairs->truth);
    pairs->predicted = mem_zalloc((size_t)pairs->count, sizeof *pairs->predicted);
    for (int64_t i = 0; i < pairs->count; i++) {
        pairs->truth[i] = fs_join(truth, pairs->names[i]);
        pairs->predicted[i] = prediction_of(predictions, pairs->names[i], other, error);
        if (!pairs->predicted[i]) return -1;
    }
    return 0;
}

void pairs_close(struct pairs *pairs)
{
    for (int64_t i = 0; pairs->truth && i < pairs->count; i++) free(pairs->truth[i]);
    for (int64_t i = 0; pairs->predicted && i < pairs->count; i++) free(pairs->predicted[i]);
    free(pairs->truth);
    free(pairs->predicted);
    texts_free(pairs->names, pairs->count);
    *pairs = (struct pairs){0};
}

int pairs_each(int64_t count, int (*work)(void *, int64_t, struct error *), void *context, struct error *error)
{
    int64_t bad = count;
    struct error first = {0};
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < count; i++) {
        int64_t after;
#pragma omp atomic read
        after = bad;
        struct error mine = {0};
        if (i >= after || work(context, i, &mine) == 0) continue;
#pragma omp critical
        if (i < bad) {
#pragma omp atomic write
            bad = i;
            first = mine;
        }
    }
    return bad < count ? error_set(error, first.code, "%s", first.text) : 0;
}
