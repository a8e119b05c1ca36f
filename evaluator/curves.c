/* Curves from results, and as tables. */
#include "evaluator/curves.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static double number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static int read_points(struct curve *c, const json_t *rows, const char *key, struct error *error)
{
    size_t count = json_array_size(rows);
    c->layers = mem_alloc(count + 1, sizeof *c->layers);
    c->values = mem_alloc(count + 1, sizeof *c->values);
    c->errors = mem_alloc(count + 1, sizeof *c->errors);
    for (size_t i = 0; i < count; i++) {
        const json_t *row = json_array_get(rows, i);
        c->layers[i] = json_integer_value(json_object_get(row, "layer"));
        c->values[i] = number_of(row, key);
        c->errors[i] = number_of(row, "stderr");
        if (!isfinite(c->values[i]))
            return error_set(error, ERROR_FAILED, "layer %ld has no \"%s\"", (long)c->layers[i], key);
        if (c->values[i] > c->values[c->best]) c->best = (int64_t)i;
        c->count++;
    }
    c->last = c->count - 1;
    return count ? 0 : error_set(error, ERROR_FAILED, "no \"layers\" in the metrics");
}

int curves_add(struct curves *curves, const json_t *result, const char *encoder, struct error *error)
{
    json_t *metrics = json_object_get(result, "metrics");
    const char *key = json_object_iter_key(json_object_iter(metrics));
    const char *task = json_string_value(json_object_get(result, "task")),
               *dataset = json_string_value(json_object_get(result, "dataset"));
    const char *chance = json_string_value(json_object_get(metrics, "chance_name"));
    if (!task || !dataset || !key) return error_set(error, ERROR_FAILED, "not a result object");
    curves->list = mem_realloc(curves->list, (size_t)curves->count + 1, sizeof *curves->list);
    struct curve *c = &curves->list[curves->count++];
    *c = (struct curve){.task = mem_strdup(task),
                        .key = mem_strdup(key),
                        .dataset = mem_strdup(dataset),
                        .encoder = mem_strdup(encoder),
                        .chance = number_of(metrics, "chance"),
                        .chance_name = mem_strdup(chance ? chance : "chance"),
                        .samples = json_integer_value(json_object_get(metrics, "samples"))};
    return read_points(c, json_object_get(metrics, "layers"), key, error);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static int read_curve(struct curve *c, const json_t *json, struct error *error)
{
    const json_t *layers = json_object_get(json, "layers"), *values = json_object_get(json, "values"),
                 *errors = json_object_get(json, "stderr");
    size_t count = json_array_size(layers);
    *c = (struct curve){.task = mem_strdup(text_of(json, "task")),
                        .key = mem_strdup(text_of(json, "key")),
                        .dataset = mem_strdup(text_of(json, "dataset")),
                        .encoder = mem_strdup(text_of(json, "encoder")),
                        .chance_name = mem_strdup("chance"),
                        .chance = number_of(json, "chance"),
                        .samples = json_integer_value(json_object_get(json, "samples"))};
    c->layers = mem_alloc(count + 1, sizeof *c->layers);
    c->values = mem_alloc(count + 1, sizeof *c->values);
    c->errors = mem_alloc(count + 1, sizeof *c->errors);
    if (!count || json_array_size(values) != count || json_array_size(errors) != count)
        return error_set(error, ERROR_FAILED, "no curve: \"layers\", \"values\" and \"stderr\" must be as long");
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(values, i), *of_value = json_array_get(errors, i);
        if (!json_is_integer(json_array_get(layers, i)) || !json_is_number(value))
            return error_set(error, ERROR_FAILED, "point %zu of a curve has no layer or no value", i);
        c->layers[i] = json_integer_value(json_array_get(layers, i));
        c->values[i] = json_number_value(value);
        c->errors[i] = json_is_number(of_value) ? json_number_value(of_value) : NAN;
        if (c->values[i] > c->values[c->best]) c->best = (int64_t)i;
        c->count++;
    }
    c->last = c->count - 1;
    return 0;
}

int curves_read(struct curves *curves, const json_t *json, struct error *error)
{
    const json_t *list = json_object_get(json, "curves"), *one;
    size_t i;
    json_array_foreach (list, i, one) {
        curves->list = mem_realloc(curves->list, (size_t)curves->count + 1, sizeof *curves->list);
        if (read_curve(&curves->list[curves->count++], one, error) < 0) return -1;
    }
    return 0;
}

void curves_free(struct curves *curves)
{
    for (int64_t i = 0; i < curves->count; i++) {
        struct curve *c = &curves->list[i];
        free(c->task);
        free(c->key);
        free(c->dataset);
        free(c->encoder);
        free(c->chance_name);
        free(c->layers);
        free(c->values);
        free(c->errors);
    }
    free(curves->list);
    *curves = (struct curves){0};
}

static json_t *real_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *curve_json(const struct curve *c)
{
    json_t *layers = json_array(), *values = json_array(), *errors = json_array();
    for (int64_t i = 0; i < c->count; i++) {
        json_array_append_new(layers, json_integer(c->layers[i]));
        json_array_append_new(values, json_real(c->values[i]));
        json_array_append_new(errors, real_or_null(c->errors[i]));
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:f, s:I, s:f, s:I, s:o, s:I}", "task", c->task, "key",
                     c->key, "dataset", c->dataset, "encoder", c->encoder, "layers", layers, "values", values, "stderr",
                     errors, "best", c->values[c->best], "best_layer", (json_int_t)c->layers[c->best], "last",
                     c->values[c->last], "last_layer", (json_int_t)c->layers[c->last], "chance",
                     real_or_null(c->chance), "samples", (json_int_t)c->samples);
}

json_t *curves_json(const struct curves *curves)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < curves->count; i++) json_array_append_new(list, curve_json(&curves->list[i]));
    return json_pack("{s:o}", "curves", list);
}

void curves_print(const struct curves *curves)
{
    printf("%-12s %-24s %-20s %8s %6s %8s %8s\n", "task", "encoder", "figure", "best", "layer", "last", "chance");
    for (int64_t i = 0; i < curves->count; i++) {
        const struct curve *c = &curves->list[i];
        printf("%-12s %-24s %-20s %8.4f %6ld %8.4f ", c->task, c->encoder, c->key, c->values[c->best],
               (long)c->layers[c->best], c->values[c->last]);
        if (isfinite(c->chance)) printf("%8.4f", c->chance);
        putchar('\n');
    }
}

/* As RFC 4180 has it. */
static void csv_text(struct str *out, const char *text)
{
    if (!strpbrk(text, "\",\r\n")) {
        str_puts(out, text);
        return;
    }
    str_putc(out, '"');
    for (; *text; text++) str_printf(out, *text == '"' ? "\"\"" : "%c", *text);
    str_putc(out, '"');
}

void curves_csv(const struct curves *curves, struct str *out)
{
    str_puts(out, "task,encoder,layer,key,value,stderr\n");
    for (int64_t i = 0; i < curves->count; i++)
        for (int64_t k = 0; k < curves->list[i].count; k++) {
            const struct curve *c = &curves->list[i];
            csv_text(out, c->task);
            str_putc(out, ',');
            csv_text(out, c->encoder);
            str_printf(out, ",%ld,", (long)c->layers[k]);
            csv_text(out, c->key);
            str_printf(out, ",%.17g,", c->values[k]);
            if (isfinite(c->errors[k])) str_printf(out, "%.17g", c->errors[k]);
            str_putc(out, '\n');
        }
}
