/* Batches of pictures and captions to train on, made ahead by decode threads (data/ring.h).
 *
 * A job says which samples a batch holds; what it holds is a pure function of that.  A sample that cannot be read is
 * replaced by another one chosen from its number, and listed: the batch stays full. */
#ifndef DATA_LOADER_H
#define DATA_LOADER_H

#include <stdbool.h>

#include "backend/device.h"
#include "data/collection.h"
#include "data/tokenizer.h"

struct batch {
    int64_t number, count;
    int size;              /* pixels a side */
    int64_t pictures;      /* of all samples: one each, several of a video */
    uint8_t *pixels;       /* [pictures, size, size, 3] */
    int32_t *starts;       /* [count + 1] the first picture of each sample */
    uint8_t *other_pixels; /* [pictures, other.size, other.size, 3], and */
    int32_t *other_ids;    /* [count, other.context]: the same samples as another model takes them, NULL without one */
    int32_t *ids;          /* [count, context] */
    void **beside;         /* [count] what config.beside made of each row, freed by the loader; NULL without it */
    int64_t *samples;      /* [count] which sample each row is */
    uint64_t *epochs;      /* [count] */
};

struct loader_config {
    const struct collection *data;
    const struct tokenizer *tokenizer;
    const struct augmentation *augmentation;
    struct media_options media;
    int64_t context, batches, first; /* batches [first, batches) are made; context 0: pictures alone, without texts */
    int64_t count_max;               /* rows of the largest batch */
    int size_max;
    struct {
        int size; /* 0: there is none */
        int64_t context;
    } other;
    uint64_t seed;
    int threads, ahead, keep; /* ahead: batches in work; keep: batches handed out that stay valid */
    struct device *device;    /* whose host memory pixels lie in */
    /* Fill number, count, size, samples and epochs of batch->number. */
    void (*job)(void *context, struct batch *batch);
    void *job_context;
    /* What else belongs to a row, in memory from mem_alloc: from a record whose pixels are made, by any thread; NULL
     * with `error`: the sample is replaced.  NULL: nothing. */
    void *(*beside)(void *context, const struct batch *batch, int64_t row, int64_t sample, const struct record *record,
                    struct error *error);
};

struct loader;
struct loader *loader_open(const struct loader_config *config);
void loader_close(struct loader *loader);

/* The next batch in order (NULL after the last); it stays valid until `keep` more calls were made.  *waited grows by
 * the seconds spent waiting. Fails when a sample and all its replacements are unreadable. */
struct batch *loader_next(struct loader *loader, double *waited, struct error *error);
int64_t loader_replaced(const struct loader *loader); /* samples replaced so far */

#endif
