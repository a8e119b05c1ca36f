/* Rows of batches: samples to pixels and token ids. */
#include "data/loader.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/rng.h"
#include "data/ring.h"
#include "log/log.h"

enum { REPLACEMENTS = 16, REPLACEMENTS_SAID = 10 }; /* tries at one sample; lines of the log */

struct loader {
    struct loader_config config;
    struct ring *ring;
    _Atomic int64_t replaced;
};

static int caption(const struct loader_config *c, const struct record *r, struct batch *b, int64_t row, int64_t sample,
                   struct error *error)
{
    if (!r->caption_count) return error_set(error, ERROR_FAILED, "sample %ld has no caption", (long)sample);
    uint32_t which = 0;
    if (r->caption_count > 1) {
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

static int fill_row(const struct loader_config *c, struct batch *b, int64_t row, int64_t sample, const struct record *r,
                    struct error *error)
{
    if (media_is_video(r) && !c->data->videos)
        return error_set(error, ERROR_FAILED, "sample %ld is a video, dataset.json counts none", (long)sample);
    uint8_t *pixels = b->pixels + row * collection_pictures(c->data, &c->media) * b->size * b->size * 3;
    int pictures =
        media_pixels(r, &c->media, b->size, c->augmentation, c->seed, b->epochs[row], (uint64_t)sample, pixels, error);
    if (pictures < 0) return error_prefix(error, "sample %ld", (long)sample);
    b->starts[row + 1] = pictures;
    if (c->other.size) {
        pixels = b->other_pixels + row * collection_pictures(c->data, &c->media) * c->other.size * c->other.size * 3;
        pictures = media_pixels(r, &c->media, c->other.size, c->augmentation, c->seed, b->epochs[row], (uint64_t)sample,
                                pixels, error);
        if (pictures < 0) return error_prefix(error, "sample %ld", (long)sample);
    }
    if (c->beside) {
        free(b->beside[row]);
        b->beside[row] = c->beside(c->job_context, b, row, sample, r, error);
        if (!b->beside[row]) return error_prefix(error, "sample %ld", (long)sample);
    }
    b->samples[row] = sample;
    return c->context ? caption(c, r, b, row, sample, error) : 0;
}

static int make_row(const struct loader_config *c, struct batch *b, int64_t row, int64_t sample, struct error *error)
{
    struct record r;
    if (collection_read(c->data, sample, &r, error) < 0) return -1;
    int rc = fill_row(c, b, row, sample, &r, error);
    record_release(&r);
    return rc;
}

/* The sample, or one of its replacements.  A shard that is damaged as a whole has none. */
static int make(void *self, void *made, int64_t row, struct error *error)
{
    struct loader *l = self;
    struct batch *b = made;
    int64_t sample = b->samples[row];
    struct error first = {0};
    if (make_row(&l->config, b, row, sample, &first) == 0) return 0;
    bool replace = collection_reach(l->config.data, sample, NULL) == 0;
    for (int attempt = 1; replace && attempt <= REPLACEMENTS; attempt++) {
        struct rng rng = rng_open(l->config.seed, RNG_ORDER, (uint64_t)sample, (uint64_t)attempt);
        int64_t other = (int64_t)rng_below(&rng, (uint64_t)l->config.data->samples);
        struct error again = {0};
        if (make_row(&l->config, b, row, other, &again) < 0) continue;
        int64_t count = 1 + atomic_fetch_add(&l->replaced, 1);
        if (count <= REPLACEMENTS_SAID) log_warn("%s: replaced by sample %ld", first.text, (long)other);
        return 0;
    }
    return error_set(error, first.code, "%s", first.text);
}

/* All rows are there: close the gaps behind samples of few pictures, and turn counts into places. */
static void finish(void *self, void *made)
{
    const struct loader_config *c = &((struct loader *)self)->config;
    struct batch *b = made;
    int64_t room = collection_pictures(c->data, &c->media), picture = (int64_t)b->size * b->size * 3;
    int64_t other = (int64_t)c->other.size * c->other.size * 3;
    b->starts[0] = 0;
    for (int64_t row = 0; row < b->count; row++) {
        int64_t count = b->starts[row + 1], at = b->starts[row];
        if (at != row * room) {
            memmove(b->pixels + at * picture, b->pixels + row * room * picture, (size_t)(count * picture));
            if (other)
                memmove(b->other_pixels + at * other, b->other_pixels + row * room * other, (size_t)(count * other));
        }
        b->starts[row + 1] = (int32_t)(at + count);
    }
    b->pictures = b->starts[b->count];
}

static int64_t begin(void *self, void *made, int64_t number)
{
    const struct loader_config *c = &((struct loader *)self)->config;
    struct batch *b = made;
    b->number = number;
    c->job(c->job_context, b);
    CHECK(b->count <= c->count_max && b->size <= c->size_max, "batch of %ld at %d", (long)b->count, b->size);
    return b->count;
}

static size_t pixel_bytes(const struct loader_config *c, int size)
{
    return (size_t)(c->count_max * collection_pictures(c->data, &c->media)) * (size_t)size * (size_t)size * 3;
}

static uint8_t *take_pixels(const struct loader_config *c, int size)
{
    size_t bytes = pixel_bytes(c, size);
    return size ? c->device->kernels->host_map(c->device, bytes) : NULL;
}

static void free_pixels(const struct loader_config *c, uint8_t *pixels, int size)
{
    if (size) c->device->kernels->host_unmap(c->device, pixels, pixel_bytes(c, size));
}

static void open_batch(void *self, void *made)
{
    const struct loader_config *c = &((struct loader *)self)->config;
    struct batch *b = made;
    size_t rows = (size_t)c->count_max;
    b->pixels = take_pixels(c, c->size_max);
    b->other_pixels = take_pixels(c, c->other.size);
    if (c->other.size) b->other_ids = mem_alloc(rows * (size_t)c->other.context, sizeof *b->other_ids);
    b->ids = mem_alloc(rows * (size_t)c->context, sizeof *b->ids);
    b->samples = mem_alloc(rows, sizeof *b->samples);
    b->starts = mem_zalloc(rows + 1, sizeof *b->starts);
    b->epochs = mem_zalloc(rows, sizeof *b->epochs);
    if (c->beside) b->beside = mem_zalloc(rows, sizeof *b->beside);
}

static void close_batch(void *self, void *made)
{
    const struct loader_config *c = &((struct loader *)self)->config;
    struct batch *b = made;
    free_pixels(c, b->pixels, c->size_max);
    free_pixels(c, b->other_pixels, c->other.size);
    for (int64_t i = 0; c->beside && i < c->count_max; i++) free(b->beside[i]);
    free(b->beside);
    free(b->ids);
    free(b->other_ids);
    free(b->samples);
    free(b->starts);
    free(b->epochs);
}

static const struct ring_maker maker = {sizeof(struct batch), open_batch, begin, make, finish, close_batch};

struct loader *loader_open(const struct loader_config *config)
{
    struct loader *l = mem_zalloc(1, sizeof *l);
    l->config = *config;
    struct ring_config c = {.maker = &maker,
                            .self = l,
                            .first = config->first,
                            .end = config->batches,
                            .threads = config->threads,
                            .ahead = config->ahead,
                            .keep = config->keep};
    l->ring = ring_open(&c);
    return l;
}

void loader_close(struct loader *l)
{
    if (!l) return;
    ring_close(l->ring);
    free(l);
}

struct batch *loader_next(struct loader *l, double *waited, struct error *error)
{
    return ring_next(l->ring, waited, error);
}

int64_t loader_replaced(const struct loader *l)
{
    return atomic_load(&l->replaced);
}
