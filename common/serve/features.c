/* The pass: two batches under way, rows exchanged a round of batches at a time, handed out a sample at a time. */
#include "serve/features.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "dist/stopping.h"
#include "log/log.h"
#include "serve/sound.h"

enum { IN_FLIGHT = 2 };   /* batches under way, in fetch slots [0, IN_FLIGHT) */
enum { TOKEN_SLOTS = 2 }; /* layers of tokens on their way to the host, in the slots behind */
enum { ALIGNMENT = 256 };
enum { ADDRESS_BITS = 36 }; /* reserved address space of what comes back: pages come when touched */

/* A feature of a layer that somebody wants; the takers share it. */
struct channel {
    struct want want;
    int64_t cols;
    bool everywhere;
    float *mine, *other; /* [batch, cols] of this rank's batch, of another rank's; NULL for tokens */
};

/* A batch under way. */
struct flight {
    struct picture_span span;
    int64_t pictures;
    int32_t *starts, *labels; /* as of its picture_batch */
    int64_t *rows;            /* [channels] in the buffer that comes back */
    bool *wide;               /* [channels] they are floats, not of the device's type */
};

struct pass {
    const struct embedder *e;
    const struct taker *takers;
    int taker_count, channel_count;
    struct pictures_config feed_config;
    struct picture_feed *feed;
    const struct deal *deal;
    struct channel *channels;
    bool *wanted;
    struct taps taps;
    struct pictures pictures; /* of the batch being launched */
    struct arena device_memory;
    char *pooled; /* on the device: what comes back of a batch, channel after channel */
    size_t pooled_bytes, used;
    struct flight flights[IN_FLIGHT], *flight; /* flight: being launched */
    char *fetched;                             /* [pooled_bytes] */
    float *unpacked;                           /* [pictures, cols] of one channel */
    struct {
        const struct channel *channel; /* NULL: none is on its way */
        int slot;
        int64_t rows; /* of all pictures */
        float *data;
        size_t bytes; /* of data */
    } tokens;
    int rc; /* of takers and of tokens; ranks agree on it once a round */
    struct error *error;
};

/* --- what is wanted --- */

static struct channel *channel_of(struct pass *p, struct want want)
{
    for (int i = 0; i < p->channel_count; i++)
        if (p->channels[i].want.layer == want.layer && p->channels[i].want.feature == want.feature)
            return &p->channels[i];
    struct channel *c = &p->channels[p->channel_count++];
    *c = (struct channel){.want = want, .cols = p->e->encoder.columns(p->e->encoder.self, want.layer, want.feature)};
    CHECK(c->cols > 0, "layer %ld has no feature %d", (long)want.layer, want.feature);
    return c;
}

static void gather_wants(struct pass *p)
{
    const struct encoder *encoder = &p->e->encoder;
    int most = 0;
    for (int t = 0; t < p->taker_count; t++) most += p->takers[t].count;
    p->channels = mem_zalloc((size_t)most, sizeof *p->channels);
    p->wanted = mem_zalloc((size_t)encoder->layers + 1, sizeof *p->wanted);
    for (int t = 0; t < p->taker_count; t++)
        for (int w = 0; w < p->takers[t].count; w++) {
            struct want want = p->takers[t].wants[w];
            CHECK(want.layer >= 0 && want.layer <= encoder->layers, "layer %ld of %ld", (long)want.layer,
                  (long)encoder->layers);
            CHECK(want.feature != FEATURE_TOKENS || !p->takers[t].everywhere, "tokens everywhere");
            channel_of(p, want)->everywhere |= p->takers[t].everywhere;
            p->wanted[want.layer] = true;
            if (want.layer > p->taps.layers) p->taps.layers = want.layer;
        }
}

/* Memory for a batch of each channel. */
static void make_room(struct pass *p)
{
    int64_t samples = p->deal->most, pictures = samples * pictures_room(p->feed), widest = 0;
    for (int i = 0; i < p->channel_count; i++) {
        struct channel *c = &p->channels[i];
        if (c->want.feature == FEATURE_TOKENS) continue;
        c->mine = mem_alloc((size_t)(samples * c->cols), sizeof *c->mine);
        c->other = mem_alloc((size_t)(samples * c->cols), sizeof *c->other);
        p->pooled_bytes += (size_t)(pictures * c->cols) * sizeof(float) + ALIGNMENT;
        if (c->cols > widest) widest = c->cols;
    }
    p->fetched = mem_alloc(p->pooled_bytes + 1, 1);
    p->unpacked = mem_alloc((size_t)(pictures * widest), sizeof *p->unpacked);
    device_arena_open(p->e->device, &p->device_memory, (size_t)1 << ADDRESS_BITS);
    p->pooled = arena_take(&p->device_memory, p->pooled_bytes + 1, 1);
    for (int i = 0; i < IN_FLIGHT; i++) {
        struct flight *f = &p->flights[i];
        f->starts = mem_alloc((size_t)samples + 1, sizeof *f->starts);
        f->labels = mem_alloc((size_t)samples, sizeof *f->labels);
        f->rows = mem_zalloc((size_t)p->channel_count, sizeof *f->rows);
        f->wide = mem_zalloc((size_t)p->channel_count, sizeof *f->wide);
    }
}

/* --- handing out --- */

static void hand_out(struct pass *p, const struct channel *c, const struct feature_rows *rows, bool mine)
{
    for (int t = 0; t < p->taker_count; t++)
        for (int w = 0; w < p->takers[t].count; w++) {
            const struct taker *taker = &p->takers[t];
            bool asked = taker->wants[w].layer == c->want.layer && taker->wants[w].feature == c->want.feature;
            if (asked && (mine || taker->everywhere) && p->rc == 0) p->rc = taker->take(taker->self, w, rows, p->error);
        }
}

/* count elements of the device's type real, in the same memory, become floats. */
static void widen(float *data, int64_t count, size_t real_bytes)
{
    if (real_bytes == sizeof *data) return;
    CHECK(real_bytes == sizeof(uint16_t), "%zu bytes an element", real_bytes);
    for (int64_t i = count - 1; i >= 0; i--) {
        uint16_t narrow;
        memcpy(&narrow, (const char *)data + i * (int64_t)sizeof narrow, sizeof narrow);
        uint32_t bits = (uint32_t)narrow << 16; /* bf16 */
        memcpy(&data[i], &bits, sizeof bits);
    }
}

static int unsound(const struct pass *p, int64_t sample, const float *row, int64_t cols)
{
    char what[1024];
    if (p->feed_config.source.paths)
        snprintf(what, sizeof what, "picture %s", p->feed_config.source.paths[sample]);
    else
        snprintf(what, sizeof what, "sample %ld", (long)sample);
    return sound_error(row, cols, what, p->error);
}

/* What its takers are told of sample i of a batch. */
static struct feature_rows sample_rows(const struct picture_span *span, int64_t i, int32_t label,
                                       const struct channel *c, const float *data, int64_t rows)
{
    bool missing = label == LABEL_MISSING;
    return (struct feature_rows){.sample = span->first + i,
                                 .label = missing ? -1 : label,
                                 .size = span->size,
                                 .rows = missing ? 0 : rows,
                                 .cols = c->cols,
                                 .data = missing ? NULL : data};
}

/* --- tokens: a layer's rows are handed out while the next layer is computed --- */

static void finish_tokens(struct pass *p)
{
    const struct channel *c = p->tokens.channel;
    if (!c) return;
    const struct flight *f = p->flight;
    int64_t each = p->tokens.rows / f->pictures * c->cols, count = p->tokens.rows * c->cols;
    p->e->device->kernels->fetch_end(p->e->device, IN_FLIGHT + p->tokens.slot, p->tokens.data);
    widen(p->tokens.data, count, p->e->device->kernels->real_bytes);
    p->tokens.channel = NULL;
    for (int64_t i = 0; i < f->span.count && p->rc == 0; i++) {
        struct feature_rows rows = sample_rows(&f->span, i, f->labels[i], c, p->tokens.data + f->starts[i] * each,
                                               (f->starts[i + 1] - f->starts[i]) * (each / c->cols));
        if (rows.rows && !sound_row(rows.data, rows.rows * rows.cols))
            p->rc = unsound(p, rows.sample, rows.data, rows.rows * rows.cols);
        else
            hand_out(p, c, &rows, true);
    }
}

static void begin_tokens(struct pass *p, const struct channel *c, const struct tensor *rows)
{
    const struct kernels *k = p->e->device->kernels;
    int slot = (p->tokens.slot + 1) % TOKEN_SLOTS;
    size_t floats = (size_t)tensor_count(rows) * sizeof(float);
    k->fetch_begin(p->e->device, IN_FLIGHT + slot, rows->data, (size_t)tensor_count(rows) * k->real_bytes);
    finish_tokens(p); /* of the layer before */
    if (p->tokens.bytes < floats) p->tokens.data = mem_realloc(p->tokens.data, p->tokens.bytes = floats, 1);
    p->tokens.channel = c;
    p->tokens.slot = slot;
    p->tokens.rows = rows->rows;
}

/* --- a batch --- */

static void take_layer(void *self, struct tape *tape, int64_t layer, struct tensor *rows)
{
    struct pass *p = self;
    const struct encoder *encoder = &p->e->encoder;
    const struct kernels *k = p->e->device->kernels;
    for (int i = 0; i < p->channel_count; i++) {
        const struct channel *c = &p->channels[i];
        if (c->want.layer != layer) continue;
        if (c->want.feature == FEATURE_TOKENS) {
            if (!p->e->device->planning) begin_tokens(p, c, rows);
            continue;
        }
        struct tape_branch branch = tape_branch(tape);
        struct tensor *feature = encoder->feature(encoder->self, tape, rows, &p->pictures, c->want.feature);
        size_t bytes = (size_t)tensor_count(feature) * (feature->wide ? sizeof(float) : k->real_bytes);
        CHECK(p->used + bytes <= p->pooled_bytes && feature->cols == c->cols, "%zu bytes, %ld columns", bytes,
              (long)feature->cols);
        k->copy(p->e->device, p->pooled + p->used, feature->data, bytes);
        p->used += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        p->flight->rows[i] = feature->rows;
        p->flight->wide[i] = feature->wide;
        tape_join(tape, branch);
    }
}

static void run(struct pass *p)
{
    const struct encoder *encoder = &p->e->encoder;
    tape_reset(p->e->tape);
    p->e->tape->recording = false;
    p->used = 0;
    encoder->forward(encoder->self, p->e->tape, &p->pictures, &p->taps);
    finish_tokens(p);
}

static size_t pixel_bytes(int64_t images, struct extent size)
{
    return (size_t)(images * extent_area(size) * 3);
}

static void plan_batch(struct pass *p, struct picture_span span)
{
    struct device *d = p->e->device;
    int64_t images = span.count * pictures_room(p->feed);
    d->planning = true;
    const uint8_t *pixels = d->kernels->stage(d, 0, NULL, pixel_bytes(images, span.size));
    p->pictures = (struct pictures){.pixels = pixels, .count = images, .size = span.size, .samples = images};
    p->flight = &p->flights[0];
    run(p);
    d->planning = false;
}

/* On a GPU: dry runs, which find the fastest products for this rank's batches: where the size of pictures changes. */
static void plan(struct pass *p)
{
    int64_t batches = deal_batches(p->deal, p->e->world->rank);
    struct picture_span last = {0};
    if (!p->e->device->kernels->reserve) return;
    if (!p->deal->group_count && batches > 1) batches = 1; /* the others are like it */
    for (int64_t i = 0; i < batches; i++) {
        struct picture_span span = deal_span(p->deal, p->e->world->rank, i);
        if (!extent_same(span.size, last.size) || span.count > last.count) plan_batch(p, last = span);
    }
}

static int launch(struct pass *p, int slot)
{
    struct device *d = p->e->device;
    const struct kernels *k = d->kernels;
    const struct picture_batch *b = pictures_next(p->feed, p->error);
    struct flight *f = p->flight = &p->flights[slot];
    if (!b) return -1;
    int64_t count = b->span.count;
    f->span = b->span;
    f->pictures = b->pictures;
    memcpy(f->starts, b->starts, (size_t)(count + 1) * sizeof *b->starts);
    memcpy(f->labels, b->labels, (size_t)count * sizeof *b->labels);
    const uint8_t *pixels = k->stage(d, slot, b->pixels, pixel_bytes(b->pictures, b->span.size));
    k->staged(d, slot);
    p->pictures = (struct pictures){.pixels = pixels, .count = b->pictures, .size = b->span.size, .samples = count};
    size_t mark = arena_mark(&p->device_memory);
    if (b->pictures > count)
        p->pictures.starts = device_bring(d, &p->device_memory, f->starts, (size_t)(count + 1) * sizeof *f->starts);
    run(p);
    arena_release(&p->device_memory, mark);
    k->stage_done(d, slot);
    if (p->used) k->fetch_begin(d, slot, p->pooled, p->used);
    return p->rc;
}

/* Rows of pictures -> of samples: what is one row a sample already, or the average of its pictures'. */
static void settle(const struct flight *f, float *to, const float *rows, int64_t count, int64_t cols)
{
    if (count == f->span.count) {
        memcpy(to, rows, (size_t)(count * cols) * sizeof *to);
        return;
    }
    for (int64_t i = 0; i < f->span.count; i++)
        for (int64_t k = 0; k < cols; k++) {
            float sum = 0;
            for (int32_t r = f->starts[i]; r < f->starts[i + 1]; r++) sum += rows[r * cols + k];
            to[i * cols + k] = sum / (float)(f->starts[i + 1] - f->starts[i]);
        }
}

static int receive(struct pass *p, int slot)
{
    const struct flight *f = &p->flights[slot];
    const struct kernels *k = p->e->device->kernels;
    size_t at = 0;
    bool any = false;
    for (int i = 0; i < p->channel_count; i++) any |= p->channels[i].mine != NULL;
    if (any) k->fetch_end(p->e->device, slot, p->fetched);
    for (int64_t layer = 0; layer <= p->taps.layers; layer++) /* in the order take_layer put them there */
        for (int i = 0; i < p->channel_count; i++) {
            const struct channel *c = &p->channels[i];
            if (!c->mine || c->want.layer != layer) continue;
            size_t each = f->wide[i] ? sizeof(float) : k->real_bytes, bytes = (size_t)(f->rows[i] * c->cols) * each;
            memcpy(p->unpacked, p->fetched + at, bytes);
            widen(p->unpacked, f->rows[i] * c->cols, each);
            settle(f, c->mine, p->unpacked, f->rows[i], c->cols);
            at += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
            for (int64_t s = 0; s < f->span.count; s++)
                if (f->labels[s] != LABEL_MISSING && !sound_row(c->mine + s * c->cols, c->cols))
                    return unsound(p, f->span.first + s, c->mine + s * c->cols, c->cols);
        }
    return 0;
}

/* A batch of rank `root`: to whom it concerns. */
static void give(struct pass *p, struct picture_span span, int root, const struct flight *mine, int32_t *labels)
{
    const struct world *w = p->e->world;
    int64_t count = span.count;
    bool own = root == w->rank, shared = false;
    for (int i = 0; i < p->channel_count; i++) {
        struct channel *c = &p->channels[i];
        if (!c->everywhere) continue;
        shared = true;
        world_broadcast(w, own ? c->mine : c->other, (size_t)(count * c->cols) * sizeof *c->mine, root);
    }
    if (own) memcpy(labels, mine->labels, (size_t)count * sizeof *labels);
    if (shared) world_broadcast(w, labels, (size_t)count * sizeof *labels, root);
    if (!own && !shared) return;
    for (int64_t s = 0; s < count; s++)
        for (int i = 0; i < p->channel_count; i++) {
            const struct channel *c = &p->channels[i];
            if (!c->mine || (!own && !c->everywhere)) continue;
            struct feature_rows rows = sample_rows(&span, s, labels[s], c, (own ? c->mine : c->other) + s * c->cols, 1);
            hand_out(p, c, &rows, own);
        }
}

/* (all) The batches of a round, of whom this rank's was launched unless rc says that it failed; *landed counts
 * samples. */
static int land(struct pass *p, int64_t round, int rc, int32_t *labels, int64_t *landed)
{
    const struct world *w = p->e->world;
    int slot = (int)(round % IN_FLIGHT);
    if (rc == 0) rc = p->rc;
    if (rc == 0 && p->e->stops) rc = stopping_alone(STOPPED, p->error);
    if (rc == 0 && round < deal_batches(p->deal, w->rank)) rc = receive(p, slot);
    if (world_agree(w, rc, p->error) < 0) return -1;
    for (int r = 0; r < w->size; r++) {
        struct picture_span span = deal_span(p->deal, r, round);
        if (span.count) give(p, span, r, &p->flights[slot], labels);
        *landed += span.count;
    }
    return 0;
}

/* A round is a batch of each rank; while one is computed the one before comes back. */
static int rounds(struct pass *p)
{
    const struct world *w = p->e->world;
    int64_t mine = deal_batches(p->deal, w->rank), count = 0, samples = p->feed_config.source.count, landed = 0;
    int32_t *labels = mem_alloc((size_t)p->deal->most, sizeof *labels);
    for (int r = 0; r < w->size; r++)
        if (deal_batches(p->deal, r) > count) count = deal_batches(p->deal, r);
    struct progress progress = progress_open(p->e->progress ? p->e->progress : "", samples, !p->e->progress);
    int launched = 0, rc = 0; /* ranks agree on what failed when they land */
    for (int64_t n = 0; n <= count && rc == 0; n++) {
        if (n < mine && launched == 0) launched = launch(p, (int)(n % IN_FLIGHT));
        if (n > 0) rc = land(p, n - 1, launched, labels, &landed);
        if (n > 0) progress_show(&progress, landed, "");
    }
    if (rc == 0) rc = world_agree(w, p->rc, p->error);
    if (rc == 0 && p->e->progress) progress_close(&progress, samples);
    free(labels);
    return rc;
}

static void pass_close(struct pass *p)
{
    for (int i = 0; i < p->channel_count; i++) {
        free(p->channels[i].mine);
        free(p->channels[i].other);
    }
    for (int i = 0; i < IN_FLIGHT; i++) {
        free(p->flights[i].starts);
        free(p->flights[i].labels);
        free(p->flights[i].rows);
        free(p->flights[i].wide);
    }
    arena_close(&p->device_memory);
    free(p->channels);
    free(p->wanted);
    free(p->fetched);
    free(p->unpacked);
    free(p->tokens.data);
}

int features_pass(const struct embedder *e, const struct picture_source *source, const struct taker *takers, int count,
                  struct error *error)
{
    struct pass p = {.e = e, .takers = takers, .taker_count = count, .error = error};
    if (!source->count) return 0;
    p.feed_config = (struct pictures_config){.source = *source,
                                             .media = e->media,
                                             .device = e->device,
                                             .batch = e->batch,
                                             .size = (int)e->encoder.size,
                                             .threads = e->threads,
                                             .rank = e->world->rank,
                                             .ranks = e->world->size,
                                             .keep = IN_FLIGHT,
                                             .skips = true};
    for (int i = 0; i < count; i++) p.feed_config.skips &= takers[i].skips;
    gather_wants(&p);
    p.feed = pictures_open(&p.feed_config);
    p.deal = pictures_deal(p.feed);
    make_room(&p);
    p.taps.wanted = p.wanted;
    p.taps.take = take_layer;
    p.taps.self = &p;
    plan(&p);
    int rc = rounds(&p);
    e->device->kernels->wait(e->device);
    pictures_close(p.feed);
    pass_close(&p);
    return rc;
}
