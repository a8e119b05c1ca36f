/* Batches dealt out to ranks in turn, features broadcast back. */
#include "models/embed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "dist/stopping.h"
#include "log/log.h"

static const char again[] = "nothing was written, run it again";

static bool stops(const struct embedder *e, struct stopping *s)
{
    return e->stops && stopping_now(s);
}

struct deal {
    const struct embedder *e;
    int64_t count;
};

static int64_t rows_of(const struct embedder *e, int64_t batch, int64_t count)
{
    int64_t left = count - batch * e->batch;
    return left < e->batch ? left : e->batch;
}

/* The loader's batch n is this rank's n-th: batch n * size + rank of all. */
static void job(void *context, struct batch *b)
{
    const struct deal *d = context;
    int64_t batch = b->number * d->e->world->size + d->e->world->rank;
    b->count = rows_of(d->e, batch, d->count);
    b->size = (int)d->e->clip->config.vision.image_size;
    for (int64_t i = 0; i < b->count; i++) b->samples[i] = batch * d->e->batch + i;
}

static void share(const struct embedder *e, void *rows, size_t row_bytes, int64_t count)
{
    int64_t batches = (count + e->batch - 1) / e->batch;
    for (int64_t b = 0; e->world->size > 1 && b < batches; b++)
        world_broadcast(e->world, (char *)rows + (size_t)(b * e->batch) * row_bytes, (size_t)rows_of(e, b, count) * row_bytes,
                        (int)(b % e->world->size));
}

/* A row that can be compared: finite, and not zero. */
static bool has_direction(const float *row, int64_t dim)
{
    double squares = 0;
    for (int64_t k = 0; k < dim; k++) squares += (double)row[k] * (double)row[k];
    return isfinite(squares) && squares > 0;
}

/* All features pass here: every rank gets them, or the same error.  `kind` and names [count] (NULL: numbers) say what the rows are of. */
static int deliver(const struct embedder *e, int rc, float *features, int64_t count, const char *kind, char *const *names, struct error *error)
{
    int64_t dim = e->clip->config.embed_dim, bad = 0, first = 0;
    if (rc < 0) return -1;
    share(e, features, (size_t)dim * sizeof *features, count);
    for (int64_t i = count - 1; i >= 0; i--)
        if (!has_direction(features + i * dim, dim)) bad++, first = i;
    if (!bad) return 0;
    return error_set(error, ERROR_FAILED, "%s %ld%s%.200s: its feature is %s, as %ld of %ld are: the weights are damaged, or their training diverged; "
                     "take an earlier checkpoint, or --precision fp32", kind, (long)first, names ? " " : "", names ? names[first] : "",
                     isfinite(features[first * dim]) && !features[first * dim] ? "zero" : "not finite", (long)bad, (long)count);
}

/* On a GPU: a dry run, which finds the fastest products for this batch. */
static void plan(const struct embedder *e, int64_t images)
{
    struct device *d = e->device;
    int64_t size = e->clip->config.vision.image_size;
    if (!d->kernels->reserve || !images) return;
    d->planning = true;
    tape_reset(e->tape);
    e->tape->recording = false;
    const uint8_t *pixels = d->kernels->stage(d, 0, NULL, (size_t)(images * size * size * 3));
    clip_image(e->tape, e->clip, (struct pictures){.pixels = pixels, .count = images, .size = size});
    d->planning = false;
}

/* A batch on its way: where its features go, and of how many rows. */
struct flight {
    int64_t first, count, rows;
    int32_t *starts; /* [count + 1] rows of each sample, when they are averaged here */
};

static void launch(const struct embedder *e, struct arena *arena, const struct batch *b, int slot, struct flight *f)
{
    const struct kernels *k = e->device->kernels;
    const uint8_t *pixels = k->stage(e->device, slot, b->pixels, (size_t)(b->pictures * b->size * b->size * 3));
    k->staged(e->device, slot);
    tape_reset(e->tape);
    e->tape->recording = false;
    struct pictures p = {.pixels = pixels, .count = b->pictures, .size = b->size, .samples = b->count};
    bool clips = b->pictures > b->count;
    arena_release(arena, 0);
    if (clips && !e->average_unit) p.starts = device_bring(e->device, arena, b->starts, (size_t)(b->count + 1) * sizeof *b->starts);
    struct tensor *features = clip_image(e->tape, e->clip, p);
    k->stage_done(e->device, slot);
    k->fetch_begin(e->device, slot, features->data, (size_t)tensor_count(features) * sizeof(float));
    f->count = b->count;
    f->rows = features->rows;
    memcpy(f->starts, b->starts, (size_t)(b->count + 1) * sizeof *b->starts);
}

static void land(const struct embedder *e, int slot, const struct flight *f, float *features)
{
    int64_t dim = e->clip->config.embed_dim;
    float *to = features + f->first * dim;
    if (f->rows == f->count) {
        e->device->kernels->fetch_end(e->device, slot, to);
        return;
    }
    float *rows = mem_alloc((size_t)(f->rows * dim), sizeof *rows);
    e->device->kernels->fetch_end(e->device, slot, rows);
    for (int64_t i = 0; i < f->count; i++)
        for (int64_t k = 0; k < dim; k++) {
            float sum = 0;
            for (int32_t r = f->starts[i]; r < f->starts[i + 1]; r++) sum += rows[r * dim + k];
            to[i * dim + k] = sum / (float)(f->starts[i + 1] - f->starts[i]);
        }
    free(rows);
}

int embed_images(const struct embedder *e, const struct collection *data, int64_t count, float *features, int32_t *labels, struct error *error)
{
    int64_t batches = (count + e->batch - 1) / e->batch, largest = count < e->batch ? count : e->batch;
    int64_t mine = (batches - e->world->rank + e->world->size - 1) / e->world->size;
    struct deal deal = {e, count};
    struct loader_config c = {.data = data, .device = e->device, .keep = 2, .media = e->media, .batches = mine, .count_max = e->batch,
                              .size_max = (int)e->clip->config.vision.image_size, .threads = e->threads, .ahead = 3, .job = job, .job_context = &deal};
    plan(e, largest * collection_pictures(data, &e->media));
    struct loader *loader = loader_open(&c);
    struct progress progress = progress_open(e->progress ? e->progress : "", count, !e->progress);
    struct arena arena;
    struct flight flights[2]; /* two batches are under way: the device computes one while the last one's features come back */
    device_arena_open(e->device, &arena, (size_t)1 << 30);
    for (int i = 0; i < 2; i++) flights[i].starts = mem_alloc((size_t)e->batch + 1, sizeof *flights[i].starts);
    double waited = 0;
    int rc = 0;
    struct stopping stopping = stopping_begin(e->world);
    for (int64_t n = 0; n < mine && rc == 0 && !stops(e, &stopping); n++) {
        struct batch *b = loader_next(loader, &waited, error);
        if (!b) {
            rc = -1;
            break;
        }
        struct flight *f = &flights[n % 2];
        f->first = (n * e->world->size + e->world->rank) * e->batch;
        launch(e, &arena, b, (int)(n % 2), f);
        if (n > 0) land(e, (int)((n - 1) % 2), &flights[(n - 1) % 2], features);
        if (labels) memcpy(labels + f->first, b->labels, (size_t)b->count * sizeof *labels);
        int64_t done = (n + 1) * e->batch * e->world->size;
        progress_show(&progress, done < count ? done : count, "");
    }
    if (rc == 0 && mine > 0 && !stopping.left) land(e, (int)((mine - 1) % 2), &flights[(mine - 1) % 2], features);
    e->device->kernels->wait(e->device);
    loader_close(loader);
    arena_close(&arena);
    for (int i = 0; i < 2; i++) free(flights[i].starts);
    rc = stopping_end(&stopping, rc, again, error);
    if (deliver(e, rc, features, count, "sample", NULL, error) < 0) return -1;
    if (labels) share(e, labels, sizeof *labels, count);
    if (e->progress) progress_close(&progress, count);
    return 0;
}

static int read_file(const struct embedder *e, const char *path, int size, uint8_t *pixels, struct error *error)
{
    char *bytes;
    size_t len;
    if (fs_read(path, &bytes, &len, error) < 0) return -1;
    int rc = augment_evaluation((const uint8_t *)bytes, len, e->media.limits.max_pixels, size, pixels, error);
    free(bytes);
    return rc < 0 ? error_prefix(error, "%s", path) : 0;
}

int embed_files(const struct embedder *e, char *const *paths, int64_t count, float *features, struct error *error)
{
    int64_t size = e->clip->config.vision.image_size, dim = e->clip->config.embed_dim, bytes = size * size * 3;
    const struct kernels *k = e->device->kernels;
    uint8_t *pixels = k->host_map(e->device, (size_t)(e->batch * bytes));
    struct error *why = mem_zalloc((size_t)e->batch, sizeof *why);
    int rc = 0;
    struct stopping stopping = stopping_begin(e->world);
    for (int64_t first = e->world->rank * e->batch; first < count && rc == 0 && !stops(e, &stopping);
         first += e->world->size * e->batch) {
        int64_t n = count - first < e->batch ? count - first : e->batch;
#pragma omp parallel for num_threads(e->threads) schedule(dynamic, 1)
        for (int64_t i = 0; i < n; i++) read_file(e, paths[first + i], (int)size, pixels + i * bytes, &why[i]);
        for (int64_t i = 0; i < n && rc == 0; i++)
            if (why[i].code) rc = error_set(error, why[i].code, "%s", why[i].text);
        if (rc < 0) break;
        const uint8_t *there = k->stage(e->device, 0, pixels, (size_t)(n * bytes));
        k->staged(e->device, 0);
        tape_reset(e->tape);
        e->tape->recording = false;
        struct tensor *f = clip_image(e->tape, e->clip, (struct pictures){.pixels = there, .count = n, .size = size});
        k->stage_done(e->device, 0);
        k->download(e->device, features + first * dim, f->data, (size_t)(n * dim) * sizeof *features);
    }
    k->host_unmap(e->device, pixels, (size_t)(e->batch * bytes));
    free(why);
    rc = stopping_end(&stopping, rc, again, error);
    return deliver(e, rc, features, count, "picture", paths, error);
}

int embed_texts(const struct embedder *e, char *const *texts, int64_t count, float *features, struct error *error)
{
    int64_t context = e->clip->config.text.context_length, dim = e->clip->config.embed_dim, batches = (count + e->batch - 1) / e->batch;
    struct arena host, arena;
    device_host_arena_open(e->device, &host, text_pack_bytes(e->batch, context) + (size_t)(e->batch * context) * sizeof(int32_t) + 4096);
    device_arena_open(e->device, &arena, (size_t)1 << 32);
    struct stopping stopping = stopping_begin(e->world);
    for (int64_t b = e->world->rank; b < batches && !stops(e, &stopping); b += e->world->size) {
        int64_t n = rows_of(e, b, count), first = b * e->batch;
        arena_release(&host, 0);
        arena_release(&arena, 0);
        int32_t *ids = arena_take(&host, (size_t)(n * context), sizeof *ids);
        for (int64_t i = 0; i < n; i++) tokenizer_encode(e->tokenizer, texts[first + i], ids + i * context, context);
        struct text_batch words = text_pack(&host, e->device, &arena, ids, n, context);
        tape_reset(e->tape);
        e->tape->recording = false;
        struct tensor *f = text_forward(e->tape, &e->clip->text, &words);
        e->device->kernels->download(e->device, features + first * dim, f->data, (size_t)(n * dim) * sizeof *features);
    }
    arena_close(&host);
    arena_close(&arena);
    int rc = stopping_end(&stopping, 0, again, error);
    return deliver(e, rc, features, count, "text", texts, error);
}
