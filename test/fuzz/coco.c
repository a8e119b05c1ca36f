/* Fuzz target: annotations and results of COCO and LVIS, read, matched and scored.  Input: a byte that says by which
 * rules, annotations, a byte 0, results. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "evaluator/metrics/coco_files.h"
#include "evaluator/metrics/precision.h"
#include "log/log.h"

/* Nobody reads what these inputs are warned of. */
void log_warn(const char *format, ...)
{
    (void)format;
}
void log_info(const char *format, ...)
{
    (void)format;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) return 0;
    struct error error = {0};
    struct coco c = {.masks = data[0] & 1, .d = {.federated = data[0] & 2}};
    const char *truth = (const char *)data + 1, *end = (const char *)data + size;
    const char *results = memchr(truth, 0, (size_t)(end - truth));
    if (!results) results = end;
    int rc = coco_parse_truth(&c, "truth", truth, (size_t)(results - truth), &error);
    if (results < end) results++;
    if (rc == 0) rc = coco_parse_results(&c, "results", "truth", results, (size_t)(end - results), &error);
    if (rc == 0) {
        detections_sort(&c.d);
        detections_match(&c.d, false);
        struct category_score *scores = mem_alloc((size_t)c.d.categories + 1, sizeof *scores);
        precision_score(&c.d, scores, NULL);
        free(scores);
    }
    coco_free(&c);
    return 0;
}
