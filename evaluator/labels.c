/* Class names and their numbers. */
#include "evaluator/labels.h"

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
static int match(struct labels *l, int64_t which, struct error *error)
{
    const struct dataset *set = l->sets[which];
    int32_t *map = l->maps[which] = mem_alloc((size_t)set->class_count, sizeof *map);
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
        if (!json_object_get(l->numbers, key))
            json_object_set_new(l->numbers, key, json_integer((json_int_t)json_object_size(l->numbers)));
        map[i] = (int32_t)json_integer_value(json_object_get(l->numbers, key));
        json_decref(name);
    }
    json_decref(own);
    return rc;
}

static int match_all(struct labels *l, struct error *error)
{
    const struct dataset *first = NULL;
    bool same = true;
    for (int64_t i = 0; i < l->count; i++) {
        if (!l->sets[i]->class_count) continue;
        if (!first) first = l->sets[i];
        same = same && same_classes(first, l->sets[i]);
        l->named++;
    }
    for (int64_t i = 0; i < l->count && !same; i++)
        if (l->sets[i]->class_count && match(l, i, error) < 0) return -1;
    return 0;
}

int labels_open(struct labels *l, const struct collection *const *collections, int count, struct error *error)
{
    *l = (struct labels){.numbers = json_object()};
    for (int c = 0; c < count; c++) l->count += collections[c]->count;
    l->sets = mem_alloc((size_t)l->count + 1, sizeof *l->sets);
    l->maps = mem_zalloc((size_t)l->count + 1, sizeof *l->maps);
    int64_t at = 0;
    for (int c = 0; c < count; c++)
        for (int64_t i = 0; i < collections[c]->count; i++) l->sets[at++] = &collections[c]->sets[i];
    return match_all(l, error);
}

void labels_close(struct labels *l)
{
    for (int64_t i = 0; i < l->count; i++) free(l->maps[i]);
    free(l->maps);
    free(l->sets);
    json_decref(l->numbers);
    *l = (struct labels){0};
}

int labels_apply(const struct labels *l, int64_t set, const int64_t *samples, int32_t *values, int64_t count,
                 struct error *error)
{
    int64_t first = 0;
    for (int64_t i = 0; i < count; i++) {
        while (samples[i] >= first + l->sets[set]->samples) first += l->sets[set++]->samples;
        const struct dataset *of = l->sets[set];
        int64_t classes = of->class_count ? of->class_count : MOST;
        if (!of->class_count && l->named)
            return error_set(error, ERROR_FAILED,
                             "%s: names no classes, and other data sets do: its labels cannot be matched", of->folder);
        if (values[i] >= classes)
            return error_set(error, ERROR_FAILED, "%s: sample %ld has label %d, there are %ld classes", of->folder,
                             (long)(samples[i] - first), values[i], (long)classes);
        if (l->maps[set]) values[i] = l->maps[set][values[i]];
    }
    return 0;
}
