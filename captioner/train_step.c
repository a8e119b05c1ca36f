/* One step: examples of each slice, packed one behind the other, through tower, projector and decoder, and back. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "captioner/train.h"
#include "optim/schedule.h"

/* The examples of a slice, and where their parts lie among all of them. */
struct packed {
    struct example *examples; /* [slice] */
    int64_t *numbers;         /* [slice] */
    uint64_t *epochs;
    int64_t rows, tiles, media, targets;
};

static void place(const struct train *t, int64_t n, int64_t i, int64_t *number, uint64_t *epoch)
{
    uint64_t count = (uint64_t)t->examples.count;
    uint64_t at = (uint64_t)(t->step * t->config.global_batch + (t->first + n) * t->slice + i);
    *epoch = at / count;
    *number = (int64_t)rng_permute((uint64_t)t->config.seed, *epoch, at % count, count);
}

/* Targets of the global batch, from text alone: what the loss is a mean over. */
static int count_targets(struct train *t, double *targets, struct error *error)
{
    int64_t total = t->mine * t->slice, sum = 0;
    struct error first = {0};
#pragma omp parallel for num_threads(t->device.threads) schedule(dynamic, 4) reduction(+ : sum)
    for (int64_t k = 0; k < total; k++) {
        struct example e;
        struct error why = {0};
        int64_t number;
        uint64_t epoch;
        place(t, k / t->slice, k % t->slice, &number, &epoch);
        if (examples_make(&t->examples, number, epoch, true, &e, &why) == 0) {
            sum += e.targets;
            example_free(&e);
        } else
#pragma omp critical
            first = first.code ? first : why;
    }
    int rc = first.code ? error_set(error, first.code, "%s", first.text) : 0;
    if (world_agree(t->world, rc, error) < 0) return -1;
    *targets = (double)world_sum(t->world, sum);
    return 0;
}

static int make_slice(struct train *t, int64_t n, struct packed *p, struct error *error)
{
    *p = (struct packed){.examples = mem_zalloc((size_t)t->slice, sizeof *p->examples), .numbers = mem_alloc((size_t)t->slice, sizeof *p->numbers),
                         .epochs = mem_alloc((size_t)t->slice, sizeof *p->epochs)};
    struct error first = {0};
#pragma omp parallel for num_threads(t->device.threads) schedule(dynamic, 1)
    for (int64_t i = 0; i < t->slice; i++) {
        struct error why = {0};
        place(t, n, i, &p->numbers[i], &p->epochs[i]);
        if (examples_make(&t->examples, p->numbers[i], p->epochs[i], false, &p->examples[i], &why) < 0)
#pragma omp critical
            first = first.code ? first : why;
    }
    for (int64_t i = 0; i < t->slice; i++) {
        const struct example *e = &p->examples[i];
        p->rows += e->ids.count;
        p->tiles += e->tiles;
        p->targets += e->targets;
    }
    p->media = p->tiles * t->examples.config.tile_rows;
    return first.code ? error_set(error, first.code, "%s", first.text) : 0;
}

static void free_slice(struct train *t, struct packed *p)
{
    for (int64_t i = 0; i < t->slice; i++) example_free(&p->examples[i]);
    free(p->examples);
    free(p->numbers);
    free(p->epochs);
}

static const void *bring(struct train *t, const void *host, size_t bytes)
{
    return device_bring(&t->device, &t->there, host, bytes);
}

/* DropPath of every tile, block and branch: a draw of (seed, epoch, example, tile). */
static const float *draw_paths(struct train *t, const struct packed *p)
{
    double rate = t->config.drop_path;
    int64_t layers = t->plm.config.vision.layers, tile = 0;
    if (!(rate > 0)) return NULL;
    size_t bytes = (size_t)(layers * 2 * p->tiles) * sizeof(float);
    float *keep = arena_take(&t->host, bytes, 1);
    for (int64_t i = 0; i < t->slice; i++)
        for (int k = 0; k < p->examples[i].tiles; k++, tile++) {
            struct rng rng = rng_open((uint64_t)t->config.seed, RNG_DROP, p->epochs[i], (uint64_t)p->numbers[i] * 1024 + (uint64_t)k);
            for (int64_t b = 0; b < 2 * layers; b++) keep[b * p->tiles + tile] = rng_uniform(&rng) < rate ? 0 : (float)(1 / (1 - rate));
        }
    return bring(t, keep, bytes);
}

/* Projected rows of all media of the slice. */
static struct tensor *see(struct train *t, const struct packed *p)
{
    const struct plm_config *c = &t->plm.config;
    size_t tile = (size_t)(c->vision.image_size * c->vision.image_size * 3), at = 0, patches = (size_t)(p->tiles * plm_patches(c));
    uint8_t *pixels = arena_take(&t->host, (size_t)p->tiles, tile);
    int32_t *index = arena_take(&t->host, patches, sizeof *index);
    for (int64_t i = 0; i < t->slice; i++) {
        size_t bytes = (size_t)p->examples[i].tiles * tile;
        if (bytes) memcpy(pixels + at, p->examples[i].pixels, bytes);
        at += bytes;
    }
    plm_index(c, p->tiles, index);
    t->plm.vision.keep = draw_paths(t, p);
    struct tensor *rows = plm_rows(&t->tape, &t->plm, bring(t, pixels, at), p->tiles, bring(t, index, patches * sizeof *index), t->pooling);
    t->plm.vision.keep = NULL;
    return rows;
}

/* Loss of the slice, recorded; *targets (on the device) the tokens to predict. */
static struct tensor *forward(struct train *t, const struct packed *p)
{
    int32_t *ids = arena_take(&t->host, (size_t)p->rows, sizeof *ids), *starts = arena_take(&t->host, (size_t)t->slice + 1, sizeof *starts);
    int32_t *media = arena_take(&t->host, (size_t)p->media + 1, sizeof *media), *rows = arena_take(&t->host, (size_t)p->targets, sizeof *rows);
    int32_t *targets = arena_take(&t->host, (size_t)p->targets, sizeof *targets);
    int64_t row = 0, inserted = 0, learned = 0;
    for (int64_t i = 0; i < t->slice; i++) {
        const struct example *e = &p->examples[i];
        starts[i] = (int32_t)row;
        for (int64_t k = 0; k < e->ids.count; k++, row++) {
            ids[row] = e->ids.ids[k];
            if (ids[row] < 0) media[inserted++] = (int32_t)row;
            if (e->learned[k]) rows[learned] = (int32_t)row - 1, targets[learned++] = ids[row];
        }
    }
    starts[t->slice] = (int32_t)row;
    struct tensor *seen = p->tiles ? see(t, p) : NULL;
    struct llama_batch batch = llama_pack(&t->host, &t->device, &t->there, ids, starts, t->slice);
    batch.inserted = seen;
    batch.inserted_rows = seen ? bring(t, media, (size_t)inserted * sizeof *media) : NULL;
    struct tensor *hidden = llama_forward(&t->tape, &t->plm.decoder, &batch);
    return llama_loss(&t->tape, &t->plm.decoder, hidden, bring(t, rows, (size_t)learned * sizeof *rows), bring(t, targets, (size_t)learned * sizeof *targets), learned);
}

static void run_slice(struct train *t, int64_t n, const struct packed *p, double targets)
{
    const struct kernels *k = t->device.kernels;
    tape_reset(&t->tape);
    arena_release(&t->host, 0);
    arena_release(&t->there, 0);
    t->tape.recording = true;
    t->tape.recompute = t->config.recompute;
    accumulator_begin(&t->gradients);
    struct tensor *loss = forward(t, p);
    k->sum_floats(&t->device, t->loss + t->first + n, loss->data, p->targets);
    float *seed = arena_take(&t->there, (size_t)p->targets, sizeof *seed);
    k->fill(&t->device, seed, (float)(1 / targets), p->targets);
    tape_seed(&t->tape, loss, seed);
    tape_backward(&t->tape, 0, t->tape.segment_count);
    accumulator_end(&t->gradients);
    k->wait(&t->device); /* the host's arrays are used again */
}

int train_step(struct train *t, struct train_report *report, struct error *error)
{
    double targets = 0, rows = 0, loss, norm;
    float factor;
    bool reduced;
    const struct kernels *k = t->device.kernels;
    if (count_targets(t, &targets, error) < 0) return -1;
    /* shares differ by one slice at most: who has fewer agrees with the others first */
    if (t->mine * t->world->size < t->slices && world_agree(t->world, 0, error) < 0) return -1;
    for (int64_t n = t->mine - 1; n >= 0; n--) {
        struct packed p;
        int rc = make_slice(t, n, &p, error);
        if (world_agree(t->world, rc, error) == 0) run_slice(t, n, &p, targets);
        rows += (double)p.rows;
        free_slice(t, &p);
        if (rc < 0 || error->code) return -1;
    }
    const struct tree *gradients = accumulator_sum(&t->gradients, &reduced);
    double rate = schedule_rate(t->config.lr, t->config.lr_min, t->step, t->config.warmup, t->steps);
    optimizer_step(&t->optimizer, gradients, reduced, rate, t->step + 1);
    comm_sum(&t->comm, t->loss, t->slices, 1);
    k->download(&t->device, &loss, t->loss, sizeof loss);
    k->download(&t->device, &norm, t->optimizer.norm, sizeof norm);
    k->download(&t->device, &factor, t->optimizer.factor, sizeof factor);
    if (!isfinite(loss) || factor == 0)
        return error_set(error, ERROR_FAILED, "step %ld: the loss or its gradient is not finite; the last checkpoint stays, resume from it with a lower --lr", (long)t->step + 1);
    t->step++;
    *report = (struct train_report){loss / targets, (double)world_sum(t->world, (int64_t)rows), norm, rate};
    return 0;
}
