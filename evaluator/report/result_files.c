/* Which section a result's own files make. */
#include <string.h>

#include "base/fs.h"
#include "evaluator/report/figures.h"
#include "evaluator/report/report.h"
#include "log/log.h"

int report_files(struct str *out, const struct result *result, int64_t examples, struct error *error)
{
    const json_t *m = json_object_get(result->json, "metrics");
    const char *task = text_of(result->json, "task"), *predictions = text_of(m, "predictions"),
               *images = text_of(m, "images"), *truth = text_of(m, "truth");
    char *words[] = {(char *)(uintptr_t)images, (char *)(uintptr_t)predictions, (char *)(uintptr_t)truth};
    struct option_list all = {words, 3}, two = {words, 2};
    int rc = 0;
    if (!*predictions) return 0;
    if (!*images || !fs_exists(predictions)) {
        log_warn("%s: its predictions in %s are not shown: %s", result->path, predictions,
                 *images ? "they are not there" : "they lie in several folders");
        return 0;
    }
    if (!strcmp(task, "segmentation"))
        rc = report_labels(out, &all,
                           (struct label_numbers){json_integer_value(json_object_get(m, "ignore")),
                                                  json_is_true(json_object_get(m, "reduce_zero_label")), false},
                           examples, error);
    else if (!strcmp(task, "depth") || !strcmp(task, "depth_dpt"))
        rc = report_depth(out, &all, number_of(m, "depth_scale"), examples, error);
    else if (!strcmp(task, "detection"))
        rc = report_boxes(out, &all, examples, error);
    else if (!strcmp(task, "video_object_segmentation"))
        rc = report_tracks(out, &two, examples, error);
    return rc < 0 ? error_prefix(error, "%s", result->path) : 0;
}
