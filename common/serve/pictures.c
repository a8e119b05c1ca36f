/* A ring of batches, a sample a row. */
#include "serve/pictures.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "data/ring.h"

enum { AHEAD = 3 };

struct picture_feed {
    struct pictures_config config;
    struct ring *ring;
    double waited;
};

static int64_t room(const struct pictures_config *c) /* pictures of a sample at most */
{
    return c->source.data ? collection_pictures(c->source.data, &c->media) : 1;
}

int64_t pictures_batches(const struct pictures_config *c)
{
    return (c->source.count + c->batch - 1) / c->batch;
}

int64_t pictures_samples(const struct pictures_config *c, int64_t number)
{
    int64_t left = c->source.count - number * c->batch;
    return left < 0 ? 0 : left < c->batch ? left : c->batch;
}

int64_t pictures_most(const struct pictures_config *c)
{
    return pictures_samples(c, 0) * room(c);
}

static size_t picture_bytes(const struct pictures_config *c)
{
    return (size_t)c->size * (size_t)c->size * 3;
}

static void open_batch(void *self, void *made)
{
    const struct pictures_config *c = &((struct picture_feed *)self)->config;
    struct picture_batch *b = made;
    size_t samples = (size_t)pictures_samples(c, 0);
    b->pixels = c->device->kernels->host_map(c->device, (size_t)pictures_most(c) * picture_bytes(c));
    b->starts = mem_zalloc(samples + 1, sizeof *b->starts);
    b->labels = mem_alloc(samples, sizeof *b->labels);
}

static void close_batch(void *self, void *made)
{
    const struct pictures_config *c = &((struct picture_feed *)self)->config;
    struct picture_batch *b = made;
    c->device->kernels->host_unmap(c->device, b->pixels, (size_t)pictures_most(c) * picture_bytes(c));
    free(b->starts);
    free(b->labels);
}

static int64_t begin(void *self, void *made, int64_t number)
{
    const struct pictures_config *c = &((struct picture_feed *)self)->config;
    struct picture_batch *b = made;
    int64_t of_all = number * c->ranks + c->rank;
    b->first = of_all * c->batch;
    return b->count = pictures_samples(c, of_all);
}

/* Returns how many pictures were written. */
static int read_sample(const struct pictures_config *c, int64_t sample, int32_t *label, uint8_t *pixels,
                       struct error *error)
{
    struct record r;
    if (collection_read(c->source.data, sample, &r, error) < 0) return -1;
    if (media_is_video(&r) && !c->source.data->videos)
        return error_set(error, ERROR_FAILED, "sample %ld is a video, dataset.json counts none", (long)sample);
    *label = r.label;
    int pictures = media_pixels(&r, &c->media, c->size, NULL, 0, 0, (uint64_t)sample, pixels, error);
    return pictures < 0 ? error_prefix(error, "sample %ld", (long)sample) : pictures;
}

static int read_picture(const struct pictures_config *c, const char *path, uint8_t *pixels, struct error *error)
{
    char *bytes;
    size_t len;
    if (fs_read(path, &bytes, &len, error) < 0) return -1;
    int rc = augment_evaluation((const uint8_t *)bytes, len, c->media.limits.max_pixels, c->size, pixels, error);
    free(bytes);
    return rc < 0 ? error_prefix(error, "%s", path) : 1;
}

static int make(void *self, void *made, int64_t row, struct error *error)
{
    const struct pictures_config *c = &((struct picture_feed *)self)->config;
    struct picture_batch *b = made;
    int64_t sample = b->first + row;
    uint8_t *pixels = b->pixels + (size_t)(row * room(c)) * picture_bytes(c);
    b->labels[row] = -1;
    int pictures = c->source.data ? read_sample(c, sample, &b->labels[row], pixels, error)
                                  : read_picture(c, c->source.paths[sample], pixels, error);
    b->starts[row + 1] = pictures;
    return pictures < 0 ? -1 : 0;
}

/* Close the gaps behind samples of few pictures, and turn counts into places. */
static void finish(void *self, void *made)
{
    const struct pictures_config *c = &((struct picture_feed *)self)->config;
    struct picture_batch *b = made;
    b->starts[0] = 0;
    for (int64_t row = 0; row < b->count; row++) {
        int64_t count = b->starts[row + 1], at = b->starts[row], bytes = (int64_t)picture_bytes(c);
        if (at != row * room(c))
            memmove(b->pixels + at * bytes, b->pixels + row * room(c) * bytes, (size_t)(count * bytes));
        b->starts[row + 1] = (int32_t)(at + count);
    }
    b->pictures = b->starts[b->count];
}

static const struct ring_maker maker = {sizeof(struct picture_batch), open_batch, begin, make, finish, close_batch};

struct picture_feed *pictures_open(const struct pictures_config *config)
{
    struct picture_feed *f = mem_zalloc(1, sizeof *f);
    int64_t batches = pictures_batches(config);
    f->config = *config;
    struct ring_config c = {.maker = &maker,
                            .self = f,
                            .end = (batches - config->rank + config->ranks - 1) / config->ranks,
                            .threads = config->threads,
                            .ahead = AHEAD,
                            .keep = config->keep};
    f->ring = ring_open(&c);
    return f;
}

void pictures_close(struct picture_feed *f)
{
    if (!f) return;
    ring_close(f->ring);
    free(f);
}

const struct picture_batch *pictures_next(struct picture_feed *f, struct error *error)
{
    return ring_next(f->ring, &f->waited, error);
}
