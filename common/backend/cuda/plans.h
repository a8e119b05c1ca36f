/* What was chosen for each shape of matrix product: an algorithm of cuBLASLt.
 *
 * A shape's algorithm is the first that cuBLASLt proposes, or, in a dry run (device->planning: no buffer holds anything
 * yet), the fastest of those it proposes, measured.  Choices can be kept in a file, so that a resumed run computes the
 * same bits.
 *
 * The rows of packed texts differ from batch to batch: shapes count as one while their number of rows is between the
 * same two quarters of an octave, and a shape never measured takes the choice of the nearest that was. */
#ifndef BACKEND_CUDA_PLANS_H
#define BACKEND_CUDA_PLANS_H

#include "backend/cuda/cuda.h"

/* D [m, n] = op(A) op(B) + beta C, column-major as cuBLAS sees it. */
struct product {
    int rows; /* which of m, n, k (0, 1, 2) is the number of rows, that may differ from call to call */
    bool transpose_a, transpose_b;
    int64_t m, n, k, lda, ldb, ldc, ldd;
    const void *a, *b, *c; /* c NULL: beta 0 */
    void *d;
    cudaDataType_t type, out; /* of a and b; of c and d */
    cublasLtEpilogue_t epilogue;
    void *bias, *aux; /* of the epilogue; aux as [m, n] with leading dimension m */
};

/* Compute it; returns false, having done nothing, when cuBLASLt has no algorithm for this epilogue and these types. */
bool cuda_product(struct device *d, const struct product *p);

int cuda_plans_load(struct device *d, const char *path,
                    struct error *error); /* 1 taken, 0 not there or of another GPU or library, -1 damaged */
int cuda_plans_save(struct device *d, const char *path, struct error *error);

#endif
