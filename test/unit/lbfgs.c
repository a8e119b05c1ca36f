/* Minimising: known minima, with and without a preconditioner, of values that are only good to a few digits; the
 * inverse of Cholesky's factor. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "optim/cholesky.h"
#include "optim/lbfgs.h"
#include "test/harness.h"

enum { SIZE = 20 };

static const struct lbfgs_settings settings = {.history = 10, .iterations = 1000, .tolerance = 1e-14, .noise = 1e-15};

/* Rosenbrock's valleys and 1: the minimum is 1, where all are 1. */
static int valley(void *self, const double *x, double *value, double *gradient, struct error *error)
{
    (void)self, (void)error;
    *value = 1;
    for (int i = 0; i < SIZE; i += 2) {
        double up = x[i + 1] - x[i] * x[i], left = 1 - x[i];
        *value += 100 * up * up + left * left;
        gradient[i] = -400 * x[i] * up - 2 * left;
        gradient[i + 1] = 200 * up;
    }
    return 0;
}

static void valleys(void)
{
    struct lbfgs_function f = {.evaluate = valley};
    struct lbfgs_result result;
    struct error error = {0};
    double x[SIZE];
    for (int i = 0; i < SIZE; i++) x[i] = i % 2 ? 1 : -1.2;
    EXPECT(lbfgs_minimize(x, SIZE, &f, &settings, &result, &error) == 0 && result.converged, "%s", error.text);
    for (int i = 0; i < SIZE; i++) EXPECT(fabs(x[i] - 1) < 1e-6, "x[%d] %.9g", i, x[i]);
    EXPECT(result.evaluations < 80, "%ld evaluations", (long)result.evaluations);
}

/* 1 + sum of 10^(i / 4) (x_i - 1)^2, times 1 and noise. */
struct bowl {
    double noise;
    int evaluations;
    int64_t stop; /* the evaluation that fails */
};

static int bowl(void *self, const double *x, double *value, double *gradient, struct error *error)
{
    struct bowl *b = self;
    if (b->stop && b->evaluations == b->stop) return error_set(error, ERROR_STOPPED, "stopped");
    struct rng rng = rng_open(1, RNG_TEST, (uint64_t)b->evaluations++, 0);
    *value = 1;
    for (int i = 0; i < SIZE; i++) {
        double weight = pow(10, i / 4.);
        *value += weight * (x[i] - 1) * (x[i] - 1);
        gradient[i] = 2 * weight * (x[i] - 1);
    }
    *value *= 1 + b->noise * rng_normal(&rng);
    return 0;
}

static void flatten(void *self, double *d)
{
    (void)self;
    for (int i = 0; i < SIZE; i++) d[i] /= pow(10, i / 4.) * (1 + i % 3); /* about right */
}

static struct lbfgs_result descend(struct bowl *b, bool preconditioned, double noise, double far)
{
    struct lbfgs_function f = {.evaluate = bowl, .precondition = preconditioned ? flatten : NULL, .self = b};
    struct lbfgs_settings s = settings;
    struct lbfgs_result result;
    struct error error = {0};
    double x[SIZE] = {0};
    s.noise = noise;
    s.tolerance = 1e-9;
    EXPECT(lbfgs_minimize(x, SIZE, &f, &s, &result, &error) == 0 && result.converged, "%ld steps: %s",
           (long)result.iterations, error.text);
    for (int i = 0; i < SIZE; i++) EXPECT(fabs(x[i] - 1) * pow(10, i / 8.) < far, "x[%d] is off by %.3g", i, x[i] - 1);
    return result;
}

static void preconditioners(void)
{
    struct bowl plain = {0}, flat = {0};
    int64_t without = descend(&plain, false, 1e-15, 1e-3).evaluations,
            with = descend(&flat, true, 1e-15, 1e-3).evaluations;
    EXPECT(2 * with < without, "%ld evaluations with, %ld without", (long)with, (long)without);
}

static void noise(void)
{
    struct bowl b = {.noise = 1e-8};
    int64_t evaluations = descend(&b, true, 1e-6, 1e-3).evaluations;
    EXPECT(evaluations < 60, "%ld evaluations", (long)evaluations);
}

static void errors_end_it(void)
{
    struct bowl b = {.stop = 7};
    struct lbfgs_function f = {.evaluate = bowl, .self = &b};
    struct lbfgs_result result;
    struct error error = {0};
    double x[SIZE] = {0};
    EXPECT(lbfgs_minimize(x, SIZE, &f, &settings, &result, &error) < 0 && error.code == ERROR_STOPPED, "%s",
           error.text);
}

static void factors(void)
{
    enum { N = 90 };
    double *a = mem_alloc(N * N, sizeof *a), *copy = mem_alloc(N * N, sizeof *a), *out[2], worst = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) a[i * N + j] = exp(-.1 * abs(i - j)) + (i == j ? 1e-3 * i : 0);
    for (int threads = 0; threads < 2; threads++) {
        out[threads] = mem_alloc(N * N, sizeof **out);
        memcpy(copy, a, N * N * sizeof *a);
        EXPECT(cholesky_inverse(out[threads], copy, N, 1 + 2 * threads) == 0, "not positive definite");
    }
    EXPECT(!memcmp(out[0], out[1], N * N * sizeof *a), "other bits on three threads");
    for (int i = 0; i < N; i++) /* out a out^T is 1 */
        for (int j = 0; j < N; j++) {
            double sum = 0;
            for (int k = 0; k < N; k++)
                for (int l = 0; l < N && out[0][i * N + k] != 0; l++)
                    sum += out[0][i * N + k] * a[k * N + l] * out[0][j * N + l];
            worst = fmax(worst, fabs(sum - (i == j)));
        }
    EXPECT(worst < 1e-10, "off by %g", worst);
    a[0] = -1;
    EXPECT(cholesky_inverse(out[0], a, N, 1) < 0, "a negative form has a factor");
    free(a);
    free(copy);
    free(out[0]);
    free(out[1]);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"valleys", valleys},
                                     {"preconditioners", preconditioners},
                                     {"values_with_noise", noise},
                                     {"errors_end_it", errors_end_it},
                                     {"factors", factors},
                                     {0}});
}
