/* The loss of token matrices at a size that takes several tiles: value and gradient as the formulas say in double, the
 * same bits from 1, 2 and 3 threads and for a picture beside any other. */
#include "ops/gram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "test/harness.h"

enum { PICTURES = 2, ROWS = 300, WIDTH = 24, TAUGHT = 10, ALL = PICTURES * ROWS };

struct results {
    float loss[PICTURES], slope[ALL * WIDTH];
};

/* Pictures [first, end); their losses weigh 1, 2 ... */
static void compute(int threads, const float *z, const float *taught, struct results *out, int first, int end)
{
    struct device d;
    struct tape tape;
    struct error error = {0};
    EXPECT(device_open(&d, "cpu", "fp32", NULL, threads, 0, &error) == 0, "%s", error.text);
    tape_init(&tape, &d);
    tape.recording = true;
    struct tensor student = {.rows = (end - first) * ROWS,
                             .cols = WIDTH,
                             .data = (float *)(uintptr_t)z + first * ROWS * WIDTH,
                             .needs_grad = true,
                             .segment = -1,
                             .slot = -1};
    struct tensor teacher = {.rows = (end - first) * ROWS,
                             .cols = TAUGHT,
                             .data = (float *)(uintptr_t)taught + first * ROWS * TAUGHT,
                             .segment = -1,
                             .slot = -1};
    float seed[PICTURES];
    for (int n = first; n < end; n++) seed[n - first] = (float)(n + 1);
    tape_open_segment(&tape);
    struct tensor *loss = tape_close_segment(&tape, NULL, op_gram_loss(&tape, &student, &teacher, end - first, 20));
    memcpy(out->loss + first, loss->data, (size_t)(end - first) * sizeof *out->loss);
    tape_seed(&tape, loss, seed);
    tape_backward(&tape, 0, 1);
    memcpy(out->slope + first * ROWS * WIDTH, student.grad, (size_t)tensor_count(&student) * sizeof(float));
    tape_free(&tape);
    device_close(&d);
}

static void unit(double *to, double *length, const float *from, int cols)
{
    for (int r = 0; r < ROWS; r++) {
        length[r] = 0;
        for (int i = 0; i < cols; i++) length[r] += (double)from[r * cols + i] * (double)from[r * cols + i];
        length[r] = sqrt(length[r]);
        for (int i = 0; i < cols; i++) to[r * cols + i] = (double)from[r * cols + i] / length[r];
    }
}

static double dot(const double *a, const double *b, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

/* dz_i = (g_i - u_i (u_i . g_i)) / |z_i|,  g = 4 / n^2 E u,  E = u u^T - exp(20 (v v^T - 1)). */
static void formula(const float *z, const float *taught, double weight, float *loss, float *slope)
{
    double *u = malloc(ROWS * WIDTH * sizeof *u), *v = malloc(ROWS * TAUGHT * sizeof *v), length[ROWS], other[ROWS],
           sum = 0;
    unit(u, length, z, WIDTH);
    unit(v, other, taught, TAUGHT);
    for (int i = 0; i < ROWS; i++) {
        double g[WIDTH] = {0};
        for (int j = 0; j < ROWS; j++) {
            double e =
                dot(u + i * WIDTH, u + j * WIDTH, WIDTH) - exp(20 * (dot(v + i * TAUGHT, v + j * TAUGHT, TAUGHT) - 1));
            sum += e * e;
            for (int k = 0; k < WIDTH; k++) g[k] += 4 * e * u[j * WIDTH + k] / (ROWS * ROWS);
        }
        double along = dot(u + i * WIDTH, g, WIDTH);
        for (int k = 0; k < WIDTH; k++)
            slope[i * WIDTH + k] = (float)(weight * (g[k] - u[i * WIDTH + k] * along) / length[i]);
    }
    *loss = (float)(sum / (ROWS * ROWS));
    free(u);
    free(v);
}

static void tiles(void)
{
    float *z = malloc(ALL * WIDTH * sizeof *z), *taught = malloc(ALL * TAUGHT * sizeof *taught);
    struct results *want = malloc(sizeof *want), *first = malloc(sizeof *first), *got = malloc(sizeof *got);
    struct rng rng = rng_open(3, RNG_TEST, 0, 0);
    for (int i = 0; i < ALL * WIDTH; i++) z[i] = (float)rng_normal(&rng) + 0.5f;
    for (int i = 0; i < ALL * TAUGHT; i++)
        taught[i] = (float)(i / TAUGHT % 7 == i % TAUGHT) + 0.2f * (float)rng_normal(&rng);
    for (int n = 0; n < PICTURES; n++)
        formula(z + n * ROWS * WIDTH, taught + n * ROWS * TAUGHT, n + 1, want->loss + n,
                want->slope + n * ROWS * WIDTH);
    compute(1, z, taught, first, 0, PICTURES);
    test_close("loss", first->loss, want->loss, PICTURES, 1e-6);
    test_close("slope", first->slope, want->slope, ALL * WIDTH, 5e-6);
    for (int threads = 1; threads <= 3; threads++) {
        for (int n = 0; n < PICTURES; n++) compute(threads, z, taught, got, n, n + 1);
        EXPECT(!memcmp(got, first, sizeof *got), "%d threads, one picture at a time", threads);
    }
    free(z);
    free(taught);
    free(want);
    free(first);
    free(got);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv, (struct test[]){{"gram_loss_in_tiles", tiles}, {0}});
}
