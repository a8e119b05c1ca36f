/* A list of items to decode and one of those decoded, between threads. */
#include "captioner/feed.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/memory.h"
#include "models/plm.h"

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
    pthread_t *threads;
};

static void append(struct list *l, struct fed *f)
{
    f->next = NULL;
    if (l->last) l->last->next = f;
    else l->first = f;
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

static int decode(const struct feed_config *c, struct fed *f)
{
    if (collection_read(c->data, f->item, &f->record, &f->error) < 0) return -1;
    bool video = media_is_video(&f->record);
    size_t tile = (size_t)c->size * (size_t)c->size * 3, most = video ? (size_t)c->media.frames : (size_t)c->tiles + 1;
    struct image *pictures = mem_alloc((size_t)c->media.frames, sizeof *pictures);
    f->seconds = mem_zalloc((size_t)c->media.frames, sizeof *f->seconds);
    f->pixels = mem_alloc(most, tile);
    int count = media_pictures(&f->record, &c->media, pictures, f->seconds, &f->error);
    for (int i = 0; i < count; i++) {
        int made = plm_picture(&pictures[i], c->size, video ? 0 : c->tiles, f->pixels + (size_t)f->count * tile);
        f->count += made;
        image_free(&pictures[i]);
    }
    free(pictures);
    return count < 0 ? -1 : 0;
}

static struct fed *start_over(struct fed *f)
{
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
        decode(&feed->config, f);
        pthread_mutex_lock(&feed->lock);
        if (f->error.code == ERROR_SLOW && ++f->tried < feed->config.attempts) {
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
    for (int i = 0; i < config->threads; i++) CHECK(!pthread_create(&f->threads[i], NULL, work, f), "decode thread %d", i);
    return f;
}

void feed_free(struct fed *f)
{
    if (!f) return;
    free(f->pixels);
    free(f->seconds);
    free(f);
}

void feed_close(struct feed *f)
{
    if (!f) return;
    pthread_mutex_lock(&f->lock);
    f->stop = true;
    pthread_cond_broadcast(&f->work);
    pthread_mutex_unlock(&f->lock);
    for (int i = 0; i < f->config.threads; i++) pthread_join(f->threads[i], NULL);
    while (f->asked.first) feed_free(take_first(&f->asked));
    while (f->ready.first) feed_free(take_first(&f->ready));
    free(f->threads);
    free(f);
}

int feed_room(struct feed *f)
{
    pthread_mutex_lock(&f->lock);
    int room = f->config.ahead - f->under_way;
    pthread_mutex_unlock(&f->lock);
    return room;
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
