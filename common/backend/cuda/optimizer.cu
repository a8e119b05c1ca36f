/* Optimizer arithmetic over the flat store, all parameters in one launch: a thread block takes a block of SQUARE_BLOCK
 * floats, which belongs to one parameter. */

enum { UPDATE_QUADS = SQUARE_BLOCK / (4 * THREADS) }; /* groups of four floats a thread takes */

static __global__ void square_sums_kernel(double *out, const float *x)
{
    const float4 *from = (const float4 *)(x + (int64_t)blockIdx.x * SQUARE_BLOCK);
    double sum = 0;
    for (int k = 0; k < UPDATE_QUADS; k++) {
        float4 v = from[k * THREADS + threadIdx.x];
        sum += (double)v.x * v.x + (double)v.y * v.y + (double)v.z * v.z + (double)v.w * v.w;
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

static void square_sums(struct device *d, double *out, const float *x, int64_t count)
{
    LAUNCH(d, square_sums_kernel, count / SQUARE_BLOCK, THREADS, 0, out, x);
}

/* A block a parameter. */
static __global__ void parameter_sums_kernel(double *out, const double *blocks, const int32_t *first)
{
    double sum = 0;
    for (int32_t b = first[blockIdx.x] + (int32_t)threadIdx.x; b < first[blockIdx.x + 1]; b += THREADS)
        sum += blocks[b];
    sum = block_sum(sum);
    if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

static void parameter_sums(struct device *d, double *out, const double *blocks, const int32_t *first,
                           int64_t parameters)
{
    LAUNCH(d, parameter_sums_kernel, parameters, THREADS, 0, out, blocks, first);
}

static __global__ void clip_factor_kernel(double *norm, float *factor, const double *squares, int64_t parameters,
                                          double limit)
{
    double sum = 0;
    for (int64_t i = threadIdx.x; i < parameters; i += THREADS) sum += squares[i];
    sum = block_sum(sum);
    if (threadIdx.x) return;
    *norm = sqrt(sum);
    *factor = !isfinite(*norm) ? 0.f : limit > 0 && *norm > limit ? (float)(limit / (*norm + 1e-6)) : 1.f;
}

static void clip_factor(struct device *d, double *norm, float *factor, const double *squares, int64_t parameters,
                        double limit)
{
    LAUNCH(d, clip_factor_kernel, 1, THREADS, 0, norm, factor, squares, parameters, limit);
}

static __device__ __forceinline__ float direction(float *m, float *v, float g, float p, const struct update *u,
                                                  float factor, float decay)
{
    g *= factor;
    *m = u->beta1 * *m + (1 - u->beta1) * g;
    *v = u->beta2 * *v + (1 - u->beta2) * g * g;
    return (*m / u->correct1) / (sqrtf(*v / u->correct2) + u->eps) + decay * p;
}

/* AdamW whole, or the direction of LAMB with its block sums. */
template <bool LAMB> static __global__ void __launch_bounds__(THREADS) direction_kernel(struct update u)
{
    float factor = *u.factor;
    int32_t owner = u.owner[blockIdx.x];
    if (factor == 0 || (!LAMB && owner < 0)) return;
    float decay = owner < 0 ? 0 : u.decay[owner], rate = owner < 0 ? 0 : u.rate * u.rates[owner];
    double p_sum = 0, g_sum = 0;
    for (int k = 0; k < UPDATE_QUADS; k++) {
        int64_t at = (int64_t)blockIdx.x * SQUARE_BLOCK + (k * THREADS + threadIdx.x) * 4;
        float4 p = *(float4 *)(u.p + at), g = *(float4 *)(u.g + at);
        if (owner >= 0) {
            float4 m = *(float4 *)(u.m + at), v = *(float4 *)(u.v + at);
            g.x = direction(&m.x, &v.x, g.x, p.x, &u, factor, decay);
            g.y = direction(&m.y, &v.y, g.y, p.y, &u, factor, decay);
            g.z = direction(&m.z, &v.z, g.z, p.z, &u, factor, decay);
            g.w = direction(&m.w, &v.w, g.w, p.w, &u, factor, decay);
            *(float4 *)(u.m + at) = m;
            *(float4 *)(u.v + at) = v;
        }
        if (LAMB) {
            *(float4 *)(u.g + at) = g;
            p_sum += (double)p.x * p.x + (double)p.y * p.y + (double)p.z * p.z + (double)p.w * p.w;
            g_sum += (double)g.x * g.x + (double)g.y * g.y + (double)g.z * g.z + (double)g.w * g.w;
            continue;
        }
        p.x -= rate * g.x, p.y -= rate * g.y, p.z -= rate * g.z, p.w -= rate * g.w;
        *(float4 *)(u.p + at) = p;
        if (u.compute)
            from_float(u.compute + at, p.x), from_float(u.compute + at + 1, p.y), from_float(u.compute + at + 2, p.z),
                from_float(u.compute + at + 3, p.w);
    }
    if (!LAMB) return;
    p_sum = block_sum(p_sum);
    g_sum = block_sum(g_sum);
    if (threadIdx.x == 0) u.p_sums[blockIdx.x] = p_sum, u.g_sums[blockIdx.x] = g_sum;
}

static void adam(struct device *d, const struct update *u)
{
    LAUNCH(d, direction_kernel<false>, u->count / SQUARE_BLOCK, THREADS, 0, *u);
}

static void lamb_direction(struct device *d, const struct update *u)
{
    LAUNCH(d, direction_kernel<true>, u->count / SQUARE_BLOCK, THREADS, 0, *u);
}

static __global__ void lamb_apply_kernel(struct update u)
{
    int32_t owner = u.owner[blockIdx.x];
    if (*u.factor == 0 || owner < 0) return;
    double weight = sqrt(u.weight_squares[owner]), size = sqrt(u.update_squares[owner]);
    double ratio = u.decay[owner] > 0 && weight > 0 && size > 0 ? weight / size : 1;
    float rate = (float)((double)u.rate * u.rates[owner] * ratio);
    for (int k = 0; k < UPDATE_QUADS; k++) {
        int64_t at = (int64_t)blockIdx.x * SQUARE_BLOCK + (k * THREADS + threadIdx.x) * 4;
        float4 p = *(float4 *)(u.p + at), g = *(float4 *)(u.g + at);
        p.x -= rate * g.x, p.y -= rate * g.y, p.z -= rate * g.z, p.w -= rate * g.w;
        *(float4 *)(u.p + at) = p;
        if (!u.compute) continue;
        pack<4, real> small;
        from_float(&small.value[0], p.x), from_float(&small.value[1], p.y), from_float(&small.value[2], p.z),
            from_float(&small.value[3], p.w);
        store<4>(u.compute + at, small);
    }
}

static void lamb_apply(struct device *d, const struct update *u)
{
    LAUNCH(d, lamb_apply_kernel, u->count / SQUARE_BLOCK, THREADS, 0, *u);
}

static __global__ void sgd_kernel(struct update u)
{
    float factor = *u.factor;
    int32_t owner = u.owner[blockIdx.x];
    if (factor == 0 || owner < 0) return;
    float decay = u.decay[owner], rate = u.rate * u.rates[owner];
    for (int k = 0; k < 4 * UPDATE_QUADS; k++) {
        int64_t at = (int64_t)blockIdx.x * SQUARE_BLOCK + k * THREADS + threadIdx.x;
        float m = u.beta1 * u.m[at] + (u.g[at] * factor + decay * u.p[at]), p = u.p[at] - rate * m;
        u.m[at] = m;
        u.p[at] = p;
        if (u.compute) from_float(u.compute + at, p);
    }
}

static void sgd(struct device *d, const struct update *u)
{
    LAUNCH(d, sgd_kernel, u->count / SQUARE_BLOCK, THREADS, 0, *u);
}

static __global__ void clamp_kernel(float *x, float low, float high, const float *unless)
{
    if (*unless != 0) *x = fminf(fmaxf(*x, low), high);
}

static void clamp(struct device *d, float *x, float low, float high, const float *unless)
{
    LAUNCH(d, clamp_kernel, 1, 1, 0, x, low, high, unless);
}
