/* Fuzz target: files of answers, the first part as truth and the rest as predictions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "dist/world.h"
#include "evaluator/metrics/answers.h"

/* Of a world of one, for serve/rows.c without MPI. */
int world_agree(const struct world *world, int rc, struct error *error)
{
    (void)world, (void)error;
    return rc;
}

void world_barrier(const struct world *world)
{
    (void)world;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char folder[] = "/tmp/percept-fuzz-XXXXXX", truth[64], predictions[64];
    struct error error = {0};
    struct answers answers;
    struct metric_result result = {.figures = json_object()};
    if (!truth[0]) {
        if (!mkdtemp(folder)) abort();
        snprintf(truth, sizeof truth, "%s/truth", folder);
        snprintf(predictions, sizeof predictions, "%s/predictions", folder);
    }
    const uint8_t *cut = memchr(data, 0, size);
    size_t first = cut ? (size_t)(cut - data) : size, rest = cut ? size - first - 1 : size;
    if (fs_write(truth, data, first, &error) < 0 || fs_write(predictions, data + size - rest, rest, &error) < 0)
        abort();
    if (answers_read(&answers, truth, predictions, first & 1, &error) == 0) answers_report(&answers, "a", "b", &result);
    answers_free(&answers);
    json_decref(result.figures);
    return 0;
}
