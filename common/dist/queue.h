/* Work handed out one item at a time: rank 0 counts, the others ask.  Nobody waits: a rank asks before it needs the
 * item, and rank 0 answers between two pieces of its own work. */
#ifndef DIST_QUEUE_H
#define DIST_QUEUE_H

#include "dist/world.h"

struct queue {
    const struct world *world;
    int64_t next, count; /* rank 0 */
    int told;            /* rank 0: ranks that know there is no more */
    bool asked, over;    /* an answer is on its way; there is no more */
};

/* (all) Items [0, count). */
void queue_open(struct queue *queue, const struct world *world, int64_t count);
/* 1: *item is this rank's; 0: not known yet, call again later; -1: there is no more.  Rank 0 must call this, or
 * queue_serve, often. */
int queue_take(struct queue *queue, int64_t *item);
void queue_serve(struct queue *queue);
/* (all) Give back what was not taken, and wait until all ranks are here.  Must come before any other collective: until
 * then rank 0 owes answers. */
void queue_close(struct queue *queue);

#endif
