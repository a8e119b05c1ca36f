/* Tiles of the matrices of tokens (ops/gram.c). */

static double difference_row(float *e, const float *s, const float *t, int64_t cols, float sharpness, float scale)
{
    vec sum = vec_splat(0);
    for (int64_t i = 0; i < cols; i += LANES) {
        int64_t n = cols - i < LANES ? cols - i : LANES;
        bool whole = n == LANES;
        vec own = whole ? vec_load(s + i) : vec_load_part(s + i, n, 0),
            taught = whole ? vec_load(t + i) : vec_load_part(t + i, n, 0);
        vec apart = own - vec_exp((taught - 1) * sharpness);
        for (int64_t k = n; k < LANES; k++) apart[k] = 0;
        sum += apart * apart;
        if (whole)
            vec_store(e + i, apart * scale);
        else
            vec_store_part(e + i, apart * scale, n);
    }
    return vec_sum(sum);
}

static void gram_difference(struct device *d, float *e, float *loss, const float *s, const float *t, int64_t rows,
                            int64_t cols, float sharpness, float scale, float weight, bool accumulate)
{
    device_reserve(d, 2 * (size_t)rows);
    double *part = (double *)d->extra[0], sum = 0;
#pragma omp parallel for num_threads(d->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++)
        part[r] = difference_row(e + r * cols, s + r * cols, t + r * cols, cols, sharpness, scale);
    for (int64_t r = 0; r < rows; r++) sum += part[r];
    *loss = (accumulate ? *loss : 0) + (float)((double)weight * sum);
}
