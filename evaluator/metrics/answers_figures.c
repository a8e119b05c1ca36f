/* Of the questions: what was said, and the figures made of their values. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "evaluator/metrics/answers.h"

const char *question_reply(const struct question *q)
{
    return json_string_value(q->reply);
}

int64_t question_answers(const struct question *q)
{
    return (int64_t)json_array_size(q->answers);
}

const char *question_answer(const struct question *q, int64_t i)
{
    return json_string_value(json_array_get(q->answers, (size_t)i));
}

static const char *name_of(const struct question *q, bool type)
{
    return type ? q->type : q->group;
}

/* The mean of values over the questions of one type or group (name NULL: all), each as often as times says (NULL:
 * once). */
static double mean_of(const struct answers *a, bool type, const char *name, const int32_t *times)
{
    double sum = 0, count = 0;
    for (int64_t i = 0; i < a->count; i++) {
        const char *own = name_of(&a->questions[i], type);
        if (isnan(a->values[i]) || (name && (!own || strcmp(own, name)))) continue;
        double weight = times ? times[i] : 1;
        sum += weight * a->values[i];
        count += weight;
    }
    return sum / count;
}

/* "prefix_NAME" of each name in the order they appear in; how many, and the sum of their figures. */
static int64_t put_names(const struct answers *a, bool type, const char *prefix, json_t *figures, double *sum)
{
    struct str key = {0};
    json_t *seen = json_object();
    for (int64_t i = 0; i < a->count; i++) {
        const char *name = name_of(&a->questions[i], type);
        if (!name || json_object_get(seen, name)) continue;
        json_object_set_new(seen, name, json_true());
        double mean = mean_of(a, type, name, NULL);
        if (isnan(mean)) mean = 0; /* all of it is left out */
        str_clear(&key);
        str_printf(&key, "%s_%s", prefix, name);
        if (json_object_get(figures, key.data)) str_printf(&key, "_%s", type ? "type" : "group");
        json_object_set_new(figures, key.data, json_real(mean));
        *sum += mean;
    }
    int64_t names = (int64_t)json_object_size(seen);
    json_decref(seen);
    str_free(&key);
    return names;
}

void answers_report(const struct answers *a, const char *key, const char *prefix, struct metric_result *result)
{
    double mean = mean_of(a, false, NULL, NULL), types = 0, groups = 0;
    int64_t left_out = 0;
    for (int64_t i = 0; i < a->count; i++) {
        left_out += isnan(a->values[i]);
        result->missing += !a->questions[i].reply;
    }
    json_object_set_new(result->figures, key, json_real(isnan(mean) ? 0 : mean));
    put_names(a, true, prefix, result->figures, &types);
    int64_t count = put_names(a, false, prefix, result->figures, &groups);
    if (count > 1) json_object_set_new(result->figures, "mean_per_group", json_real(groups / (double)count));
    if (left_out) json_object_set_new(result->figures, "left_out", json_integer(left_out));
    result->units = result->samples = a->count;
    result->values = left_out ? NULL : a->values;
    result->worth = a->values;
    result->keys = a->keys;
}

double answers_resample(const struct answers *a, const int32_t *times)
{
    return mean_of(a, false, NULL, times);
}

int answers_score(struct answers *a, const char *truth, const char *predictions,
                  double (*score)(const void *self, const struct question *q), const void *self, const char *figure,
                  struct metric_result *result, struct error *error)
{
    if (answers_read(a, truth, predictions, false, error) < 0) return -1;
    for (int64_t i = 0; i < a->count; i++)
        if (a->questions[i].reply) a->values[i] = score(self, &a->questions[i]);
    answers_report(a, figure, figure, result);
    return 0;
}
