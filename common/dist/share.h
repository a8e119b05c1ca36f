/* Who gets what: things in a row shared out over ranks, as evenly as can be and in order; and how many slices a batch
 * is cut into. */
#ifndef DIST_SHARE_H
#define DIST_SHARE_H

#include <stdint.h>

#include "base/error.h"

/* Share r of `count` things in `parts` shares is [share_first(count, parts, r), share_first(count, parts, r + 1)):
 * shares differ by one thing at most, and with at least as many things as shares none is empty. */
static inline int64_t share_first(int64_t count, int64_t parts, int64_t part)
{
    return count / parts * part + count % parts * part / parts;
}

/* The share that thing `index` is in. */
static inline int64_t share_owner(int64_t count, int64_t parts, int64_t index)
{
    return ((index + 1) * parts - 1) / count;
}

/* Slices of a batch of `batch` samples over `ranks` ranks: `asked`, when it is not 0 and possible, else a choice of at
 * most SLICES_PER_RANK a rank.  With a power of two of ranks: a power of two, up to 8 where a slice then has at least
 * `samples` (enough for a run to go on with more ranks later, each slice of a size that keeps the products busy).  Else
 * the fewest that give no rank more than an eighth over its due, or come nearest to it.  -1: impossible, and the error
 * names what would do. */
int64_t slices_choose(int64_t asked, int64_t batch, int64_t ranks, int64_t samples, struct error *error);
enum { SLICES_PER_RANK = 8 };

#endif
