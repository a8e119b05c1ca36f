/* Numbers by name. */
#include "evaluator/heads/class_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static int number_classes(const struct dataset *d, const struct dataset *named, int32_t **numbers, struct error *error)
{
    if (!d->class_count != !named->class_count)
        return error_set(error, ERROR_FAILED, "%s names its classes, %s does not: labels of both cannot be compared",
                         (d->class_count ? d : named)->folder, (d->class_count ? named : d)->folder);
    if (!d->class_count) return 0;
    *numbers = mem_alloc((size_t)d->class_count, sizeof **numbers);
    for (int64_t i = 0; i < d->class_count; i++) {
        /* as a rule they stand where they do there */
        int64_t at = i < named->class_count && !strcmp(d->classes[i], named->classes[i]) ? i : 0;
        while (at < named->class_count && strcmp(d->classes[i], named->classes[at])) at++;
        if (at == named->class_count)
            return error_set(error, ERROR_FAILED, "%s: class \"%.200s\" is none of %s", d->folder, d->classes[i],
                             named->folder);
        (*numbers)[i] = (int32_t)at;
    }
    return 0;
}

int class_set_open(struct class_set *set, char *const *folders, int64_t count, const struct class_set *names,
                   struct error *error)
{
    *set = (struct class_set){0};
    if (collection_open(&set->data, folders, count, error) < 0) return -1;
    set->numbers = mem_zalloc((size_t)count, sizeof *set->numbers);
    int rc = 0;
    for (int64_t i = 0; i < count && rc == 0; i++)
        rc = number_classes(&set->data.sets[i], names->data.sets, &set->numbers[i], error);
    return rc;
}

void class_set_close(struct class_set *set)
{
    for (int64_t i = 0; i < set->data.count && set->numbers; i++) free(set->numbers[i]);
    free(set->numbers);
    collection_close(&set->data);
    *set = (struct class_set){0};
}

int32_t class_set_number(const struct class_set *set, int64_t sample, int32_t label, int64_t classes,
                         struct error *error)
{
    int64_t at = sample, which = 0;
    while (at >= set->data.sets[which].samples) at -= set->data.sets[which++].samples;
    const struct dataset *d = &set->data.sets[which];
    int64_t most = d->class_count ? d->class_count : classes;
    if (label < 0) return -1;
    if (label >= most)
        return error_set(error, ERROR_FAILED, "%s: sample %ld has label %d, there are %ld classes", d->folder, (long)at,
                         label, (long)most);
    return set->numbers[which] ? set->numbers[which][label] : label;
}
