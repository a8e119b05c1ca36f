/* A block somewhat larger than what is wanted: the more so, the faster the last ones settle. */
#include "optim/eigen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "optim/dot.h"

enum { SPARE = 5, MOST = 2000, SWEEPS = 40 };

/* out [block, n] = rows of q times a. */
static void multiply(double *out, const double *a, const double *q, int64_t n, int64_t block, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1 && n * n > 1 << 14)
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < block; k++) out[k * n + i] = dot(a + i * n, q + k * n, n);
}

/* Rows of q to unit length, each at right angles to those before; a row that has nothing of its own becomes zero. */
static void orthonormalise(double *q, int64_t n, int64_t block)
{
    for (int64_t k = 0; k < block; k++) {
        double *row = q + k * n, before = sqrt(dot(row, row, n));
        for (int twice = 0; twice < 2; twice++)
            for (int64_t j = 0; j < k; j++) {
                double along = dot(row, q + j * n, n);
                for (int64_t i = 0; i < n; i++) row[i] -= along * q[j * n + i];
            }
        double length = sqrt(dot(row, row, n)), scale = length > 1e-13 * before ? 1 / length : 0;
        for (int64_t i = 0; i < n; i++) row[i] *= scale;
    }
}

/* Turn t [n, n] so that t[p, q] becomes 0, and the rows of v alike (Jacobi). */
static void rotate(double *t, double *v, int64_t n, int64_t p, int64_t q)
{
    if (t[p * n + q] == 0) return;
    double theta = (t[q * n + q] - t[p * n + p]) / (2 * t[p * n + q]);
    double tangent = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1));
    double c = 1 / sqrt(tangent * tangent + 1), s = tangent * c;
    for (int64_t k = 0; k < n; k++) {
        double x = t[k * n + p], y = t[k * n + q];
        t[k * n + p] = c * x - s * y;
        t[k * n + q] = s * x + c * y;
    }
    for (int64_t k = 0; k < n; k++) {
        double x = t[p * n + k], y = t[q * n + k], u = v[p * n + k], w = v[q * n + k];
        t[p * n + k] = c * x - s * y;
        t[q * n + k] = s * x + c * y;
        v[p * n + k] = c * u - s * w;
        v[q * n + k] = s * u + c * w;
    }
}

/* All eigenvectors of the small t [n, n], as rows of v, the largest value first in values; t is used up. */
static void small(double *values, double *v, double *t, int64_t n)
{
    for (int64_t i = 0; i < n * n; i++) v[i] = i / n == i % n;
    for (int sweep = 0; sweep < SWEEPS; sweep++)
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = p + 1; q < n; q++) rotate(t, v, n, p, q);
    for (int64_t i = 0; i < n; i++) values[i] = t[i * n + i];
    for (int64_t i = 0; i < n; i++) {
        int64_t best = i;
        for (int64_t k = i + 1; k < n; k++)
            if (values[k] > values[best]) best = k;
        double value = values[i];
        values[i] = values[best];
        values[best] = value;
        for (int64_t k = 0; k < n; k++) {
            double x = v[i * n + k];
            v[i * n + k] = v[best * n + k];
            v[best * n + k] = x;
        }
    }
}

/* out [block, n] = v [block, block] q [block, n] */
static void combine(double *out, const double *v, const double *q, int64_t n, int64_t block)
{
    memset(out, 0, (size_t)(block * n) * sizeof *out);
    for (int64_t k = 0; k < block; k++)
        for (int64_t j = 0; j < block; j++)
            for (int64_t i = 0; i < n; i++) out[k * n + i] += v[k * block + j] * q[j * n + i];
}

static bool settled(const double *values, const double *q, const double *aq, int64_t n, int64_t count, double tolerance)
{
    for (int64_t k = 0; k < count; k++) {
        double off = 0;
        for (int64_t i = 0; i < n; i++) off += pow(aq[k * n + i] - values[k] * q[k * n + i], 2);
        if (!(sqrt(off) <= tolerance * values[0])) return false;
    }
    return true;
}

bool eigen_leading(double *values, double *vectors, const double *a, int64_t n, int64_t count, double tolerance,
                   int threads)
{
    int64_t block = count + SPARE < n ? count + SPARE : n, known = count < block ? count : block;
    size_t rows = (size_t)(block * n), square = (size_t)(block * block);
    double *memory = mem_zalloc(4 * rows + 2 * square + (size_t)block, sizeof *memory);
    double *q = memory, *aq = q + rows, *turned = aq + rows, *turned_aq = turned + rows, *t = turned_aq + rows,
           *v = t + square, *all = v + square;
    bool done = false;
    for (int64_t i = 0; i < block * n; i++) q[i] = cos(1 + .7548776662466927 * (double)i * (double)(1 + i / n));
    orthonormalise(q, n, block);
    for (int step = 0; step < MOST && !done; step++) {
        multiply(aq, a, q, n, block, threads);
        for (int64_t j = 0; j < block; j++)
            for (int64_t k = 0; k < block; k++)
                t[j * block + k] = (dot(q + j * n, aq + k * n, n) + dot(q + k * n, aq + j * n, n)) / 2;
        small(all, v, t, block);
        combine(turned, v, q, n, block);
        combine(turned_aq, v, aq, n, block);
        done = settled(all, turned, turned_aq, n, known, tolerance);
        memcpy(q, turned_aq, rows * sizeof *q);
        orthonormalise(q, n, block);
    }
    memset(values, 0, (size_t)count * sizeof *values);
    memset(vectors, 0, (size_t)(count * n) * sizeof *vectors);
    memcpy(values, all, (size_t)known * sizeof *values);
    memcpy(vectors, turned, (size_t)(known * n) * sizeof *vectors);
    free(memory);
    return done;
}
