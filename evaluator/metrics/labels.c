/* Labels from files. */
#include "evaluator/metrics/labels.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "data/npy.h"
#include "serve/texts.h"

static int read_lines(const char *path, int32_t **labels, int64_t *count, struct error *error)
{
    char **lines;
    int64_t n;
    if (texts_read(path, false, &lines, &n, error) < 0) return -1;
    int32_t *out = mem_alloc((size_t)n + 1, sizeof *out);
    int rc = 0;
    for (int64_t i = 0; i < n && rc == 0; i++) {
        char *end;
        errno = 0;
        long value = strtol(lines[i], &end, 10);
        if (end == lines[i] || end[strspn(end, " \t")] || errno || value < 0 || value > INT32_MAX)
            rc = error_set(error, ERROR_FAILED, "%s: line %ld: \"%.40s\" is no whole number from 0 on", path,
                           (long)i + 1, lines[i]);
        else
            out[i] = (int32_t)value;
    }
    texts_free(lines, n);
    *labels = out;
    *count = n;
    return rc;
}

static int read_array(const char *path, int32_t **labels, int64_t *count, struct error *error)
{
    struct npy npy;
    int rc = npy_open(&npy, path, error);
    if (rc == 0 && (npy.dims != 1 || npy.real))
        rc = error_set(error, ERROR_FAILED, "%s: not an array of whole numbers [n]", path);
    *count = rc == 0 ? npy.count : 0;
    *labels = mem_alloc((size_t)*count + 1, sizeof **labels);
    for (int64_t i = 0, value; i < *count && rc == 0; i++) {
        npy_integers(&npy, i, 1, &value);
        (*labels)[i] = (int32_t)value;
        if (value < 0 || value > INT32_MAX)
            rc = error_set(error, ERROR_FAILED, "%s: element %ld is %ld, no whole number from 0 on", path, (long)i,
                           (long)value);
    }
    npy_close(&npy);
    return rc;
}

int labels_read(const char *path, int32_t **labels, int64_t *count, struct error *error)
{
    int32_t *out = NULL;
    int64_t n = 0;
    int rc = str_ends_with(path, ".npy") ? read_array(path, &out, &n, error) : read_lines(path, &out, &n, error);
    if (rc == 0 && !n) rc = error_set(error, ERROR_FAILED, "%s: no number in it", path);
    if (rc < 0) {
        free(out);
        return -1;
    }
    *labels = out;
    *count = n;
    return 0;
}

int labels_check(const char *path, const int32_t *labels, int64_t n, int64_t count, const char *things,
                 struct error *error)
{
    for (int64_t i = 0; i < n; i++)
        if (labels[i] >= count)
            return error_set(error, ERROR_FAILED, "%s: number %ld is %d, of %ld %s", path, (long)i + 1, labels[i],
                             (long)count, things);
    return 0;
}

int64_t labels_rank(const double *scores, int64_t count, int64_t which)
{
    int64_t rank = 0;
    for (int64_t i = 0; i < count; i++) rank += scores[i] > scores[which] || (scores[i] == scores[which] && i < which);
    return rank;
}

int labels_check_scores(const char *path, int64_t row, const double *scores, int64_t count, struct error *error)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(scores[i]))
            return error_set(error, ERROR_FAILED, "%s: row %ld, column %ld is %g", path, (long)row, (long)i, scores[i]);
    return 0;
}
