/* Slots between one taker and the threads that fill them. */
#include "data/ring.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"

struct slot {
    void *batch;
    int64_t rows, started, finished; /* of the batch: all, handed to a thread, done */
    int64_t failed;                  /* the lowest row that could not be made, and why */
    struct error error;
};

struct ring {
    struct ring_config config;
    struct slot *slots;
    int64_t slot_count;
    int64_t next_begin, next_out; /* numbers of the first batch not begun and not handed out */
    bool stop;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    pthread_t *threads;
};

static struct slot *slot_of(struct ring *r, int64_t number)
{
    return &r->slots[number % r->slot_count];
}

/* A slot with a row to make, beginning the next batch when there is room; called with the lock held. */
static struct slot *find_work(struct ring *r)
{
    for (int64_t n = r->next_out; n < r->next_begin; n++)
        if (slot_of(r, n)->started < slot_of(r, n)->rows) return slot_of(r, n);
    while (r->next_begin < r->config.end && r->next_begin < r->next_out + r->config.ahead) {
        struct slot *s = slot_of(r, r->next_begin);
        *s = (struct slot){.batch = s->batch, .failed = INT64_MAX};
        s->rows = r->config.maker->begin(r->config.self, s->batch, r->next_begin++);
        if (s->rows) return s;
        pthread_cond_broadcast(&r->done); /* an empty batch is done already */
    }
    return NULL;
}

static void settle(struct ring *r, struct slot *s, int64_t row, const struct error *why)
{
    if (why->code && row < s->failed) {
        s->failed = row;
        s->error = *why;
    }
    if (s->finished + 1 == s->rows && !s->error.code && r->config.maker->finish)
        r->config.maker->finish(r->config.self, s->batch);
    if (++s->finished == s->rows) pthread_cond_broadcast(&r->done);
}

/* On Linux this is the thread's own.  Threads that compute wait for one another at each barrier: where there are no
 * cores to spare, those that make batches give way to them. */
static void give_way(void)
{
    enum { NICER = 10 };
    setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + NICER);
}

static void *work(void *argument)
{
    struct ring *r = argument;
    give_way();
    pthread_mutex_lock(&r->lock);
    while (!r->stop) {
        struct slot *s = find_work(r);
        if (!s) {
            pthread_cond_wait(&r->work, &r->lock);
            continue;
        }
        int64_t row = s->started++;
        struct error why = {0};
        pthread_mutex_unlock(&r->lock);
        r->config.maker->make(r->config.self, s->batch, row, &why);
        pthread_mutex_lock(&r->lock);
        settle(r, s, row, &why);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

struct ring *ring_open(const struct ring_config *config)
{
    struct ring *r = mem_zalloc(1, sizeof *r);
    r->config = *config;
    CHECK(config->keep >= 1 && config->ahead >= 1, "keep %d, ahead %d", config->keep, config->ahead);
    r->slot_count = config->keep + config->ahead;
    r->next_begin = r->next_out = config->first;
    r->slots = mem_zalloc((size_t)r->slot_count, sizeof *r->slots);
    for (int64_t i = 0; i < r->slot_count; i++) {
        r->slots[i].batch = mem_zalloc(1, config->maker->bytes);
        if (config->maker->open) config->maker->open(config->self, r->slots[i].batch);
    }
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->work, NULL);
    pthread_cond_init(&r->done, NULL);
    r->threads = mem_alloc((size_t)config->threads, sizeof *r->threads);
    for (int i = 0; i < config->threads; i++)
        CHECK(!pthread_create(&r->threads[i], NULL, work, r), "decode thread %d", i);
    return r;
}

void ring_close(struct ring *r)
{
    if (!r) return;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_broadcast(&r->work);
    pthread_mutex_unlock(&r->lock);
    for (int i = 0; i < r->config.threads; i++) pthread_join(r->threads[i], NULL);
    for (int64_t i = 0; i < r->slot_count; i++) {
        r->config.maker->close(r->config.self, r->slots[i].batch);
        free(r->slots[i].batch);
    }
    free(r->slots);
    free(r->threads);
    free(r);
}

void *ring_next(struct ring *r, double *waited, struct error *error)
{
    double start = clock_seconds();
    void *batch = NULL;
    pthread_mutex_lock(&r->lock);
    if (r->next_out < r->config.end) {
        struct slot *s = slot_of(r, r->next_out);
        while (r->next_begin <= r->next_out || s->finished < s->rows) pthread_cond_wait(&r->done, &r->lock);
        if (s->error.code)
            error_set(error, s->error.code, "%s", s->error.text);
        else
            batch = s->batch;
        r->next_out++; /* the oldest batch handed out makes room */
        pthread_cond_broadcast(&r->work);
    }
    pthread_mutex_unlock(&r->lock);
    *waited += clock_seconds() - start;
    return batch;
}
