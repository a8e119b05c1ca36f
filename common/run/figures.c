/* Sums of figures, in words and as a row. */
#include "run/figures.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

static struct figure *find(const struct figures *f, const char *key)
{
    for (int i = 0; i < f->count; i++)
        if (!strcmp(f->list[i].key, key)) return (struct figure *)(uintptr_t)&f->list[i];
    return NULL;
}

void figures_set(struct figures *f, const char *key, const char *label, enum figure_kind kind, double value)
{
    struct figure *it = find(f, key);
    if (!it) {
        CHECK(f->count < FIGURES_MOST, "%s is the %dth figure", key, f->count + 1);
        it = &f->list[f->count++];
        *it = (struct figure){.key = key, .label = label, .kind = kind};
    }
    it->value = value;
}

double figures_get(const struct figures *f, const char *key)
{
    const struct figure *it = find(f, key);
    CHECK(it, "no figure %s", key);
    return it->value;
}

void figures_sum(struct figures *f)
{
    for (int i = 0; i < f->count; i++) f->list[i].sum += f->list[i].value;
}

void figures_report(struct figures *f, int64_t steps, double seconds, struct str *line, json_t *row)
{
    for (int i = 0; i < f->count; i++) {
        struct figure *it = &f->list[i];
        double mean = it->sum / (double)steps, rate = it->sum / seconds;
        char key[64];
        it->sum = 0;
        if (it->kind == FIGURE_RATE) {
            snprintf(key, sizeof key, "%s_per_second", it->key);
            json_object_set_new(row, key, json_real(rate));
            if (it->label) str_printf(line, " %s/s: %.4g", it->label, rate);
            continue;
        }
        json_object_set_new(row, it->key, json_real(it->kind == FIGURE_MEAN ? mean : it->value));
        if (it->label) str_printf(line, " %s: %.4g", it->label, it->value);
        if (it->kind != FIGURE_MEAN) continue;
        snprintf(key, sizeof key, "last_%s", it->key);
        json_object_set_new(row, key, json_real(it->value));
        if (it->label) str_printf(line, " (%.4g)", mean);
    }
}
