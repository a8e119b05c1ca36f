/* Class names and their numbers. */
#include "evaluator/class_names.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { MOST = 1 << 20 }; /* classes of sets that name none */

static bool same_classes(const struct dataset *a, const struct dataset *b)
{
    bool same = a->class_count == b->class_count;
    for (int64_t i = 0; same && i < a->class_count; i++) same = !strcmp(a->classes[i], b->classes[i]);
    return same;
}

/* Its classes by name; those not met before come behind the others. */
static int match(struct class_names *n, int64_t which, struct error *error)
{
    const struct dataset *set = n->sets[which];
    int32_t *map = n->maps[which] = mem_alloc((size_t)set->class_count, sizeof *map);
    json_t *own = json_object();
    int rc = 0;
    for (int64_t i = 0; i < set->class_count && rc == 0; i++) {
        json_t *name = json_text(set->classes[i]);
        const char *key = json_string_value(name);
        if (json_object_get(own, key))
            rc = error_set(error, ERROR_FAILED,
                           "%s: two classes are called \"%s\", and other data sets have other classes: labels cannot "
                           "be matched by name",
                           set->folder, key);
        json_object_set_new(own, key, json_true());
        if (!json_object_get(n->numbers, key))
            json_object_set_new(n->numbers, key, json_integer((json_int_t)json_object_size(n->numbers)));
        map[i] = (int32_t)json_integer_value(json_object_get(n->numbers, key));
        json_decref(name);
    }
    json_decref(own);
    return rc;
}

/* own: sets of the first collection. */
static int match_all(struct class_names *n, int64_t own, struct error *error)
{
    const struct dataset *first = NULL;
    bool same = true;
    for (int64_t i = 0; i < n->count; i++) {
        if (!n->sets[i]->class_count) continue;
        if (!first) first = n->sets[i];
        same = same && same_classes(first, n->sets[i]);
        n->named++;
        if (i < own) n->known = first->class_count;
    }
    for (int64_t i = 0; i < n->count && !same; i++) {
        if (n->sets[i]->class_count && match(n, i, error) < 0) return -1;
        if (i < own) n->known = (int64_t)json_object_size(n->numbers);
    }
    return 0;
}

int class_names_open(struct class_names *n, const struct collection *const *collections, int count, struct error *error)
{
    *n = (struct class_names){.numbers = json_object()};
    for (int c = 0; c < count; c++) n->count += collections[c]->count;
    n->sets = mem_alloc((size_t)n->count + 1, sizeof *n->sets);
    n->maps = mem_zalloc((size_t)n->count + 1, sizeof *n->maps);
    int64_t at = 0;
    for (int c = 0; c < count; c++)
        for (int64_t i = 0; i < collections[c]->count; i++) n->sets[at++] = &collections[c]->sets[i];
    return match_all(n, collections[0]->count, error);
}

void class_names_close(struct class_names *n)
{
    for (int64_t i = 0; i < n->count; i++) free(n->maps[i]);
    free(n->maps);
    free(n->sets);
    json_decref(n->numbers);
    *n = (struct class_names){0};
}

int class_names_apply(const struct class_names *n, int64_t set, const int64_t *samples, int32_t *values, int64_t count,
                      struct error *error)
{
    int64_t first = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t sample = samples ? samples[i] : i;
        while (sample >= first + n->sets[set]->samples) first += n->sets[set++]->samples;
        const struct dataset *of = n->sets[set];
        int64_t classes = of->class_count ? of->class_count : MOST;
        if (values[i] < 0) continue;
        if (!of->class_count && n->named)
            return error_set(error, ERROR_FAILED,
                             "%s: names no classes, and other data sets do: its labels cannot be matched", of->folder);
        if (values[i] >= classes)
            return error_set(error, ERROR_FAILED, "%s: sample %ld has label %d, there are %ld classes", of->folder,
                             (long)(sample - first), values[i], (long)classes);
        if (n->maps[set]) values[i] = n->maps[set][values[i]];
    }
    return 0;
}
