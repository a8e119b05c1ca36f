/* The tiled contrastive loss against the full matrix in double, for several cuts into slices; and its gradients. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "nn/contrastive.h"
#include "test/harness.h"

enum { N = 320, DIM = 40 };

static void features(float *x, uint64_t seed)
{
    struct rng rng = rng_open(seed, RNG_TEST, 0, 0);
    for (int i = 0; i < N; i++) {
        double squares = 0;
        for (int d = 0; d < DIM; d++) x[i * DIM + d] = (float)rng_normal(&rng), squares += pow(x[i * DIM + d], 2);
        for (int d = 0; d < DIM; d++) x[i * DIM + d] /= (float)sqrt(squares);
    }
}

/* Full matrix in double: loss, gradients by features and by ln scale. */
static double full(const float *images, const float *texts, double scale, float *di, float *dt, double *ds)
{
    static double l[N][N], row[N], col[N], gi[N][DIM], gt[N][DIM];
    double loss = 0;
    memset(row, 0, sizeof row);
    memset(col, 0, sizeof col);
    memset(gi, 0, sizeof gi);
    memset(gt, 0, sizeof gt);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            l[i][j] = 0;
            for (int d = 0; d < DIM; d++) l[i][j] += scale * (double)images[i * DIM + d] * (double)texts[j * DIM + d];
            row[i] += exp(l[i][j]);
            col[j] += exp(l[i][j]);
        }
    *ds = 0;
    for (int i = 0; i < N; i++) {
        loss += (log(row[i]) + log(col[i]) - 2 * l[i][i]) / (2 * N);
        for (int j = 0; j < N; j++) {
            double g = (exp(l[i][j]) / row[i] + exp(l[i][j]) / col[j] - 2 * (i == j)) / (2 * N);
            *ds += g * l[i][j];
            for (int d = 0; d < DIM; d++) gi[i][d] += scale * g * (double)texts[j * DIM + d], gt[j][d] += scale * g * (double)images[i * DIM + d];
        }
    }
    for (int i = 0; i < N * DIM; i++) di[i] = (float)gi[i / DIM][i % DIM], dt[i] = (float)gt[i / DIM][i % DIM];
    return loss;
}

static float images[N * DIM], texts[N * DIM], want_di[N * DIM], want_dt[N * DIM], di[N * DIM], dt[N * DIM];

static void against_full(double scale)
{
    struct error error = {0};
    struct device device;
    struct world world = {.size = 1};
    struct comm comm;
    if (device_open(&device, device_count() ? "cuda" : "cpu", "fp32", NULL, 2, 0, &error) < 0) EXPECT(0, "%s", error.text);
    features(images, 1);
    features(texts, 2);
    for (int i = 0; i < N * DIM; i++) texts[i] = .5f * texts[i] + .5f * images[i]; /* some likeness */
    double want_ds, want = full(images, texts, scale, want_di, want_dt, &want_ds);
    comm_open(&comm, &world, &device, "exact", &error);
    float log_scale = (float)log(scale);
    void *x = test_to_device(&device, images, N * DIM, false), *y = test_to_device(&device, texts, N * DIM, false);
    float *dx = test_to_device(&device, images, N * DIM, true), *dy = test_to_device(&device, texts, N * DIM, true), *ln = test_to_device(&device, &log_scale, 1, true);
    for (int slices = 1; slices <= 16; slices *= 4) {
        struct contrastive c;
        double totals[CONTRASTIVE_TOTALS];
        contrastive_open(&c, &device, &comm, N, DIM, slices);
        contrastive_run(&c, x, y, dx, dy, ln);
        device.kernels->download(&device, totals, c.totals, sizeof totals);
        test_from_device(&device, di, dx, N * DIM, true);
        test_from_device(&device, dt, dy, N * DIM, true);
        struct contrastive_result r = contrastive_result(&c, totals);
        r.logit_scale *= exp((double)log_scale);
        contrastive_close(&c);
        /* float32 logits of size `scale` are what limits a small loss */
        EXPECT(fabs(r.loss - want) <= 1e-6 * want + 1e-8 * scale + 1e-7, "scale %g, %d slices: loss %.9g, want %.9g", scale, slices, r.loss, want);
        EXPECT(fabs(r.logit_scale - want_ds) <= 1e-5 * (1 + fabs(want_ds)), "gradient of the scale %.9g, want %.9g", r.logit_scale, want_ds);
        test_close("image gradient", di, want_di, N * DIM, 2e-5);
        test_close("text gradient", dt, want_dt, N * DIM, 2e-5);
    }
    device.kernels->unmap(&device, x, sizeof images);
    device.kernels->unmap(&device, y, sizeof images);
    device.kernels->unmap(&device, dx, sizeof images);
    device.kernels->unmap(&device, dy, sizeof images);
    device.kernels->unmap(&device, ln, sizeof log_scale);
    device_close(&device);
}

static void scale_14(void) { against_full(14.285714); }
static void scale_100(void) { against_full(100); }
static void scale_1(void) { against_full(1); }

int main(int argc, char **argv)
{
    return test_main(argc, argv, (struct test[]){{"contrastive_equals_full_matrix_at_14", scale_14}, {"contrastive_equals_full_matrix_at_100", scale_100},
                                                 {"contrastive_equals_full_matrix_at_1", scale_1}, {0}});
}
