/* Optimizer arithmetic: sums of squares in fixed blocks, Adam moments, LAMB. */

static void square_sums(struct device *d, double *out, const float *x, int64_t count)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t block = 0; block < (count + SQUARE_BLOCK - 1) / SQUARE_BLOCK; block++) {
        int64_t end = (block + 1) * SQUARE_BLOCK < count ? (block + 1) * SQUARE_BLOCK : count;
        double part[8] = {0};
        int64_t i = block * SQUARE_BLOCK;
        for (; i + 8 <= end; i += 8)
            for (int k = 0; k < 8; k++) part[k] += (double)x[i + k] * (double)x[i + k];
        for (; i < end; i++) part[i % 8] += (double)x[i] * (double)x[i];
        out[block] = ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
    }
}

static inline float adam_direction(float *m, float *v, float g, float p, struct adam_step s)
{
    g *= s.clip;
    *m = s.beta1 * *m + (1 - s.beta1) * g;
    *v = s.beta2 * *v + (1 - s.beta2) * g * g;
    return (*m / s.correct1) / (sqrtf(*v / s.correct2) + s.eps) + s.decay * p;
}

static void adam_apply(struct device *d, float *p, float *m, float *v, const float *g, int64_t count, struct adam_step step)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t i = 0; i < count; i++) p[i] -= step.lr * adam_direction(m + i, v + i, g[i], p[i], step);
}

static void lamb_update(struct device *d, float *g, float *m, float *v, const float *p, int64_t count, struct adam_step step)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t i = 0; i < count; i++) g[i] = adam_direction(m + i, v + i, g[i], p[i], step);
}

static void lamb_apply(struct device *d, float *p, const float *update, float rate, int64_t count)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t i = 0; i < count; i++) p[i] -= rate * update[i];
}
