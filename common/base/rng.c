/* Philox 4x32-10, the distributions drawn from it, and a keyed permutation. */
#include "base/rng.h"

#include <math.h>

#include "base/check.h"

static void philox(const uint32_t key_in[2], const uint32_t counter[4], uint32_t out[4])
{
    uint32_t k0 = key_in[0], k1 = key_in[1];
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

struct rng rng_open(uint64_t seed, enum rng_purpose purpose, uint64_t a, uint64_t b)
{
    /* The key names the run and the use; (a, b) is folded through one block so that all 128 bits matter. */
    struct rng rng = {.key = {(uint32_t)seed, (uint32_t)(seed >> 32) ^ ((uint32_t)purpose * 0x85EBCA6Bu)}};
    uint32_t where[4] = {(uint32_t)a, (uint32_t)(a >> 32), (uint32_t)b, (uint32_t)(b >> 32)};
    uint32_t mixed[4];
    philox(rng.key, where, mixed);
    rng.key[0] = mixed[0];
    rng.key[1] = mixed[1];
    rng.counter[2] = mixed[2];
    rng.counter[3] = mixed[3];
    return rng;
}

void rng_skip(struct rng *rng, uint64_t blocks)
{
    CHECK(!rng->left && !rng->counter[0] && !rng->counter[1], "values were drawn before");
    rng->counter[0] = (uint32_t)blocks;
    rng->counter[1] = (uint32_t)(blocks >> 32);
}

uint32_t rng_u32(struct rng *rng)
{
    if (!rng->left) {
        philox(rng->key, rng->counter, rng->block);
        if (!++rng->counter[0]) rng->counter[1]++;
        rng->left = 4;
    }
    return rng->block[--rng->left];
}

uint64_t rng_u64(struct rng *rng)
{
    uint64_t high = rng_u32(rng);
    return high << 32 | rng_u32(rng);
}

double rng_uniform(struct rng *rng)
{
    return (double)(rng_u64(rng) >> 11) * 0x1p-53;
}

double rng_range(struct rng *rng, double low, double high)
{
    return low + (high - low) * rng_uniform(rng);
}

uint64_t rng_below(struct rng *rng, uint64_t bound)
{
    CHECK(bound > 0, "bound 0");
    uint64_t limit = UINT64_MAX - UINT64_MAX % bound, draw;
    do draw = rng_u64(rng);
    while (draw >= limit);
    return draw % bound;
}

double rng_normal(struct rng *rng)
{
    double radius = sqrt(-2 * log(1 - rng_uniform(rng)));
    return radius * cos(6.283185307179586 * rng_uniform(rng));
}

uint64_t rng_permute(uint64_t seed, uint64_t epoch, uint64_t index, uint64_t count)
{
    CHECK(index < count, "index %lu of %lu", (unsigned long)index, (unsigned long)count);
    int half = 1;
    while (half < 32 && (uint64_t)1 << (2 * half) < count) half++;
    uint64_t mask = ((uint64_t)1 << half) - 1;
    struct rng keys = rng_open(seed, RNG_ORDER, epoch, 0);
    uint32_t key[6][2];
    for (int round = 0; round < 6; round++) key[round][0] = rng_u32(&keys), key[round][1] = rng_u32(&keys);
    do {
        uint64_t left = index >> half, right = index & mask;
        for (int round = 0; round < 6; round++) {
            uint64_t mixed = (right + key[round][0]) * 0x9E3779B97F4A7C15u;
            mixed = (mixed ^ mixed >> 29 ^ key[round][1]) * 0xBF58476D1CE4E5B9u;
            uint64_t next = left ^ (mixed >> 32 & mask);
            left = right;
            right = next;
        }
        index = left << half | right;
    } while (index >= count);
    return index;
}
