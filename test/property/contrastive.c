/* The tiled contrastive loss against the full matrix in double, for several cuts into slices; and its gradients. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "nn/contrastive.h"
#include "test/harness.h"

enum { N = 320, DIM = 40, TEACHER = 24 };

static void features(float *x, int dim, uint64_t seed)
{
    struct rng rng = rng_open(seed, RNG_TEST, 0, 0);
    for (int i = 0; i < N; i++) {
        double squares = 0;
        for (int d = 0; d < dim; d++) x[i * dim + d] = (float)rng_normal(&rng), squares += pow(x[i * dim + d], 2);
        for (int d = 0; d < dim; d++) x[i * dim + d] /= (float)sqrt(squares);
    }
}

/* l [N, N] = scale x y^T and the sums of exp over rows and columns. */
static void similarities(const float *x, const float *y, int dim, double scale, double l[N][N], double row[N],
                         double col[N])
{
    memset(row, 0, N * sizeof *row);
    memset(col, 0, N * sizeof *col);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            l[i][j] = 0;
            for (int d = 0; d < dim; d++) l[i][j] += scale * (double)x[i * dim + d] * (double)y[j * dim + d];
            row[i] += exp(l[i][j]);
            col[j] += exp(l[i][j]);
        }
}

static float images[N * DIM], texts[N * DIM], want_di[N * DIM], want_dt[N * DIM], di[N * DIM], dt[N * DIM],
    teacher_images[N * TEACHER], teacher_texts[N * TEACHER];

struct want {
    double loss, divergence, scale; /* scale: gradient of its ln */
};

/* Full matrices in double: losses, and the gradients of weight * contrastive + distill * divergence by features and by
 * ln scale. */
static struct want full(double scale, double weight, double distill, double teacher_scale)
{
    static double l[N][N], row[N], col[N], t[N][N], t_row[N], t_col[N], gi[N][DIM], gt[N][DIM];
    struct want w = {0};
    memset(gi, 0, sizeof gi);
    memset(gt, 0, sizeof gt);
    similarities(images, texts, DIM, scale, l, row, col);
    similarities(teacher_images, teacher_texts, TEACHER, teacher_scale, t, t_row, t_col);
    for (int i = 0; i < N; i++) {
        w.loss += (log(row[i]) + log(col[i]) - 2 * l[i][i]) / (2 * N);
        for (int j = 0; j < N; j++) {
            double p = exp(l[i][j]) / row[i], pc = exp(l[i][j]) / col[j], q = exp(t[i][j]) / t_row[i],
                   qc = exp(t[i][j]) / t_col[j];
            double g = (weight * (p + pc - 2 * (i == j)) + distill * (p + pc - q - qc)) / (2 * N);
            w.divergence += (q * log(q / p) + qc * log(qc / pc)) / (2 * N);
            w.scale += g * l[i][j];
            for (int d = 0; d < DIM; d++)
                gi[i][d] += scale * g * (double)texts[j * DIM + d], gt[j][d] += scale * g * (double)images[i * DIM + d];
        }
    }
    for (int i = 0; i < N * DIM; i++)
        want_di[i] = (float)gi[i / DIM][i % DIM], want_dt[i] = (float)gt[i / DIM][i % DIM];
    return w;
}

static void against_full(double scale, double weight, double distill, double teacher_scale)
{
    struct error error = {0};
    struct device device;
    struct world world = {.size = 1};
    struct comm comm;
    if (device_open(&device, device_count() ? "cuda" : "cpu", "fp32", NULL, 2, 0, &error) < 0)
        EXPECT(0, "%s", error.text);
    features(images, DIM, 1);
    features(texts, DIM, 2);
    features(teacher_images, TEACHER, 3);
    features(teacher_texts, TEACHER, 4);
    for (int i = 0; i < N * DIM; i++) texts[i] = .5f * texts[i] + .5f * images[i]; /* some likeness */
    struct want want = full(scale, weight, distill, teacher_scale);
    comm_open(&comm, &world, &device, "exact", &error);
    float log_scale = (float)log(scale);
    void *x = test_to_device(&device, images, N * DIM, false), *y = test_to_device(&device, texts, N * DIM, false);
    void *tx = test_to_device(&device, teacher_images, N * TEACHER, false),
         *ty = test_to_device(&device, teacher_texts, N * TEACHER, false);
    float *dx = test_to_device(&device, images, N * DIM, true), *dy = test_to_device(&device, texts, N * DIM, true),
          *ln = test_to_device(&device, &log_scale, 1, true);
    for (int i = 0; i < 5; i++) {
        int slices = (int[]){1, 4, 5, 10, 16}[i];
        struct contrastive c;
        double totals[CONTRASTIVE_TOTALS];
        contrastive_open(&c, &device, &comm, N / slices, DIM, slices);
        if (distill > 0) contrastive_teach(&c, TEACHER, weight, distill, teacher_scale);
        c.teacher_images = tx;
        c.teacher_texts = ty;
        contrastive_run(&c, x, y, dx, dy, ln);
        device.kernels->download(&device, totals, c.totals, sizeof totals);
        test_from_device(&device, di, dx, N * DIM, true);
        test_from_device(&device, dt, dy, N * DIM, true);
        struct contrastive_result r = contrastive_result(&c, totals);
        r.logit_scale *= exp((double)log_scale);
        contrastive_close(&c);
        /* float32 logits of size `scale` are what limits a small loss */
        EXPECT(fabs(r.loss - want.loss) <= 1e-6 * want.loss + 1e-8 * scale + 1e-7,
               "scale %g, %d slices: loss %.9g, want %.9g", scale, slices, r.loss, want.loss);
        EXPECT(fabs(r.logit_scale - want.scale) <= 1e-5 * (1 + fabs(want.scale)),
               "gradient of the scale %.9g, want %.9g", r.logit_scale, want.scale);
        EXPECT(!(distill > 0) || fabs(r.divergence - want.divergence) <= 1e-5 * want.divergence,
               "divergence %.9g, want %.9g", r.divergence, want.divergence);
        test_close("image gradient", di, want_di, N * DIM, 2e-5);
        test_close("text gradient", dt, want_dt, N * DIM, 2e-5);
    }
    device.kernels->unmap(&device, x, sizeof images);
    device.kernels->unmap(&device, y, sizeof images);
    device.kernels->unmap(&device, tx, sizeof teacher_images);
    device.kernels->unmap(&device, ty, sizeof teacher_images);
    device.kernels->unmap(&device, dx, sizeof images);
    device.kernels->unmap(&device, dy, sizeof images);
    device.kernels->unmap(&device, ln, sizeof log_scale);
    device_close(&device);
}

static void scale_14(void)
{
    against_full(14.285714, 1, 0, 1);
}
static void scale_100(void)
{
    against_full(100, 1, 0, 1);
}
static void scale_1(void)
{
    against_full(1, 1, 0, 1);
}
static void distilled(void)
{
    against_full(14.285714, 0, 1, 40);
}
static void both(void)
{
    against_full(14.285714, .5, 2, 40);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"contrastive_equals_full_matrix_at_14", scale_14},
                                     {"contrastive_equals_full_matrix_at_100", scale_100},
                                     {"contrastive_equals_full_matrix_at_1", scale_1},
                                     {"distillation_equals_full_matrix", distilled},
                                     {"distillation_beside_contrastive", both},
                                     {0}});
}
