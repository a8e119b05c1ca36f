/* Pairing by name or number. */
#include "evaluator/report/files.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/str.h"
#include "data/image.h"

static size_t stem(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? (size_t)(dot - name) : strlen(name);
}

/* Its last digits; *count 0: it ends in none. */
static const char *number(const char *name, size_t *count)
{
    size_t end = stem(name), first = end;
    while (first > 0 && isdigit((unsigned char)name[first - 1])) first--;
    *count = end - first;
    return name + first;
}

static bool same_stem(const char *a, const char *b)
{
    return stem(a) == stem(b) && !strncmp(a, b, stem(a));
}

static bool same_number(const char *a, const char *b)
{
    size_t of_a, of_b;
    const char *x = number(a, &of_a), *y = number(b, &of_b);
    return of_a && of_a == of_b && !strncmp(x, y, of_a);
}

/* Pictures of numbers are PNG or arrays; any picture but that of numbers itself (`except`, NULL: none) may be what they
 * are of. */
static bool may_be(const char *folder, const char *name, bool numbers, const char *except)
{
    if (numbers) return str_ends_with(name, ".png") || str_ends_with(name, ".npy");
    char *path = fs_join(folder, name);
    bool same = except && fs_same(path, except);
    free(path);
    return image_is_name(name) && !same;
}

/* The file of `list` that goes with `name`; NULL with `error`. */
static char *partner(const char *folder, const struct fs_list *list, const char *name, bool numbers, const char *except,
                     struct error *error)
{
    for (int way = 0; way < 2; way++) {
        size_t found = 0, fits = 0;
        for (size_t i = 0; i < list->count; i++)
            if ((way ? same_number(list->names[i], name) : same_stem(list->names[i], name)) &&
                may_be(folder, list->names[i], numbers, except))
                found = i, fits++;
        if (fits == 1) return fs_join(folder, list->names[found]);
        if (fits > 1) {
            error_set(error, ERROR_FAILED, "%s: %zu files go with the prediction %s", folder, fits, name);
            return NULL;
        }
    }
    error_set(error, ERROR_FAILED, "%s: no file goes with the prediction %s (the same name, or the same number)",
              folder, name);
    return NULL;
}

static int add(struct predicted_files *f, const struct option_list *folders, const struct fs_list *lists,
               const char *name, struct error *error)
{
    f->list = mem_realloc(f->list, (size_t)f->count + 1, sizeof *f->list);
    struct predicted_file *one = &f->list[f->count++];
    *one = (struct predicted_file){.name = strndup(name, stem(name)), .predicted = fs_join(folders->items[1], name)};
    if (folders->count > 2 && !(one->truth = partner(folders->items[2], &lists[2], name, true, NULL, error))) return -1;
    one->picture = partner(folders->items[0], &lists[0], name, false, one->truth, error);
    return one->picture ? 0 : -1;
}

int predicted_open(struct predicted_files *f, const char *option, const struct option_list *folders, bool arrays,
                   struct error *error)
{
    enum { FOLDERS = 3 };
    struct fs_list lists[FOLDERS] = {0};
    int rc = 0;
    *f = (struct predicted_files){0};
    if (folders->count < 2 || folders->count > FOLDERS)
        return error_set(error, ERROR_USAGE, "--%s takes PICTURES PREDICTED [TRUTH], %ld words were given", option,
                         (long)folders->count);
    for (int64_t i = 0; i < folders->count && rc == 0; i++) rc = fs_list(folders->items[i], &lists[i], error);
    for (size_t i = 0; i < lists[1].count && rc == 0; i++)
        if (str_ends_with(lists[1].names[i], ".png") || (arrays && str_ends_with(lists[1].names[i], ".npy")))
            rc = add(f, folders, lists, lists[1].names[i], error);
    if (rc == 0 && !f->count)
        rc = error_set(error, ERROR_FAILED, "--%s: %s holds no predictions (.png%s)", option, folders->items[1],
                       arrays ? ", .npy" : "");
    for (int i = 0; i < FOLDERS; i++) fs_list_free(&lists[i]);
    return rc;
}

void predicted_close(struct predicted_files *f)
{
    for (int64_t i = 0; i < f->count; i++) {
        free(f->list[i].name);
        free(f->list[i].picture);
        free(f->list[i].predicted);
        free(f->list[i].truth);
    }
    free(f->list);
    *f = (struct predicted_files){0};
}
