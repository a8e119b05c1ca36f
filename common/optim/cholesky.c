/* Loops run along rows, and a sum belongs to one thread. */
#include "optim/cholesky.h"

#include <math.h>
#include <string.h>

#include "optim/dot.h"

/* The lower half of a becomes L of a = L L^T. */
static int factor(double *a, int64_t n, int threads)
{
    for (int64_t j = 0; j < n; j++) {
        const double *row = a + j * n;
        double pivot = row[j] - dot(row, row, j);
        if (!(pivot > 0) || !isfinite(pivot)) return -1;
        a[j * n + j] = sqrt(pivot);
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1 && (n - j) * j > 1 << 14)
        for (int64_t i = j + 1; i < n; i++) a[i * n + j] = (a[i * n + j] - dot(a + i * n, row, j)) / row[j];
    }
    return 0;
}

/* Columns [first, end) of the inverse of the lower triangular l. */
static void invert(double *out, const double *l, int64_t n, int64_t first, int64_t end)
{
    for (int64_t i = first; i < n; i++) {
        double *row = out + i * n;
        for (int64_t j = first; j < end; j++) row[j] = i == j;
        for (int64_t k = first; k < i; k++)
            for (int64_t j = first; j < end; j++) row[j] -= l[i * n + k] * out[k * n + j];
        for (int64_t j = first; j < end; j++) row[j] /= l[i * n + i];
    }
}

int cholesky_inverse(double *out, double *a, int64_t n, int threads)
{
    enum { STRIP = 64 };
    if (factor(a, n, threads) < 0) return -1;
    memset(out, 0, (size_t)(n * n) * sizeof *out);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1) if (threads > 1)
    for (int64_t first = 0; first < n; first += STRIP) invert(out, a, n, first, first + STRIP < n ? first + STRIP : n);
    return 0;
}
