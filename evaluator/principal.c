/* Of the covariance of columns or of the products of rows the smaller matrix is taken: both have the same components.
 */
#include "evaluator/principal.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "evaluator/report/drawing.h"
#include "optim/dot.h"
#include "optim/eigen.h"

#define TOLERANCE 1e-8

/* out [n, n] = m m^T of m [n, length] */
static void products(double *out, const double *m, int64_t n, int64_t length, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(dynamic, 8) if (threads > 1)
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j <= i; j++) out[i * n + j] = dot(m + i * length, m + j * length, length);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i + 1; j < n; j++) out[i * n + j] = out[j * n + i];
}

/* The sum of cubes positive; where it is 0 the first that is none. */
static void choose_sign(double *scores, int64_t rows)
{
    double cubes = 0, first = 0, sign;
    for (int64_t i = 0; i < rows; i++) {
        cubes += scores[i] * scores[i] * scores[i];
        if (first == 0) first = scores[i];
    }
    sign = cubes != 0 ? cubes : first;
    for (int64_t i = 0; i < rows && sign < 0; i++) scores[i] = -scores[i];
}

double principal_scores(const double *x, int64_t rows, int64_t width, double *scores, int threads)
{
    bool by_columns = width <= rows;
    int64_t n = by_columns ? width : rows, length = by_columns ? rows : width;
    double *m = mem_alloc((size_t)(rows * width), sizeof *m), *a = mem_alloc((size_t)(n * n), sizeof *a),
           *vectors = mem_alloc((size_t)(PRINCIPAL * n), sizeof *vectors), values[PRINCIPAL], all = 0, held = 0;
    for (int64_t c = 0; c < width; c++) {
        double mean = 0;
        for (int64_t r = 0; r < rows; r++) mean += x[r * width + c] / (double)rows;
        for (int64_t r = 0; r < rows; r++) m[by_columns ? c * rows + r : r * width + c] = x[r * width + c] - mean;
    }
    products(a, m, n, length, threads);
    eigen_leading(values, vectors, a, n, PRINCIPAL, TOLERANCE, threads);
    for (int64_t i = 0; i < n; i++) all += a[i * n + i];
    for (int k = 0; k < PRINCIPAL; k++) {
        const double *v = vectors + k * n;
        double *s = scores + k * rows, value = fmax(values[k], 0);
        for (int64_t r = 0; r < rows; r++) s[r] = by_columns ? 0 : sqrt(value) * v[r];
        for (int64_t c = 0; c < n && by_columns; c++)
            for (int64_t r = 0; r < rows; r++) s[r] += m[c * rows + r] * v[c];
        choose_sign(s, rows);
        held += value;
    }
    free(m);
    free(a);
    free(vectors);
    return all > 0 ? fmin(held / all, 1) : 0;
}

static int64_t mirror(int64_t at, int64_t count)
{
    if (at < 0) at = -at;
    if (at >= count) at = 2 * count - 2 - at;
    return at < 0 ? 0 : at;
}

/* out [grid, width] */
static void smooth(double *out, const float *x, struct extent grid, int64_t width, int threads)
{
    double side = exp(-.5), weight[] = {side / (1 + 2 * side), 1 / (1 + 2 * side), side / (1 + 2 * side)};
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t cell = 0; cell < extent_area(grid); cell++) {
        double *to = out + cell * width;
        for (int64_t c = 0; c < width; c++) to[c] = x[cell * width + c] / 2.;
        for (int64_t k = 0; k < 9; k++) {
            int64_t row = mirror(cell / grid.width + k / 3 - 1, grid.height),
                    column = mirror(cell % grid.width + k % 3 - 1, grid.width);
            const float *from = x + (row * grid.width + column) * width;
            double w = weight[k / 3] * weight[k % 3] / 2;
            for (int64_t c = 0; c < width; c++) to[c] += w * from[c];
        }
    }
}

/* Its deviation becomes 1, what lies beyond 2 is cut off; all 0 where it has none. */
static void scale(double *scores, int64_t rows)
{
    double squares = 0;
    for (int64_t i = 0; i < rows; i++) squares += scores[i] * scores[i];
    double by = squares > 0 ? sqrt((double)rows / squares) : 0;
    for (int64_t i = 0; i < rows; i++) scores[i] = fmin(fmax(scores[i] * by, -2), 2);
}

double principal_colours(const float *features, struct extent grid, int64_t width, struct image *out, int threads)
{
    int64_t rows = extent_area(grid);
    double *x = mem_alloc((size_t)(rows * width), sizeof *x),
           *scores = mem_alloc((size_t)(PRINCIPAL * rows), sizeof *x);
    smooth(x, features, grid, width, threads);
    double share = principal_scores(x, rows, width, scores, threads);
    for (int k = 0; k < PRINCIPAL; k++) scale(scores + k * rows, rows);
    *out = (struct image){(int)grid.width, (int)grid.height, mem_alloc((size_t)rows, 3)};
    for (int64_t i = 0; i < rows; i++) {
        double c2 = scores[rows + i], c3 = scores[2 * rows + i], chroma = fmin(35 * hypot(c2, c3), 75),
               hue = atan2(c3, c2);
        colour_of_lab(60 + 17 * scores[i], chroma * cos(hue), chroma * sin(hue), out->pixels + 3 * i);
    }
    free(x);
    free(scores);
    return share;
}
