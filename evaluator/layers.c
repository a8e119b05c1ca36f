/* Choosing layers, and figures by layer. */
#include "evaluator/layers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int add(struct layer_list *list, const char *text, const char **end, int64_t last, struct error *error)
{
    char *rest;
    errno = 0;
    long layer = strtol(text, &rest, 10);
    if (rest == text || errno || (*rest && *rest != ','))
        return error_set(error, ERROR_USAGE, "--layers %s: give all, last, or numbers like 1,5,12", text);
    if (layer < 0 || layer > last)
        return error_set(error, ERROR_USAGE, "--layers %ld: the encoder has layers 0 to %ld", layer, (long)last);
    list->layers = mem_realloc(list->layers, (size_t)list->count + 1, sizeof *list->layers);
    list->layers[list->count++] = layer;
    *end = *rest ? rest + 1 : rest;
    return 0;
}

int layers_choose(struct layer_list *list, const char *text, int64_t last, struct error *error)
{
    *list = (struct layer_list){0};
    if (!strcmp(text, "all") || !strcmp(text, "last")) {
        int64_t first = strcmp(text, "all") ? last : 1;
        list->layers = mem_alloc((size_t)(last - first + 1), sizeof *list->layers);
        for (int64_t i = first; i <= last; i++) list->layers[list->count++] = i;
        return 0;
    }
    do {
        if (add(list, text, &text, last, error) < 0) return -1;
    } while (*text);
    qsort(list->layers, (size_t)list->count, sizeof *list->layers, by_number);
    for (int64_t i = 1; i < list->count; i++)
        if (list->layers[i] == list->layers[i - 1])
            return error_set(error, ERROR_USAGE, "--layers: %ld twice", (long)list->layers[i]);
    return 0;
}

void layers_close(struct layer_list *list)
{
    free(list->layers);
    *list = (struct layer_list){0};
}

json_t *layers_metrics(const struct layer_list *list, const char *key, json_t *const *each)
{
    json_t *rows = json_array(), *metrics = json_object();
    int64_t best = 0;
    double value = 0;
    struct str last = {0};
    str_printf(&last, "%s_last", key);
    for (int64_t i = 0; i < list->count; i++) {
        json_t *row = json_pack("{s:I}", "layer", (json_int_t)list->layers[i]);
        value = json_real_value(json_object_get(each[i], key));
        if (value > json_real_value(json_object_get(each[best], key))) best = i;
        json_object_update(row, each[i]);
        json_array_append_new(rows, row);
    }
    json_object_set_new(metrics, key, json_copy(json_object_get(each[best], key)));
    json_object_set_new(metrics, last.data, json_real(value));
    json_object_set_new(metrics, "best_layer", json_integer(list->layers[best]));
    json_object_set_new(metrics, "last_layer", json_integer(list->layers[list->count - 1]));
    json_object_set_new(metrics, "layers", rows);
    for (int64_t i = 0; i < list->count; i++) json_decref(each[i]);
    str_free(&last);
    return metrics;
}
