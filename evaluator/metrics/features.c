/* Features from files. */
#include "evaluator/metrics/features.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "data/npy.h"

int features_read(const char *path, float **rows, int64_t *count, int64_t *dim, struct error *error)
{
    struct npy npy;
    float *out = NULL;
    int rc = npy_open(&npy, path, error);
    if (rc == 0 && (npy.dims != 2 || !npy.count))
        rc = error_set(error, ERROR_FAILED, "%s: no features [count, dim]", path);
    if (rc == 0) out = mem_alloc((size_t)npy.count, sizeof *out);
    for (int64_t i = 0; rc == 0 && i < npy.count; i++) {
        double value;
        npy_reals(&npy, i, 1, &value);
        out[i] = (float)value;
        if (!isfinite(out[i]))
            rc = error_set(error, ERROR_FAILED, "%s: row %ld, column %ld is %g, no float32 that is finite", path,
                           (long)(i / npy.shape[1]), (long)(i % npy.shape[1]), value);
    }
    if (rc == 0) {
        *rows = out;
        *count = npy.shape[0];
        *dim = npy.shape[1];
    } else {
        free(out);
    }
    npy_close(&npy);
    return rc;
}
