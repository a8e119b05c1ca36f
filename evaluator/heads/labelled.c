/* A ring of batches, a sample a row. */
#include "evaluator/heads/labelled.h"

#include <stdlib.h>
#include <string.h>

#include "data/ring.h"

struct labelled {
    struct labelled_config config;
    struct ring *ring;
};

static int64_t picture_bytes(const struct labelled_config *c)
{
    return (int64_t)c->size * c->size * 3;
}

/* Pictures of a sample at most. */
static int64_t room_of(const struct labelled_config *c)
{
    return c->data ? collection_pictures(c->data, &c->media) : c->maker.room;
}

static size_t batch_bytes(const struct labelled_config *c)
{
    return (size_t)(c->rows * room_of(c) * picture_bytes(c));
}

static void open_batch(void *self, void *made)
{
    const struct labelled_config *c = &((struct labelled *)self)->config;
    struct labelled_batch *b = made;
    size_t rows = (size_t)c->rows;
    b->pixels = c->device->kernels->host_map(c->device, batch_bytes(c));
    b->starts = mem_zalloc(rows + 1, sizeof *b->starts);
    b->labels = mem_alloc(rows, sizeof *b->labels);
    b->targets = mem_alloc(rows * c->maker.target_bytes + 1, 1);
    b->samples = mem_alloc(rows, sizeof *b->samples);
    b->epochs = mem_alloc(rows, sizeof *b->epochs);
}

static void close_batch(void *self, void *made)
{
    const struct labelled_config *c = &((struct labelled *)self)->config;
    struct labelled_batch *b = made;
    c->device->kernels->host_unmap(c->device, b->pixels, batch_bytes(c));
    free(b->starts);
    free(b->labels);
    free(b->targets);
    free(b->samples);
    free(b->epochs);
}

static int64_t begin(void *self, void *made, int64_t number)
{
    const struct labelled_config *c = &((struct labelled *)self)->config;
    struct labelled_batch *b = made;
    return b->count = c->which(c->context, number, b->samples, b->epochs);
}

static int decode(const struct labelled_config *c, const struct labelled_batch *b, int64_t row, const struct record *r,
                  struct error *error)
{
    uint8_t *pixels = b->pixels + row * room_of(c) * picture_bytes(c);
    if (media_is_video(r) && !c->data->videos)
        return error_set(error, ERROR_FAILED, "a video, where dataset.json counts none");
    return media_pixels(r, &c->media, c->size, c->augmentation, c->seed, b->epochs[row], (uint64_t)b->samples[row],
                        pixels, error);
}

static int make_own(const struct labelled_config *c, const struct labelled_batch *b, int64_t row, struct error *error)
{
    const struct labelled_maker *m = &c->maker;
    int64_t made = m->make(m->self, b->samples[row], b->epochs[row], b->pixels + row * m->room * picture_bytes(c),
                           b->targets + (size_t)row * m->target_bytes, error);
    b->starts[row + 1] = (int32_t)made;
    return made < 0 ? -1 : 0;
}

static int make(void *self, void *made, int64_t row, struct error *error)
{
    const struct labelled_config *c = &((struct labelled *)self)->config;
    struct labelled_batch *b = made;
    struct record r;
    if (!c->data) return make_own(c, b, row, error);
    if (collection_read(c->data, b->samples[row], &r, error) < 0) return -1;
    b->labels[row] = r.label;
    b->starts[row + 1] = decode(c, b, row, &r, error);
    record_release(&r);
    return b->starts[row + 1] < 0 ? error_prefix(error, "sample %ld", (long)b->samples[row]) : 0;
}

/* All rows are there: close the gaps behind samples of few pictures, and turn counts into places. */
static void finish(void *self, void *made)
{
    const struct labelled_config *c = &((struct labelled *)self)->config;
    struct labelled_batch *b = made;
    int64_t room = room_of(c), bytes = picture_bytes(c);
    b->starts[0] = 0;
    for (int64_t row = 0; row < b->count; row++) {
        int64_t count = b->starts[row + 1], at = b->starts[row];
        if (at != row * room) memmove(b->pixels + at * bytes, b->pixels + row * room * bytes, (size_t)(count * bytes));
        b->starts[row + 1] = (int32_t)(at + count);
    }
    b->pictures = b->starts[b->count];
}

static const struct ring_maker maker = {sizeof(struct labelled_batch), open_batch, begin, make, finish, close_batch};

struct labelled *labelled_open(const struct labelled_config *config)
{
    struct labelled *l = mem_zalloc(1, sizeof *l);
    l->config = *config;
    struct ring_config c = {.maker = &maker,
                            .self = l,
                            .first = config->first,
                            .end = config->end,
                            .threads = config->threads,
                            .ahead = config->ahead,
                            .keep = config->keep};
    l->ring = ring_open(&c);
    return l;
}

void labelled_close(struct labelled *l)
{
    if (!l) return;
    ring_close(l->ring);
    free(l);
}

const struct labelled_batch *labelled_next(struct labelled *l, double *waited, struct error *error)
{
    return ring_next(l->ring, waited, error);
}
