/* Optimizer arithmetic over the flat store: sums of squares in fixed blocks, Adam moments, LAMB. */

static double square_block(const float *x)
{
    double part[8] = {0};
    for (int64_t i = 0; i < SQUARE_BLOCK; i += 8)
        for (int k = 0; k < 8; k++) part[k] += (double)x[i + k] * (double)x[i + k];
    return ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
}

static void square_sums(struct device *d, double *out, const float *x, int64_t count)
{
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t block = 0; block < count / SQUARE_BLOCK; block++) out[block] = square_block(x + block * SQUARE_BLOCK);
}

static void parameter_sums(struct device *d, double *out, const double *blocks, const int32_t *first,
                           int64_t parameters)
{
    (void)d;
    for (int64_t i = 0; i < parameters; i++) {
        out[i] = 0;
        for (int32_t b = first[i]; b < first[i + 1]; b++) out[i] += blocks[b];
    }
}

static void clip_factor(struct device *d, double *norm, float *factor, const double *squares, int64_t parameters,
                        double limit)
{
    (void)d;
    double sum = 0;
    for (int64_t i = 0; i < parameters; i++) sum += squares[i];
    *norm = sqrt(sum);
    *factor = !isfinite(*norm) ? 0 : limit > 0 && *norm > limit ? (float)(limit / (*norm + 1e-6)) : 1;
}

/* Direction of the block at `from` into `to`, which may be its gradient.  By value: floats stored here could be the
 * caller's fields. */
static void direction_block(float *to, struct update u, int64_t from, float decay)
{
    float factor = *u.factor, *m = u.m + from, *v = u.v + from;
    const float *grad = u.g + from, *p = u.p + from;
    for (int i = 0; i < SQUARE_BLOCK; i++) {
        float g = grad[i] * factor;
        m[i] = u.beta1 * m[i] + (1 - u.beta1) * g;
        v[i] = u.beta2 * v[i] + (1 - u.beta2) * g * g;
        to[i] = (m[i] / u.correct1) / (sqrtf(v[i] / u.correct2) + u.eps) + decay * p[i];
    }
}

static void adam(struct device *d, const struct update *u)
{
    if (*u->factor == 0) return;
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t b = 0; b < u->count / SQUARE_BLOCK; b++) {
        float step[SQUARE_BLOCK], *p = u->p + b * SQUARE_BLOCK;
        if (u->owner[b] < 0) continue;
        direction_block(step, *u, b * SQUARE_BLOCK, u->decay[u->owner[b]]);
        float rate = u->rate * u->rates[u->owner[b]];
        for (int i = 0; i < SQUARE_BLOCK; i++) p[i] -= rate * step[i];
    }
}

static void lamb_direction(struct device *d, const struct update *u)
{
    if (*u->factor == 0) return;
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t b = 0; b < u->count / SQUARE_BLOCK; b++) {
        if (u->owner[b] >= 0) direction_block(u->g + b * SQUARE_BLOCK, *u, b * SQUARE_BLOCK, u->decay[u->owner[b]]);
        u->p_sums[b] = square_block(u->p + b * SQUARE_BLOCK);
        u->g_sums[b] = square_block(u->g + b * SQUARE_BLOCK);
    }
}

static void lamb_apply(struct device *d, const struct update *u)
{
    if (*u->factor == 0) return;
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t b = 0; b < u->count / SQUARE_BLOCK; b++) {
        int32_t owner = u->owner[b];
        if (owner < 0) continue;
        double weight = sqrt(u->weight_squares[owner]), size = sqrt(u->update_squares[owner]);
        double ratio = u->decay[owner] > 0 && weight > 0 && size > 0 ? weight / size : 1;
        float rate = (float)((double)u->rate * u->rates[owner] * ratio), *p = u->p + b * SQUARE_BLOCK;
        const float *g = u->g + b * SQUARE_BLOCK;
        for (int i = 0; i < SQUARE_BLOCK; i++) p[i] -= rate * g[i];
    }
}

static void sgd(struct device *d, const struct update *u)
{
    if (*u->factor == 0) return;
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t b = 0; b < u->count / SQUARE_BLOCK; b++) {
        int32_t owner = u->owner[b];
        if (owner < 0) continue;
        float *p = u->p + b * SQUARE_BLOCK, *m = u->m + b * SQUARE_BLOCK;
        const float *g = u->g + b * SQUARE_BLOCK;
        float factor = *u->factor, momentum = u->beta1, decay = u->decay[owner], rate = u->rate * u->rates[owner];
        for (int i = 0; i < SQUARE_BLOCK; i++) {
            m[i] = momentum * m[i] + (g[i] * factor + decay * p[i]);
            p[i] -= rate * m[i];
        }
    }
}

static void clamp(struct device *d, float *x, float low, float high, const float *unless)
{
    (void)d;
    if (*unless == 0) return;
    if (*x > high) *x = high;
    if (*x < low) *x = low;
}
