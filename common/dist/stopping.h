/* Stopping together.  Between two points that all ranks reach each works at its own pace, so no call of all ranks can
 * ask whether to stop.  A rank that is asked (base/stop.h) tells its neighbours in a binary tree over the ranks, they
 * tell theirs: every rank hears of it the next time it looks, and none is waited for while it goes on.
 *
 *            0          struct stopping s = stopping_begin(world);
 *          1   2        while (rc == 0 && work is left && !stopping_now(&s)) ...
 *         3 4 5 6       rc = stopping_end(&s, rc, "run it again to go on", error);
 *
 * Its messages are numbers (world_send_number): nothing else may send numbers meanwhile. */
#ifndef DIST_STOPPING_H
#define DIST_STOPPING_H

#include "dist/world.h"

struct stopping {
    const struct world *world;
    bool told; /* the neighbours know */
    bool left; /* work was given up */
    int heard; /* neighbours that have told this rank */
};

struct stopping stopping_begin(const struct world *world);
/* True: give up the work; asked only where some is left.  Cheap; main thread. */
bool stopping_now(struct stopping *stopping);
/* (all) world_agree for the work's rc, whose failure stops the other ranks too.  Where nothing failed but a rank gave
 * up its work: ERROR_STOPPED everywhere, logged with what the user is to do. */
int stopping_end(struct stopping *stopping, int rc, const char *remedy, struct error *error);

/* Where one rank works while the others wait at its end: 0, or when it is asked to stop ERROR_STOPPED, logged. */
int stopping_alone(const char *remedy, struct error *error);

#endif
