/* Slices: examples packed one behind the other, through tower, projector and decoder, and back. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "captioner/train.h"

/* --- on decode threads --- */

static void drop_examples(const struct train *t, struct packed *p)
{
    for (int64_t i = 0; i < t->run->plan.rows; i++) example_free(&p->examples[i]);
}

static void open_slice(void *self, void *made)
{
    const struct train *t = self;
    struct packed *p = made;
    size_t rows = (size_t)t->run->plan.rows;
    *p = (struct packed){.examples = mem_zalloc(rows, sizeof *p->examples),
                         .numbers = mem_alloc(rows, sizeof *p->numbers),
                         .epochs = mem_alloc(rows, sizeof *p->epochs)};
}

static void close_slice(void *self, void *made)
{
    struct packed *p = made;
    drop_examples(self, p);
    free(p->examples);
    free(p->numbers);
    free(p->epochs);
}

/* The ring's batch `number` is slice number % mine of step number / mine here. */
static int64_t begin_slice(void *self, void *made, int64_t number)
{
    const struct train *t = self;
    const struct plan *plan = &t->run->plan;
    struct packed *p = made;
    drop_examples(t, p);
    for (int64_t i = 0; i < plan->rows; i++)
        p->numbers[i] = training_sample(t->run, number / plan->mine, number % plan->mine, i, &p->epochs[i]);
    return plan->rows;
}

static int make_example(void *self, void *made, int64_t row, struct error *error)
{
    const struct train *t = self;
    struct packed *p = made;
    return examples_make(&t->examples, p->numbers[row], p->epochs[row], &p->examples[row], error);
}

static void finish_slice(void *self, void *made)
{
    const struct train *t = self;
    struct packed *p = made;
    p->rows = p->tiles = p->targets = 0;
    for (int64_t i = 0; i < t->run->plan.rows; i++) {
        p->rows += p->examples[i].ids.count;
        p->tiles += p->examples[i].tiles;
        p->targets += p->examples[i].targets;
    }
    p->media = p->tiles * t->examples.config.tile_rows;
}

const struct ring_maker train_slices = {sizeof(struct packed), open_slice,   begin_slice,
                                        make_example,          finish_slice, close_slice};

/* --- the step --- */

int train_receive(void *self, int64_t n, double *waited, struct error *error)
{
    struct train *t = self;
    t->slices[n] = ring_next(t->ring, waited, error);
    return t->slices[n] ? 0 : -1;
}

/* Targets of the global batch: what the loss is a mean over. */
void train_between(void *self)
{
    struct train *t = self;
    int64_t targets = 0, rows = 0;
    for (int64_t n = 0; n < t->run->plan.mine; n++) targets += t->slices[n]->targets, rows += t->slices[n]->rows;
    t->targets[t->run->step & 1] = (double)world_sum(t->run->world, targets);
    t->rows[t->run->step & 1] = (double)world_sum(t->run->world, rows);
}

/* Arrays of a slice: tiles, ids, and what llama_pack takes. */
size_t train_host_bytes(const struct train *t)
{
    enum { ROW_ARRAYS = 8, ALIGNMENT = 1 << 20 }; /* 4-byte arrays over decoder rows, at most */
    const struct examples_config *c = &t->examples.config;
    int most = c->tiles + 1 > c->media.frames ? c->tiles + 1 : c->media.frames;
    size_t tiles = (size_t)(t->run->plan.rows * most), rows = (size_t)(t->run->plan.rows * c->context),
           patches = (size_t)plm_patches(&t->plm.config);
    size_t tile = (size_t)(c->size * c->size) * 3 + patches * sizeof(int32_t) +
                  (size_t)t->plm.config.vision.layers * 2 * sizeof(float);
    return tiles * tile + rows * sizeof(int32_t) * ROW_ARRAYS + ALIGNMENT;
}

static const void *bring(struct train *t, const void *host, size_t bytes)
{
    return device_bring(&t->run->device, &t->there, host, bytes);
}

/* DropPath of every tile, block and branch: a draw of (seed, epoch, example, tile). */
static const float *draw_paths(struct train *t, const struct packed *p)
{
    enum { TILES_MOST = 1024 }; /* of an example: --frames and --max-tiles go no further */
    double rate = t->settings.drop_path;
    int64_t layers = t->plm.config.vision.layers, tile = 0;
    if (!(rate > 0)) return NULL;
    size_t bytes = (size_t)(layers * 2 * p->tiles) * sizeof(float);
    float *keep = arena_take(&t->host, bytes, 1);
    for (int64_t i = 0; i < t->run->plan.rows; i++)
        for (int k = 0; k < p->examples[i].tiles; k++, tile++) {
            uint64_t key = (uint64_t)p->numbers[i] * TILES_MOST + (uint64_t)k;
            struct rng rng = rng_open((uint64_t)t->run->settings->seed, RNG_DROP, p->epochs[i], key);
            vision_draw_keep(keep, layers, p->tiles, tile, rate, &rng);
        }
    return bring(t, keep, bytes);
}

/* Projected rows of all media of the slice. */
static struct tensor *see(struct train *t, const struct packed *p)
{
    const struct plm_config *c = &t->plm.config;
    size_t tile = (size_t)(c->vision.image_size * c->vision.image_size * 3), at = 0,
           patches = (size_t)(p->tiles * plm_patches(c));
    uint8_t *pixels = arena_take(&t->host, (size_t)p->tiles, tile);
    int32_t *index = arena_take(&t->host, patches, sizeof *index);
    for (int64_t i = 0; i < t->run->plan.rows; i++) {
        size_t bytes = (size_t)p->examples[i].tiles * tile;
        if (bytes) memcpy(pixels + at, p->examples[i].pixels, bytes);
        at += bytes;
    }
    plm_index(c, p->tiles, index);
    t->plm.vision.keep = draw_paths(t, p);
    struct tensor *rows = plm_rows(&t->run->tape, &t->plm, bring(t, pixels, at), p->tiles,
                                   bring(t, index, patches * sizeof *index), t->pooling);
    t->plm.vision.keep = NULL;
    return rows;
}

/* Loss of each target of the slice, recorded. */
static struct tensor *forward(struct train *t, const struct packed *p)
{
    size_t count = (size_t)t->run->plan.rows, learned_bytes = (size_t)p->targets * sizeof(int32_t);
    int32_t *ids = arena_take(&t->host, (size_t)p->rows, sizeof *ids),
            *starts = arena_take(&t->host, count + 1, sizeof *starts);
    int32_t *media = arena_take(&t->host, (size_t)p->media + 1, sizeof *media);
    int32_t *rows = arena_take(&t->host, learned_bytes, 1), *targets = arena_take(&t->host, learned_bytes, 1);
    int64_t row = 0, inserted = 0, learned = 0;
    for (size_t i = 0; i < count; i++) {
        const struct example *e = &p->examples[i];
        starts[i] = (int32_t)row;
        for (int64_t k = 0; k < e->ids.count; k++, row++) {
            ids[row] = e->ids.ids[k];
            if (ids[row] < 0) media[inserted++] = (int32_t)row;
            if (e->learned[k]) rows[learned] = (int32_t)row - 1, targets[learned++] = ids[row];
        }
    }
    starts[count] = (int32_t)row;
    struct tensor *seen = p->tiles ? see(t, p) : NULL;
    struct llama_batch batch = llama_pack(&t->host, &t->run->device, &t->there, ids, starts, (int64_t)count);
    batch.inserted = seen;
    batch.inserted_rows = seen ? bring(t, media, (size_t)inserted * sizeof *media) : NULL;
    struct tensor *hidden = llama_forward(&t->run->tape, &t->plm.decoder, &batch);
    return llama_loss(&t->run->tape, &t->plm.decoder, hidden, bring(t, rows, learned_bytes),
                      bring(t, targets, learned_bytes), learned);
}

void train_backward(void *self, int64_t n)
{
    struct train *t = self;
    struct device *d = &t->run->device;
    struct tape *tape = &t->run->tape;
    const struct packed *p = t->slices[n];
    tape_reset(tape);
    arena_release(&t->host, 0);
    arena_release(&t->there, 0);
    tape->recording = true;
    struct tensor *loss = forward(t, p);
    d->kernels->sum_floats(d, t->loss + t->run->plan.first + n, loss->data, p->targets);
    d->kernels->copy(d, training_check(t->run, n, 0), t->loss + t->run->plan.first + n, sizeof *t->loss);
    float *seed = arena_take(&t->there, (size_t)p->targets, sizeof *seed);
    d->kernels->fill(d, seed, (float)(1 / t->targets[t->run->step & 1]), p->targets);
    tape_seed(tape, loss, seed);
    training_walk_back(t->run, 0, n == 0);
    d->kernels->wait(d); /* the host's arrays are used again */
}
