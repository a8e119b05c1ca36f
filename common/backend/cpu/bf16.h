/* bfloat16: the upper half of a float, rounded to nearest even. */
#ifndef CPU_BF16_H
#define CPU_BF16_H

#include <stdint.h>
#include <string.h>

static inline uint16_t bf16_round(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 64); /* NaN stays one */
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static inline float bf16_widen(uint16_t x)
{
    uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* count floats, two to a word, the first in the low half; an odd one is followed by 0. */
static inline void bf16_pairs(uint32_t *to, const float *x, int64_t count)
{
    for (int64_t i = 0; i < count / 2; i++) to[i] = (uint32_t)bf16_round(x[2 * i]) | (uint32_t)bf16_round(x[2 * i + 1]) << 16;
    if (count % 2) to[count / 2] = bf16_round(x[count - 1]);
}

#endif
