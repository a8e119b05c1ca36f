/* Counter-based random numbers: Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
 *
 * A draw is a pure function of (seed, purpose, a, b, position).  Nothing is shared between threads or ranks, and
 * recomputing a draw gives the same bits.  `purpose` separates uses; a and b say which sample, epoch, step ... it is.
 * */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

enum rng_purpose {
    RNG_INIT = 1,
    RNG_ORDER,
    RNG_CAPTION,
    RNG_CROP,
    RNG_JITTER,
    RNG_MASK,
    RNG_TEST,
    RNG_SAMPLE,
    RNG_DROP
};

struct rng {
    uint32_t key[2], counter[4], block[4];
    int left; /* values of block not yet drawn */
};

struct rng rng_open(uint64_t seed, enum rng_purpose purpose, uint64_t a, uint64_t b);
/* Pass over 4 * blocks values of rng_u32, before any is drawn: so threads share one sequence. */
void rng_skip(struct rng *rng, uint64_t blocks);
uint32_t rng_u32(struct rng *rng);
uint64_t rng_u64(struct rng *rng);
double rng_uniform(struct rng *rng);                        /* [0, 1), 53 bits */
double rng_range(struct rng *rng, double low, double high); /* [low, high) */
uint64_t rng_below(struct rng *rng, uint64_t bound);        /* [0, bound), bound > 0, unbiased */
double rng_normal(struct rng *rng);                         /* mean 0, variance 1 */

/* The place of `index` in a keyed permutation of [0, count): a 6-round Feistel network over the next power of four,
 * walked until it falls inside.  Same (seed, epoch) -> a bijection; O(1) memory and O(1) expected time. */
uint64_t rng_permute(uint64_t seed, uint64_t epoch, uint64_t index, uint64_t count);

#endif
