/* A ring of batches filled by threads, one sample at a time. */
#include "data/loader.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/rng.h"
#include "log/log.h"

enum { REPLACEMENTS = 16 };

int collection_open(struct collection *collection, char *const *folders, int64_t count, struct error *error)
{
    struct collection c = {.sets = mem_zalloc((size_t)count + 1, sizeof *c.sets), .shares = mem_zalloc((size_t)count + 1, sizeof *c.shares)};
    for (int64_t i = 0; i < count; i++) {
        if (dataset_open(&c.sets[i], folders[i], error) < 0) {
            collection_close(&c);
            return -1;
        }
        c.count++;
        c.samples += c.shares[i] = c.sets[i].samples;
        c.videos += c.sets[i].videos;
    }
    c.epoch = c.samples;
    *collection = c;
    return 0;
}

void collection_close(struct collection *c)
{
    for (int64_t i = 0; i < c->count; i++) dataset_close(&c->sets[i]);
    free(c->sets);
    free(c->shares);
    *c = (struct collection){0};
}

int collection_weigh(struct collection *c, char *const *factors, int64_t count, struct error *error)
{
    if (count != c->count) return error_set(error, ERROR_USAGE, "%ld upsampling factors for %ld data sets", (long)count, (long)c->count);
    c->epoch = 0;
    for (int64_t i = 0; i < count; i++) {
        char *end;
        double factor = strtod(factors[i], &end);
        if (*end || end == factors[i] || !(factor >= 0 && factor < 1e6)) return error_set(error, ERROR_USAGE, "upsampling factor \"%s\": not a number from 0 on", factors[i]);
        c->epoch += c->shares[i] = c->sets[i].samples ? llround(factor * (double)c->sets[i].samples) : 0;
    }
    return c->epoch ? 0 : error_set(error, ERROR_USAGE, "the upsampling factors leave no samples");
}

int64_t collection_draw(const struct collection *c, uint64_t seed, uint64_t epoch, uint64_t place)
{
    if (c->epoch == c->samples && c->count == 1) return (int64_t)rng_permute(seed, epoch, place, (uint64_t)c->samples);
    int64_t at = (int64_t)rng_permute(seed, epoch, place, (uint64_t)c->epoch), first = 0, set = 0;
    while (at >= c->shares[set]) at -= c->shares[set], first += c->sets[set++].samples;
    uint64_t size = (uint64_t)c->sets[set].samples;
    return first + (int64_t)rng_permute(seed + (uint64_t)set + 1, epoch, (uint64_t)at % size, size);
}

int collection_read(const struct collection *c, int64_t sample, struct record *record, struct error *error)
{
    const struct dataset *d = c->sets;
    while (sample >= d->samples) sample -= (d++)->samples;
    return dataset_read(d, sample, record, error);
}

int64_t collection_pictures(const struct collection *c, const struct media_options *media)
{
    return c->videos ? media->frames : 1;
}

struct slot {
    struct batch batch;
    int64_t started, finished; /* samples handed out, done */
    struct error error;
};

struct loader {
    struct loader_config config;
    struct slot *slots;
    int64_t next_job, next_out, slot_count; /* next_job, next_out: batch numbers, the first not begun and not handed out */
    int64_t replaced;
    bool stop;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    pthread_t *threads;
};

static int caption(const struct loader_config *c, const struct record *r, struct batch *b, int64_t row, int64_t sample, struct error *error)
{
    if (!r->caption_count) return error_set(error, ERROR_FAILED, "sample %ld has no caption", (long)sample);
    uint32_t which = 0;
    if (c->augmentation && r->caption_count > 1) {
        struct rng rng = rng_open(c->seed, RNG_CAPTION, b->epochs[row], (uint64_t)sample);
        which = (uint32_t)rng_below(&rng, r->caption_count);
    }
    size_t len;
    const char *packed = record_caption(r, which, &len);
    char *text = mem_zalloc(len + 1, 1);
    memcpy(text, packed, len);
    tokenizer_encode(c->tokenizer, text, b->ids + row * c->context, c->context);
    if (c->other.size) tokenizer_encode(c->tokenizer, text, b->other_ids + row * c->other.context, c->other.context);
    free(text);
    return 0;
}

static int make_row(const struct loader_config *c, struct batch *b, int64_t row, int64_t sample, struct error *error)
{
    struct record r;
    if (collection_read(c->data, sample, &r, error) < 0) return -1;
    if (media_is_video(&r) && !c->data->videos) return error_set(error, ERROR_FAILED, "sample %ld is a video, dataset.json counts none", (long)sample);
    uint8_t *pixels = b->pixels + row * collection_pictures(c->data, &c->media) * b->size * b->size * 3;
    int pictures = media_pixels(&r, &c->media, b->size, c->augmentation, c->seed, b->epochs[row], (uint64_t)sample, pixels, error);
    if (pictures < 0) return error_prefix(error, "sample %ld", (long)sample);
    b->starts[row + 1] = pictures;
    if (c->other.size) {
        pixels = b->other_pixels + row * collection_pictures(c->data, &c->media) * c->other.size * c->other.size * 3;
        pictures = media_pixels(&r, &c->media, c->other.size, c->augmentation, c->seed, b->epochs[row], (uint64_t)sample, pixels, error);
        if (pictures < 0) return error_prefix(error, "sample %ld", (long)sample);
    }
    b->labels[row] = r.label;
    b->samples[row] = sample;
    return c->tokenizer ? caption(c, &r, b, row, sample, error) : 0;
}

/* The sample, or in training one of its replacements. */
static void fill_row(struct loader *l, struct slot *s, int64_t row)
{
    struct error error = {0};
    int64_t sample = s->batch.samples[row];
    if (make_row(&l->config, &s->batch, row, sample, &error) == 0) return;
    for (int attempt = 1; l->config.augmentation && attempt <= REPLACEMENTS; attempt++) {
        struct rng rng = rng_open(l->config.seed, RNG_ORDER, (uint64_t)sample, (uint64_t)attempt);
        int64_t other = (int64_t)rng_below(&rng, (uint64_t)l->config.data->samples);
        struct error again = {0};
        if (make_row(&l->config, &s->batch, row, other, &again) < 0) continue;
        pthread_mutex_lock(&l->lock);
        int64_t count = ++l->replaced;
        pthread_mutex_unlock(&l->lock);
        if (count <= 10) log_warn("%s: replaced by sample %ld", error.text, (long)other);
        return;
    }
    pthread_mutex_lock(&l->lock);
    if (!s->error.code) s->error = error;
    pthread_mutex_unlock(&l->lock);
}

/* All rows are there: close the gaps behind samples of few pictures, and turn counts into places. */
static void settle(struct loader *l, struct batch *b)
{
    int64_t room = collection_pictures(l->config.data, &l->config.media), picture = (int64_t)b->size * b->size * 3;
    int64_t other = (int64_t)l->config.other.size * l->config.other.size * 3;
    b->starts[0] = 0;
    for (int64_t row = 0; row < b->count; row++) {
        int64_t count = b->starts[row + 1], at = b->starts[row];
        if (at != row * room) {
            memmove(b->pixels + at * picture, b->pixels + row * room * picture, (size_t)(count * picture));
            if (other) memmove(b->other_pixels + at * other, b->other_pixels + row * room * other, (size_t)(count * other));
        }
        b->starts[row + 1] = (int32_t)(at + count);
    }
    b->pictures = b->starts[b->count];
}

/* A slot with a sample to do, preparing the next job when there is room; called with the lock held. */
static struct slot *find_work(struct loader *l)
{
    for (int64_t n = l->next_out; n < l->next_job; n++) {
        struct slot *s = &l->slots[n % l->slot_count];
        if (s->started < s->batch.count) return s;
    }
    if (l->next_job >= l->config.batches || l->next_job >= l->next_out + l->config.ahead) return NULL;
    struct slot *s = &l->slots[l->next_job % l->slot_count];
    s->batch.number = l->next_job;
    s->started = s->finished = 0;
    s->error = (struct error){0};
    l->config.job(l->config.job_context, &s->batch);
    CHECK(s->batch.count <= l->config.count_max && s->batch.size <= l->config.size_max, "batch of %ld at %d", (long)s->batch.count, s->batch.size);
    l->next_job++;
    if (s->batch.count) return s;
    pthread_cond_broadcast(&l->done); /* an empty batch is done already */
    return find_work(l);
}

static void *work(void *argument)
{
    struct loader *l = argument;
    pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        struct slot *s = find_work(l);
        if (!s) {
            pthread_cond_wait(&l->work, &l->lock);
            continue;
        }
        int64_t row = s->started++;
        pthread_mutex_unlock(&l->lock);
        fill_row(l, s, row);
        pthread_mutex_lock(&l->lock);
        if (s->finished + 1 == s->batch.count && !s->error.code) settle(l, &s->batch);
        if (++s->finished == s->batch.count) pthread_cond_broadcast(&l->done);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static size_t pixel_bytes(const struct loader_config *c, int size)
{
    return (size_t)(c->count_max * collection_pictures(c->data, &c->media)) * (size_t)size * (size_t)size * 3;
}

static uint8_t *take_pixels(const struct loader_config *c, int size)
{
    size_t bytes = pixel_bytes(c, size);
    return !size ? NULL : c->device ? c->device->kernels->host_map(c->device, bytes) : mem_alloc(bytes, 1);
}

static void free_pixels(const struct loader_config *c, uint8_t *pixels, int size)
{
    if (c->device && size) c->device->kernels->host_unmap(c->device, pixels, pixel_bytes(c, size));
    else free(pixels);
}

struct loader *loader_open(const struct loader_config *config)
{
    struct loader *l = mem_zalloc(1, sizeof *l);
    l->config = *config;
    l->config.keep = config->keep > 1 ? config->keep : 1;
    l->slot_count = l->config.keep + l->config.ahead;
    l->next_job = l->next_out = config->first;
    l->slots = mem_zalloc((size_t)l->slot_count, sizeof *l->slots);
    for (int64_t i = 0; i < l->slot_count; i++) {
        struct batch *b = &l->slots[i].batch;
        size_t rows = (size_t)config->count_max;
        b->pixels = take_pixels(config, config->size_max);
        b->other_pixels = take_pixels(config, config->other.size);
        if (config->other.size) b->other_ids = mem_alloc(rows * (size_t)config->other.context, sizeof *b->other_ids);
        if (config->tokenizer) b->ids = mem_alloc(rows * (size_t)config->context, sizeof *b->ids);
        b->samples = mem_alloc(rows, sizeof *b->samples);
        b->starts = mem_zalloc(rows + 1, sizeof *b->starts);
        b->epochs = mem_zalloc(rows, sizeof *b->epochs);
        b->labels = mem_alloc(rows, sizeof *b->labels);
    }
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->work, NULL);
    pthread_cond_init(&l->done, NULL);
    l->threads = mem_alloc((size_t)config->threads, sizeof *l->threads);
    for (int i = 0; i < config->threads; i++) CHECK(!pthread_create(&l->threads[i], NULL, work, l), "decode thread %d", i);
    return l;
}

void loader_close(struct loader *l)
{
    if (!l) return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->config.threads; i++) pthread_join(l->threads[i], NULL);
    for (int64_t i = 0; i < l->slot_count; i++) {
        struct batch *b = &l->slots[i].batch;
        free_pixels(&l->config, b->pixels, l->config.size_max);
        free_pixels(&l->config, b->other_pixels, l->config.other.size);
        free(b->ids);
        free(b->other_ids);
        free(b->samples);
        free(b->starts);
        free(b->epochs);
        free(b->labels);
    }
    free(l->slots);
    free(l->threads);
    free(l);
}

struct batch *loader_next(struct loader *l, double *waited, struct error *error)
{
    double start = clock_seconds();
    struct batch *batch = NULL;
    pthread_mutex_lock(&l->lock);
    if (l->next_out < l->config.batches) {
        struct slot *s = &l->slots[l->next_out % l->slot_count];
        while (l->next_job <= l->next_out || s->finished < s->batch.count) pthread_cond_wait(&l->done, &l->lock);
        if (s->error.code) error_set(error, s->error.code, "%s", s->error.text);
        else batch = &s->batch;
        l->next_out++; /* the oldest batch handed out makes room */
        pthread_cond_broadcast(&l->work);
    }
    pthread_mutex_unlock(&l->lock);
    *waited += clock_seconds() - start;
    return batch;
}

int64_t loader_replaced(struct loader *l)
{
    pthread_mutex_lock(&l->lock);
    int64_t replaced = l->replaced;
    pthread_mutex_unlock(&l->lock);
    return replaced;
}
