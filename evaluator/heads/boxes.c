/* Boxes: which pictures teach; batches to learn from. */
#include "evaluator/heads/boxes.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/rng.h"

static int64_t boxes_patch(const struct heads *h)
{
    return h->encoder.shape(h->encoder.self, h->chosen.layers[0]).stride;
}

/* --- samples --- */

static void choose_taught(struct boxes *b)
{
    const struct coco *c = &b->train.coco;
    b->taught = mem_alloc((size_t)c->d.images, sizeof *b->taught);
    for (int64_t i = 0; i < c->d.images; i++) {
        int64_t count = 0;
        for (int64_t k = b->train.starts[i]; k < b->train.starts[i + 1]; k++) {
            const struct object *o = &c->d.truths.data[b->train.order[k]];
            count += boxes_counts(o);
            b->crowds += o->crowd;
            b->flat += !o->crowd && !boxes_counts(o);
        }
        if (count)
            b->taught[b->taught_count++] = i;
        else
            b->left_out++;
    }
}

static void say_left_out(const struct boxes *b)
{
    if (b->crowds || b->flat)
        log_info("%s: %ld crowds and %ld flat boxes are not learned from", b->train.path, (long)b->crowds,
                 (long)b->flat);
    if (b->left_out)
        log_info("%s: %ld of %ld pictures have no box to learn: they are left out", b->train.path, (long)b->left_out,
                 (long)b->train.coco.d.images);
}

/* The encoder's grid, and cells over it. */
static int open_cells(struct heads *h, struct error *error)
{
    struct boxes *b = boxes_of(h);
    const struct detect_settings *own = detect_settings_of(h);
    int64_t patch = boxes_patch(h);
    if (own->pixels) h->encoder.size = own->pixels; /* it resamples its positions to the grid it meets */
    b->size = h->encoder.size;
    if (patch % 2 || b->size % patch || b->size / patch < 2)
        return error_set(error, ERROR_USAGE,
                         "--pixels %ld: a pyramid needs whole patches of an even size, here %ld, and 2 x 2 of them at "
                         "least",
                         (long)b->size, (long)patch);
    b->cells = cells_levels(extent_square(b->size), patch, b->levels);
    h->target_bytes = (size_t)b->cells * (sizeof(int32_t) + 5 * sizeof(float));
    return 0;
}

static int open_sets(struct heads *h, struct error *error)
{
    struct boxes *b = boxes_of(h);
    const struct detect_settings *own = detect_settings_of(h);
    const struct option_list *train = &h->settings.train.train_data, *data = &h->settings.data;
    bool plain = !strcmp(own->kind, "none");
    b->seed = (uint64_t)h->run->settings->seed;
    b->max_pixels = h->settings.train.media.max_pixels;
    b->jitter = plain ? (struct jitter){1, 1, 0} : own->jitter;
    if (train->count != 1 || data->count != 1)
        return error_set(error, ERROR_USAGE, "--%s: give one", train->count != 1 ? "train-data" : "data");
    if (h->rate_count > 1)
        return error_set(error, ERROR_USAGE,
                         "--lr-grid: give one rate; no boxes are held out to choose it on, so run it once for each");
    if (b->jitter.scale_min > b->jitter.scale_max)
        return error_set(error, ERROR_USAGE, "--aug-scale-min must not exceed --aug-scale-max");
    if (own->channels % FCOS_GROUPS)
        return error_set(error, ERROR_USAGE, "--channels %ld: not a multiple of %d", (long)own->channels, FCOS_GROUPS);
    if (open_cells(h, error) < 0 || coco_set_open(&b->train, train->items[0], own->train_images, "train", error) < 0 ||
        coco_set_open(&b->data, data->items[0], own->images, "val", error) < 0 ||
        coco_set_same(&b->data, &b->train, error) < 0)
        return -1;
    choose_taught(b);
    return b->taught_count ? 0 : error_set(error, ERROR_FAILED, "%s: no picture has a box to learn", b->train.path);
}

static int open(struct heads *h, struct error *error)
{
    struct boxes *b = boxes_of(h);
    if (world_agree(h->run->world, open_sets(h, error), error) < 0) return -1;
    h->outputs = b->train.coco.d.categories;
    h->run->samples = b->taught_count;
    if (h->run->world->rank) return 0;
    say_left_out(b);
    json_object_set_new(h->run->identity, "train-data", json_checksum(b->train.checksum));
    return 0;
}

static void close(struct heads *h)
{
    struct boxes *b = boxes_of(h);
    labelled_close(b->feed);
    coco_set_close(&b->train);
    coco_set_close(&b->data);
    free(b->taught);
}

static int64_t sample(const struct heads *h, uint64_t epoch, uint64_t place)
{
    const struct boxes *b = boxes_of(h);
    return b->taught[rng_permute((uint64_t)h->run->settings->seed, epoch, place, (uint64_t)b->taught_count)];
}

static int64_t pictures(const struct heads *h)
{
    (void)h;
    return 1;
}

/* --- batches to learn from --- */

/* The feed's batch `number` is slice number % mine of step number / mine here. */
static int64_t which_taught(void *context, int64_t number, int64_t *samples, uint64_t *epochs)
{
    const struct heads *h = context;
    const struct plan *p = &h->run->plan;
    for (int64_t i = 0; i < p->rows; i++)
        samples[i] = training_sample(h->run, number / p->mine, number % p->mine, i, &epochs[i]);
    return p->rows;
}

struct labelled_config boxes_feed(struct heads *h)
{
    enum { AHEAD = 2 };
    return (struct labelled_config){.maker = {.room = 1, .self = boxes_of(h)},
                                    .device = &h->run->device,
                                    .size = (int)h->encoder.size,
                                    .threads = (int)h->settings.train.workers,
                                    .ahead = AHEAD,
                                    .keep = 2};
}

static void begin(struct heads *h, int64_t first, int64_t end)
{
    struct boxes *b = boxes_of(h);
    const struct plan *p = &h->run->plan;
    struct labelled_config config = boxes_feed(h);
    labelled_close(b->feed);
    config.maker.make = boxes_make_taught;
    config.maker.target_bytes = h->target_bytes;
    config.rows = p->rows;
    config.first = first * p->mine;
    config.end = end * p->mine;
    config.ahead += p->mine;
    /* where pixels are not copied to a device, a step's stay until it is over */
    if (!h->run->device.kernels->reserve && p->mine > config.keep) config.keep = (int)p->mine;
    config.which = which_taught;
    config.context = h;
    b->feed = labelled_open(&config);
    b->positives = 0;
    b->weight = 1;
}

struct pictures boxes_pictures(const struct heads *h, const struct labelled_batch *batch)
{
    return (struct pictures){.pixels = batch->pixels,
                             .count = batch->count,
                             .size = extent_square(h->encoder.size),
                             .samples = batch->count};
}

/* One of a sample's targets, `bytes` a cell and `at` bytes a cell behind the first: of all samples of a batch, level
 * after level, of each picture after picture.  Returns the end of what was written. */
static char *turn(const struct heads *h, const struct labelled_batch *batch, char *to, size_t at, size_t bytes)
{
    const struct boxes *b = boxes_of(h);
    for (int i = 0; i < PYRAMID_LEVELS; i++) {
        size_t own = (size_t)extent_area(b->levels[i].grid) * bytes;
        size_t from = (size_t)b->cells * at + (size_t)b->levels[i].first * bytes;
        for (int64_t n = 0; n < batch->count; n++, to += own)
            memcpy(to, batch->targets + (size_t)n * h->target_bytes + from, own);
    }
    return to;
}

static int receive(struct heads *h, int64_t n, double *waited, struct error *error)
{
    struct boxes *b = boxes_of(h);
    const struct labelled_batch *batch = labelled_next(b->feed, waited, error);
    if (!batch) return -1;
    struct pictures p = boxes_pictures(h, batch);
    int32_t *targets = mem_alloc((size_t)batch->count, h->target_bytes);
    char *end = turn(h, batch, (char *)targets, 0, sizeof *targets);
    end = turn(h, batch, end, sizeof *targets, 4 * sizeof(float));
    turn(h, batch, end, sizeof *targets + 4 * sizeof(float), sizeof(float));
    for (int64_t i = 0; i < batch->count * b->cells; i++) b->positives += targets[i] >= 0;
    h->lessons[n] = heads_bring(h, (int)n, &p, targets);
    free(targets);
    return 0;
}

static void between(struct heads *h)
{
    struct boxes *b = boxes_of(h);
    int64_t positives = world_sum(h->run->world, b->positives);
    b->weight = (float)((double)h->run->plan.batch / (double)(positives > 1 ? positives : 1));
    b->positives = 0;
}

/* --- for the kind --- */

struct fcos boxes_shape(const struct heads *h, int64_t width)
{
    const struct detect_settings *own = detect_settings_of(h);
    return (struct fcos){.width = width,
                         .channels = own->channels,
                         .convs = own->convs,
                         .classes = h->outputs,
                         .patch = boxes_patch(h),
                         .size = extent_square(h->encoder.size)};
}

struct fcos_truth boxes_truth(const struct heads *h, const struct lesson *lesson)
{
    int64_t all = lesson->pictures.samples * boxes_of(h)->cells;
    const int32_t *classes = lesson->targets;
    const float *distances = (const float *)(classes + all);
    return (struct fcos_truth){classes, distances, distances + 4 * all};
}

void boxes_tensors(const struct head *head, struct tensor *p[BOXES_TENSORS])
{
    CHECK(head->count <= BOXES_TENSORS, "%d tensors", head->count);
    for (int i = 0; i < head->count; i++) p[i] = head_tensor(head, i);
}

const struct subject subject_boxes = {.bytes = sizeof(struct boxes),
                                      .open = open,
                                      .sample = sample,
                                      .begin = begin,
                                      .receive = receive,
                                      .between = between,
                                      .pictures = pictures,
                                      .examine = boxes_examine,
                                      .close = close};
