/* Requests and answers are numbers (dist/world.h): a request is any, an answer an item or -1. */
#include "dist/queue.h"

#include <unistd.h>

void queue_open(struct queue *q, const struct world *world, int64_t count)
{
    *q = (struct queue){.world = world, .count = count};
}

static int64_t count_out(struct queue *q)
{
    return q->next < q->count ? q->next++ : -1;
}

void queue_serve(struct queue *q)
{
    int from;
    int64_t request;
    if (q->world->rank) return;
    while (world_receive_number(q->world, &from, &request)) {
        int64_t item = count_out(q);
        world_send_number(q->world, from, item);
        q->told += item < 0;
    }
}

int queue_take(struct queue *q, int64_t *item)
{
    int from;
    if (q->over) return -1;
    if (!q->world->rank) {
        queue_serve(q);
        *item = count_out(q);
    } else if (q->asked) {
        if (!world_receive_number(q->world, &from, item)) return 0;
        q->asked = false;
    } else {
        world_send_number(q->world, 0, 0);
        q->asked = true;
        return 0;
    }
    q->over = *item < 0;
    return q->over ? -1 : 1;
}

void queue_close(struct queue *q)
{
    int64_t item;
    if (q->world->rank)
        while (queue_take(q, &item) >= 0) usleep(200);
    else
        for (q->next = q->count; q->told < q->world->size - 1; usleep(200)) queue_serve(q);
    world_barrier(q->world);
}
