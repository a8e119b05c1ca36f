/* Portable vectors: GCC's vector extension, as wide as the level this file is compiled for.
 *
 * The kernels of this folder are compiled once per instruction level (Makefile: CPU_LEVELS) by way of table.c, so
 * plain C written over `vec` becomes SSE, AVX2, AVX-512 or, on another architecture, whatever its compiler offers. */
#ifndef CPU_SIMD_H
#define CPU_SIMD_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t veci __attribute__((vector_size(4 * LANES)));
typedef float vec_unaligned __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static inline vec vec_load(const float *p)
{
    return *(const vec_unaligned *)p;
}
static inline void vec_store(float *p, vec v)
{
    *(vec_unaligned *)p = v;
}
static inline vec vec_splat(float x)
{
    return x - (vec){0};
}
static inline vec vec_select(veci mask, vec yes, vec no)
{
    return (vec)((mask & (veci)yes) | (~mask & (veci)no));
}
static inline vec vec_max(vec a, vec b)
{
    return vec_select(a > b, a, b);
}
static inline vec vec_min(vec a, vec b)
{
    return vec_select(a < b, a, b);
}
static inline vec vec_abs(vec a)
{
    return (vec)((veci)a & 0x7fffffff);
}

/* The first n < LANES floats of p, the rest `fill`; and the store of the first n. */
static inline vec vec_load_part(const float *p, int64_t n, float fill)
{
    vec v = vec_splat(fill);
    for (int64_t i = 0; i < n; i++) v[i] = p[i];
    return v;
}

static inline void vec_store_part(float *p, vec v, int64_t n)
{
    for (int64_t i = 0; i < n; i++) p[i] = v[i];
}

/* Halves are added until one number is left. */
static inline float vec_sum(vec v)
{
#if LANES == 16
    typedef float half __attribute__((vector_size(32)));
    half w = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
             __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
#else
    vec w = v;
#endif
#if LANES >= 8
    typedef float quarter __attribute__((vector_size(16)));
    quarter four = __builtin_shufflevector(w, w, 0, 1, 2, 3) + __builtin_shufflevector(w, w, 4, 5, 6, 7);
#else
    vec four = w;
#endif
    return (four[0] + four[2]) + (four[1] + four[3]);
}

static inline float vec_top(vec v)
{
    float top = v[0];
    for (int i = 1; i < LANES; i++) top = v[i] > top ? v[i] : top;
    return top;
}

/* e^x to about 1 ulp: x = n ln 2 + r, |r| <= ln 2 / 2, degree-6 polynomial; below -87.3 the result is 0. */
static inline vec vec_exp(vec x)
{
    vec clamped = vec_min(vec_max(x, vec_splat(-87.3f)), vec_splat(88.7f));
    vec shifted = clamped * 1.44269504f + 12582912.f; /* 1.5 * 2^23: the integer lands in the low bits */
    vec n = shifted - 12582912.f;
    vec r = clamped - n * 0.693145752f;
    r = r - n * 1.42860677e-6f;
    vec p = r * 1.38888889e-3f + 8.33333333e-3f;
    p = p * r + 4.16666667e-2f;
    p = p * r + 1.66666667e-1f;
    p = p * r + 0.5f;
    p = p * r + 1.f;
    p = p * r + 1.f;
    veci exponent = ((veci)shifted - 0x4B400000) << 23;
    vec result = (vec)((veci)p + exponent);
    return vec_select(x < -87.3f, vec_splat(0), result);
}

/* erf(x), at most 1.5e-7 from the true value: an odd polynomial below 0.921875, 1 - e^polynomial above. */
static inline vec vec_erf(vec x)
{
    vec t = vec_abs(x), s = x * x;
    vec low = s * -5.96761703e-4f + 4.99119423e-3f;
    low = low * s - 2.67681349e-2f;
    low = low * s + 1.12819925e-1f;
    low = low * s - 3.76125336e-1f;
    low = low * s + 1.28379166e-1f;
    low = low * x + x;
    vec tc = vec_min(t, vec_splat(4.f)), tt = tc * tc;
    vec high = tc * -1.72853470e-5f + 3.83197126e-4f;
    vec next = tc * -3.88396438e-3f + 2.42546219e-2f;
    high = high * tt + next;
    high = high * tc - 1.06777877e-1f;
    high = high * tc - 6.34846687e-1f;
    high = high * tc - 1.28717512e-1f;
    high = high * tc - tc;
    high = 1.f - vec_exp(high);
    high = (vec)((veci)high | ((veci)x & (int32_t)0x80000000));
    return vec_select(t > 0.921875f, high, low);
}

/* GELU(x) = x Phi(x), and its derivative Phi(x) + x phi(x). */
static inline vec vec_gelu(vec x)
{
    return 0.5f * x * (1.f + vec_erf(x * 0.707106781f));
}

static inline vec vec_gelu_slope(vec x)
{
    vec phi = 0.398942280f * vec_exp(-0.5f * x * x);
    return 0.5f * (1.f + vec_erf(x * 0.707106781f)) + x * phi;
}

#endif
