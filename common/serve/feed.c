/* A list of items to decode and one of those decoded, between threads. */
#include "serve/feed.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/memory.h"
#include "models/tiles.h"

/* Items in the feed at once: with each thread the one it decodes and the next, and two that are ready. */
enum { AHEAD_OF_THREAD = 2, AHEAD_READY = 2 };

struct list {
    struct fed *first, *last;
};

struct feed {
    struct feed_config config;
    struct list asked, ready;
    int under_way; /* asked and not taken */
    bool stop;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    pthread_t *threads; /* [running] */
    int running;
};

static void append(struct list *l, struct fed *f)
{
    f->next = NULL;
    if (l->last)
        l->last->next = f;
    else
        l->first = f;
    l->last = f;
}

static struct fed *take_first(struct list *l)
{
    struct fed *f = l->first;
    if (!f) return NULL;
    l->first = f->next;
    if (!l->first) l->last = NULL;
    return f;
}

static struct fed *start_over(struct fed *f)
{
    record_release(&f->record);
    free(f->pixels);
    free(f->seconds);
    *f = (struct fed){.item = f->item, .tried = f->tried};
    return f;
}

static void *work(void *argument)
{
    struct feed *feed = argument;
    pthread_mutex_lock(&feed->lock);
    while (!feed->stop) {
        struct fed *f = take_first(&feed->asked);
        if (!f) {
            pthread_cond_wait(&feed->work, &feed->lock);
            continue;
        }
        pthread_mutex_unlock(&feed->lock);
        feed->config.decode(feed->config.context, f, &f->error);
        pthread_mutex_lock(&feed->lock);
        if (f->error.code == ERROR_SLOW && ++f->tried < feed->config.attempts && !feed->stop) {
            append(&feed->asked, start_over(f));
            continue;
        }
        append(&feed->ready, f);
        pthread_cond_broadcast(&feed->done);
    }
    pthread_mutex_unlock(&feed->lock);
    return NULL;
}

struct feed *feed_open(const struct feed_config *config)
{
    struct feed *f = mem_zalloc(1, sizeof *f);
    f->config = *config;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->work, NULL);
    pthread_cond_init(&f->done, NULL);
    f->threads = mem_alloc((size_t)config->threads, sizeof *f->threads);
    for (; f->running < config->threads; f->running++)
        CHECK(!pthread_create(&f->threads[f->running], NULL, work, f), "decode thread %d", f->running);
    return f;
}

void feed_free(struct fed *f)
{
    if (!f) return;
    record_release(&f->record);
    free(f->pixels);
    free(f->seconds);
    free(f);
}

void feed_stop(struct feed *f)
{
    pthread_mutex_lock(&f->lock);
    f->stop = true;
    pthread_cond_broadcast(&f->work);
    pthread_mutex_unlock(&f->lock);
    for (; f->running; f->running--) pthread_join(f->threads[f->running - 1], NULL);
    for (struct fed *left; (left = take_first(&f->asked));) append(&f->ready, left);
}

void feed_close(struct feed *f)
{
    if (!f) return;
    feed_stop(f);
    while (f->ready.first) feed_free(take_first(&f->ready));
    free(f->threads);
    free(f);
}

static int under_way(struct feed *f)
{
    pthread_mutex_lock(&f->lock);
    int count = f->under_way;
    pthread_mutex_unlock(&f->lock);
    return count;
}

bool feed_has_room(struct feed *f)
{
    return under_way(f) < AHEAD_OF_THREAD * f->config.threads + AHEAD_READY;
}

bool feed_is_empty(struct feed *f)
{
    return !under_way(f);
}

void feed_put(struct feed *feed, int64_t item)
{
    struct fed *f = mem_zalloc(1, sizeof *f);
    f->item = item;
    pthread_mutex_lock(&feed->lock);
    append(&feed->asked, f);
    feed->under_way++;
    pthread_cond_signal(&feed->work);
    pthread_mutex_unlock(&feed->lock);
}

struct fed *feed_take(struct feed *feed, bool wait)
{
    pthread_mutex_lock(&feed->lock);
    while (wait && !feed->ready.first && feed->under_way) pthread_cond_wait(&feed->done, &feed->lock);
    struct fed *f = take_first(&feed->ready);
    feed->under_way -= f != NULL;
    pthread_mutex_unlock(&feed->lock);
    return f;
}

int feed_sample(const void *context, struct fed *f, struct error *error)
{
    const struct feed_samples *s = context;
    if (collection_read(s->data, f->item, &f->record, error) < 0) return -1;
    f->video = media_is_video(&f->record);
    size_t tile = (size_t)s->size * (size_t)s->size * 3, frames = (size_t)s->media.frames;
    struct image *pictures = mem_alloc(frames, sizeof *pictures);
    f->seconds = mem_zalloc(frames, sizeof *f->seconds);
    f->pixels = mem_alloc(f->video ? frames : (size_t)s->tiles + 1, tile);
    int count = media_pictures(&f->record, &s->media, pictures, f->seconds, error);
    if (count > 0) f->count = tiles_cut_all(pictures, count, s->size, f->video ? 0 : s->tiles, f->pixels);
    free(pictures);
    return count < 0 ? -1 : 0;
}
