/* Byte-pair merging: which two neighbouring symbols become one, and which pair goes first.
 *
 * A row of symbols is merged pair by pair, the lowest rank first and the leftmost of one rank, until no pair of
 * neighbours is in the table. */
#ifndef DATA_MERGES_H
#define DATA_MERGES_H

#include <stdint.h>

/* The table.  Zero-initialise; read-only once filled, by any number of threads. */
struct merges {
    struct merge *slots; /* by pair, open addressing; at most half of them used */
    uint64_t mask;
    int64_t count;
};

/* left and right, in this order, become result.  No id or rank is negative; what a pair was given first stays. */
void merges_add(struct merges *merges, int32_t left, int32_t right, int32_t rank, int32_t result);
void merges_free(struct merges *merges);

/* Merge ids [count] in place, in O(count log count).  Returns how many are left. */
int64_t merges_apply(const struct merges *merges, int32_t *ids, int64_t count);

#endif
