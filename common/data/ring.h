/* Batches made ahead of the step that needs them: a ring of slots, filled by threads a row at a time.
 *
 *   handed out, still valid        being made, in order
 *   [ keep ]                       [ ahead ]
 *
 * What a batch holds is its maker's business, and must be a function of its number alone: the number of threads changes
 * nothing. */
#ifndef DATA_RING_H
#define DATA_RING_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* How batches are made.  begin is called for one batch after the other, make by any number of threads at once. */
struct ring_maker {
    size_t bytes;                                              /* of a batch's struct, zeroed */
    void (*open)(void *self, void *batch);                     /* once a slot; NULL: nothing to do */
    int64_t (*begin)(void *self, void *batch, int64_t number); /* returns how many rows it has */
    int (*make)(void *self, void *batch, int64_t row, struct error *error);
    void (*finish)(void *self, void *batch); /* all rows are there; NULL: nothing to do */
    void (*close)(void *self, void *batch);  /* what open took, and the last rows */
};

struct ring_config {
    const struct ring_maker *maker;
    void *self;
    int64_t first, end;       /* batches [first, end) are made */
    int threads, ahead, keep; /* ahead: batches in work; keep: batches handed out that stay valid, at least 1 */
};

struct ring;
struct ring *ring_open(const struct ring_config *config);
void ring_close(struct ring *ring); /* NULL is fine */

/* The next batch in order (NULL after the last); it stays valid until `keep` more calls were made.  *waited grows by
 * the seconds spent waiting. NULL with `error` when a row could not be made: that of the lowest row, whatever the
 * threads did. */
void *ring_next(struct ring *ring, double *waited, struct error *error);

#endif
