/* Writing and showing results. */
#include "evaluator/results.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"

static void print(json_t *metrics)
{
    const char *key;
    json_t *value;
    json_object_foreach (metrics, key, value) {
        double real = json_real_value(value);
        if (json_is_real(value) && real != 0 && fabs(real) < 1e-3)
            printf("%-28s %.3g\n", key, real);
        else if (json_is_real(value))
            printf("%-28s %.4f\n", key, real);
        else if (json_is_integer(value))
            printf("%-28s %lld\n", key, (long long)json_integer_value(value));
        else if (json_is_string(value))
            printf("%-28s %s\n", key, json_string_value(value));
    }
}

static json_t *last_part(const char *path)
{
    char *part = fs_last(path);
    json_t *text = json_text(part);
    free(part);
    return text;
}

int results_write(const char *path, const struct results_head *head, json_t *metrics, struct error *error)
{
    json_t *root = json_pack("{s:o, s:o, s:o, s:s, s:O, s:s}", "dataset", last_part(head->dataset), "model",
                             json_text(head->model), "pretrained", json_text(head->pretrained), "task", head->task,
                             "metrics", metrics, "language", "en");
    int rc = json_write(path, root, error);
    json_decref(root);
    if (rc == 0) print(metrics);
    json_decref(metrics);
    return rc;
}
