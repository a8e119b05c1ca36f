/* A ring of batches, a sample a row. */
#include "serve/pictures.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/fs.h"
#include "data/resize.h"
#include "data/ring.h"
#include "log/log.h"

enum { AHEAD = 3 };

struct picture_feed {
    struct pictures_config config;
    struct deal deal;
    int64_t room;
    struct ring *ring;
    double waited;
};

static size_t picture_bytes(struct extent size)
{
    return (size_t)extent_area(size) * 3;
}

static size_t batch_bytes(const struct picture_feed *f)
{
    return (size_t)(f->deal.most_pixels * f->room) * 3;
}

static void open_batch(void *self, void *made)
{
    const struct picture_feed *f = self;
    struct picture_batch *b = made;
    size_t samples = (size_t)f->deal.most;
    b->pixels = f->config.device->kernels->host_map(f->config.device, batch_bytes(f));
    b->starts = mem_zalloc(samples + 1, sizeof *b->starts);
    b->labels = mem_alloc(samples, sizeof *b->labels);
}

static void close_batch(void *self, void *made)
{
    const struct picture_feed *f = self;
    struct picture_batch *b = made;
    f->config.device->kernels->host_unmap(f->config.device, b->pixels, batch_bytes(f));
    free(b->starts);
    free(b->labels);
}

static int64_t begin(void *self, void *made, int64_t number)
{
    const struct picture_feed *f = self;
    struct picture_batch *b = made;
    b->span = deal_span(&f->deal, f->config.rank, number);
    return b->span.count;
}

/* Returns how many pictures were written. */
static int decode_sample(const struct pictures_config *c, int64_t sample, const struct record *r, uint8_t *pixels,
                         struct error *error)
{
    if (media_is_video(r) && !c->source.data->videos)
        return error_set(error, ERROR_FAILED, "sample %ld is a video, dataset.json counts none", (long)sample);
    int pictures = media_pixels(r, &c->media, c->size, NULL, 0, 0, (uint64_t)sample, pixels, error);
    if (pictures >= 0) return pictures;
    char *key = record_key(r);
    error_prefix(error, "sample %ld (%s)", (long)sample, key);
    free(key);
    return -1;
}

static int read_sample(const struct pictures_config *c, int64_t sample, int32_t *label, uint8_t *pixels,
                       struct error *error)
{
    struct record r;
    if (collection_read(c->source.data, sample, &r, error) < 0) return -1;
    int pictures = decode_sample(c, sample, &r, pixels, error);
    *label = r.label;
    record_release(&r);
    return pictures;
}

/* The whole picture, squashed as PIL does. */
static int decode_picture(const char *bytes, size_t len, int64_t max_pixels, const struct picture_span *span,
                          uint8_t *pixels, struct error *error)
{
    struct image image;
    int rc = 0;
    if (image_decode((const uint8_t *)bytes, len, max_pixels, &image, error) < 0) return -1;
    if (span->stored.width && (image.width != span->stored.width || image.height != span->stored.height))
        rc = error_set(error, ERROR_FAILED, "%d x %d pixels in a sequence of %ld x %ld", image.width, image.height,
                       (long)span->stored.width, (long)span->stored.height);
    else
        resize_image(&image, pixels, (int)span->size.width, (int)span->size.height);
    image_free(&image);
    return rc;
}

static int read_picture(const struct pictures_config *c, int64_t sample, const struct picture_span *span,
                        uint8_t *pixels, struct error *error)
{
    const char *path = c->source.paths[sample];
    char *bytes;
    size_t len;
    if (fs_read(path, &bytes, &len, error) < 0) return -1;
    int rc = decode_picture(bytes, len, c->media.limits.max_pixels, span, pixels, error);
    free(bytes);
    return rc < 0 ? error_prefix(error, "%s", path) : 1;
}

/* A sample that cannot be read, where that is no error. */
static bool may_miss(const struct pictures_config *c, int64_t sample)
{
    return c->skips && (!c->source.data || collection_reach(c->source.data, sample, NULL) == 0);
}

static int make(void *self, void *made, int64_t row, struct error *error)
{
    const struct picture_feed *f = self;
    struct picture_batch *b = made;
    int64_t sample = b->span.first + row;
    uint8_t *pixels = b->pixels + (size_t)(row * f->room) * picture_bytes(b->span.size);
    struct error why = {0};
    b->labels[row] = -1;
    int pictures = f->config.source.data ? read_sample(&f->config, sample, &b->labels[row], pixels, &why)
                                         : read_picture(&f->config, sample, &b->span, pixels, &why);
    if (pictures < 0 && !may_miss(&f->config, sample)) return error_set(error, why.code, "%s", why.text);
    if (pictures < 0) {
        log_warn("left out: %s", why.text);
        b->labels[row] = LABEL_MISSING;
        memset(pixels, 0, picture_bytes(b->span.size));
        pictures = 1;
    }
    b->starts[row + 1] = pictures;
    return 0;
}

/* Close the gaps behind samples of few pictures, and turn counts into places. */
static void finish(void *self, void *made)
{
    const struct picture_feed *f = self;
    struct picture_batch *b = made;
    int64_t bytes = (int64_t)picture_bytes(b->span.size);
    b->starts[0] = 0;
    for (int64_t row = 0; row < b->span.count; row++) {
        int64_t count = b->starts[row + 1], at = b->starts[row];
        if (at != row * f->room)
            memmove(b->pixels + at * bytes, b->pixels + row * f->room * bytes, (size_t)(count * bytes));
        b->starts[row + 1] = (int32_t)(at + count);
    }
    b->pictures = b->starts[b->span.count];
}

static const struct ring_maker maker = {sizeof(struct picture_batch), open_batch, begin, make, finish, close_batch};

struct picture_feed *pictures_open(const struct pictures_config *config)
{
    struct picture_feed *f = mem_zalloc(1, sizeof *f);
    const struct picture_source *s = &config->source;
    f->config = *config;
    f->config.media.border = s->border;
    CHECK(!s->group_count || s->paths, "groups of a data set, whose pictures become squares");
    f->room = s->data ? collection_pictures(s->data, &config->media) : 1;
    deal_open(&f->deal, s->count, extent_square(config->size), config->batch, config->ranks, s->groups, s->group_count);
    struct ring_config c = {.maker = &maker,
                            .self = f,
                            .end = deal_batches(&f->deal, config->rank),
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
    deal_close(&f->deal);
    free(f);
}

const struct deal *pictures_deal(const struct picture_feed *f)
{
    return &f->deal;
}

int64_t pictures_room(const struct picture_feed *f)
{
    return f->room;
}

const struct picture_batch *pictures_next(struct picture_feed *f, struct error *error)
{
    return ring_next(f->ring, &f->waited, error);
}
