/* Word of a stop over a tree of ranks. */
#include "dist/stopping.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/stop.h"
#include "log/log.h"

struct stopping stopping_begin(const struct world *world)
{
    return (struct stopping){.world = world};
}

/* The ranks beside this one in the tree: which [3], returns how many. */
static int neighbours(const struct world *w, int which[3])
{
    int count = 0, child = 2 * w->rank + 1;
    if (w->rank) which[count++] = (w->rank - 1) / 2;
    for (int i = child; i < child + 2 && i < w->size; i++) which[count++] = i;
    return count;
}

static void hear(struct stopping *s)
{
    int from;
    int64_t word;
    while (world_receive_number(s->world, &from, &word)) s->heard++;
}

static void tell(struct stopping *s)
{
    int to[3], count = s->told ? 0 : neighbours(s->world, to);
    for (int i = 0; i < count; i++) world_send_number(s->world, to[i], 0);
    s->told = true;
}

bool stopping_now(struct stopping *s)
{
    hear(s);
    if (s->heard || stop_asked()) tell(s);
    return s->left = s->told;
}

/* Take in the words still on their way: nobody may find them later. */
static void hear_all(struct stopping *s)
{
    int of[3], count = neighbours(s->world, of), coming = 0;
    bool *told = mem_alloc((size_t)s->world->size, sizeof *told);
    world_gather_all(s->world, &s->told, sizeof *told, told);
    for (int i = 0; i < count; i++) coming += told[of[i]];
    while (s->heard < coming) hear(s);
    free(told);
}

static int stopped(const char *remedy, struct error *error)
{
    log_info("stopped by a signal; %s", remedy);
    return error_set(error, ERROR_STOPPED, "stopped by a signal; %s", remedy);
}

int stopping_end(struct stopping *s, int rc, const char *remedy, struct error *error)
{
    if (rc < 0) tell(s);
    if (s->world->size > 1) hear_all(s);
    if (world_agree(s->world, rc, error) < 0) return -1;
    return world_max(s->world, s->left) ? stopped(remedy, error) : 0;
}

int stopping_alone(const char *remedy, struct error *error)
{
    return stop_asked() ? stopped(remedy, error) : 0;
}
