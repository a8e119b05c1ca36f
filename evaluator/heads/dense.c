/* What is taught, who is held out, and crops to learn from. */
#include "evaluator/heads/dense.h"

#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct dense_settings, field)
/* clang-format off */
const struct option dense_labels_options[] = {
    {OPTION_GROUP, "segmentation", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_INT, "classes", AT(classes), "0", 0, 65535, NULL, "how many there are (ADE20K: 150); 0: the lines of classes.txt in the first training folder", OPTION_IDENTITY},
    {OPTION_BOOL, "reduce-zero-label", AT(reduce), "false", 0, 0, NULL, "0 in the truth is not learned nor scored, and class 0 is its number 1 (ADE20K)", OPTION_IDENTITY},
    {OPTION_INT, "ignore", AT(ignored), "255", 0, 65535, NULL, "number in the truth that is neither", OPTION_IDENTITY},
    {OPTION_INT, "crop-size", AT(size), "0", 0, 65536, NULL, "pixels a side of what the encoder sees, a multiple of its patch; 0: its own size", OPTION_IDENTITY},
    {OPTION_INT, "short-side", AT(short_side), "0", 0, 65536, NULL, "of a picture, when it is examined; 0: that of a window, --crop-size"},
    {OPTION_INT, "stride", AT(stride), "0", 0, 65536, NULL, "from one window to the next; 0: two thirds of its size"},
    {OPTION_CHOICE, "aug", AT(augment), "dense", 0, 0, "dense|none", "scaled, cropped where no class fills three quarters, flipped, coloured; or the middle as it is", OPTION_IDENTITY},
    {OPTION_REAL, "aug-resize-min", AT(resize_min), "0.5", 0.05, 20, NULL, "the shorter side of a picture over the crop's, at least", OPTION_IDENTITY},
    {OPTION_REAL, "aug-resize-max", AT(resize_max), "2", 0.05, 20, NULL, "and at most", OPTION_IDENTITY},
    {OPTION_REAL, "aug-flip", AT(flip), "0.5", 0, 1, NULL, "probability of a horizontal flip", OPTION_IDENTITY},
    {OPTION_REAL, "aug-brightness", AT(brightness), "0.32", 0, 1, NULL, "brightness jitter", OPTION_IDENTITY},
    {OPTION_REAL, "aug-saturation", AT(saturation), "0.5", 0, 1, NULL, "saturation jitter", OPTION_IDENTITY},
    {OPTION_STRING, "predictions", AT(predictions), NULL, 0, 0, NULL, "folder for the maps of the best layer: .png of class numbers as the truth has them, for pe-evaluator score --metric miou", OPTION_WRITTEN},
    {0}};
const struct option dense_depths_options[] = {
    {OPTION_GROUP, "depth", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_REAL, "depth-scale", AT(scale), "1000", 1e-6, 1e9, NULL, "a metre in .png (NYU: 1000, KITTI: 256)", OPTION_IDENTITY},
    {OPTION_REAL, "depth-min", AT(min), "0.001", 1e-9, 1e9, NULL, "metres: the least that is predicted, and scored", OPTION_IDENTITY},
    {OPTION_REAL, "depth-max", AT(max), "10", 1e-9, 1e9, NULL, "metres: the most that is predicted, learned and scored (KITTI: 80)", OPTION_IDENTITY},
    {OPTION_INT, "crop-size", AT(size), "0", 0, 65536, NULL, "pixels a side of what the encoder sees, a multiple of its patch; 0: its own size", OPTION_IDENTITY},
    {OPTION_CHOICE, "depth-crop", AT(crop), "none", 0, 0, "none|eigen", "eigen: rows 45 to 470, columns 41 to 600 of NYU's 480 x 640 are scored"},
    {OPTION_BOOL, "flip-average", AT(mirror), "true", 0, 0, NULL, "the mean of a picture's depth and that of its mirror image"},
    {OPTION_CHOICE, "aug", AT(augment), "dense", 0, 0, "dense|none", "scaled, cropped, flipped, coloured; or the whole squashed", OPTION_IDENTITY},
    {OPTION_REAL, "aug-resize-min", AT(resize_min), "1", 0.05, 20, NULL, "a side of a picture over the crop's, at least", OPTION_IDENTITY},
    {OPTION_REAL, "aug-resize-max", AT(resize_max), "1.2", 0.05, 20, NULL, "and at most", OPTION_IDENTITY},
    {OPTION_REAL, "aug-flip", AT(flip), "0.5", 0, 1, NULL, "probability of a horizontal flip", OPTION_IDENTITY},
    {OPTION_REAL, "aug-brightness", AT(brightness), "0.25", 0, 1, NULL, "brightness jitter", OPTION_IDENTITY},
    {OPTION_REAL, "aug-saturation", AT(saturation), "0.1", 0, 1, NULL, "saturation jitter", OPTION_IDENTITY},
    {OPTION_STRING, "predictions", AT(predictions), NULL, 0, 0, NULL, "folder for the maps of the best layer: .npy in metres, for pe-evaluator score --metric depth", OPTION_WRITTEN},
    {0}};
/* clang-format on */

static int list(const struct dense_task *task, struct dense_set *set, const struct option_list *folders, bool train,
                struct error *error)
{
    for (int64_t i = 0; i < folders->count; i++)
        if (task->list(set, folders->items[i], train, error) < 0) return -1;
    return 0;
}

/* Samples are taught or held out. */
static int deal_out(struct heads *h, struct error *error)
{
    struct dense *x = dense_of(h);
    bool choice = h->rate_count > 1 && !strcmp(h->settings.choose, "held-out");
    int64_t held = choice ? (int64_t)(h->settings.held_out * (double)x->train.count) : 0;
    if (choice && !held)
        return error_set(
            error, ERROR_USAGE,
            "--held-out %g: leaves none of %ld samples to choose the rate on; give more, or --choose-on test",
            h->settings.held_out, (long)x->train.count);
    x->taught = mem_alloc((size_t)x->train.count, sizeof *x->taught);
    x->held = mem_alloc((size_t)held + 1, sizeof *x->held);
    for (int64_t i = 0; i < x->train.count; i++) {
        /* an epoch that no run reaches */
        uint64_t at = rng_permute(x->seed, UINT64_MAX, (uint64_t)i, (uint64_t)x->train.count);
        if ((int64_t)at < held)
            x->held[x->held_count++] = i;
        else
            x->taught[x->taught_count++] = i;
    }
    return 0;
}

static int open(struct heads *h, const struct dense_task *task, struct error *error)
{
    struct dense *x = dense_of(h);
    const struct dense_settings *c = heads_own(h);
    const struct media_options media = media_options_of(&h->settings.train.media);
    x->settings = c;
    x->task = task;
    if (c->size) h->encoder.size = c->size;
    x->size = h->encoder.size;
    x->max_pixels = media.limits.max_pixels;
    x->seed = (uint64_t)h->run->settings->seed;
    x->majority = -1;
    int64_t patch = h->encoder.shape(h->encoder.self, 0).stride;
    int rc = 0;
    if (c->resize_min > c->resize_max)
        rc = error_set(error, ERROR_USAGE, "--aug-resize-min must not exceed --aug-resize-max");
    if (x->size % patch)
        rc = error_set(error, ERROR_USAGE, "--crop-size %ld: no multiple of the patch, %ld pixels", (long)x->size,
                       (long)patch);
    if (rc == 0) rc = list(task, &x->train, &h->settings.train.train_data, true, error);
    if (rc == 0) rc = list(task, &x->data, &h->settings.data, false, error);
    if (rc == 0) rc = task->check(h, error);
    if (rc == 0) rc = deal_out(h, error);
    if (world_agree(h->run->world, rc, error) < 0 || dense_measure(&x->train, h->run->world, error) < 0 ||
        dense_measure(&x->data, h->run->world, error) < 0)
        return -1;
    h->target_bytes = task->target_bytes * (size_t)(x->size * x->size);
    h->run->samples = x->taught_count;
    if (!h->run->world->rank)
        json_object_set_new(h->run->identity, "train-data", json_checksum(dense_set_identity(&x->train)));
    return 0;
}

static int open_labels(struct heads *h, struct error *error)
{
    return open(h, &dense_labels, error);
}

static int open_depths(struct heads *h, struct error *error)
{
    return open(h, &dense_depths, error);
}

static void close(struct heads *h)
{
    struct dense *x = dense_of(h);
    labelled_close(x->feed);
    dense_set_close(&x->train);
    dense_set_close(&x->data);
    free(x->taught);
    free(x->held);
    free(x->mean.metres);
}

static int64_t sample(const struct heads *h, uint64_t epoch, uint64_t place)
{
    const struct dense *x = dense_of(h);
    return x->taught[rng_permute(x->seed, epoch, place, (uint64_t)x->taught_count)];
}

static int64_t pictures(const struct heads *h)
{
    (void)h;
    return 1;
}

/* The feed's batch `number` is slice number % mine of step number / mine here. */
static int64_t which_taught(void *context, int64_t number, int64_t *samples, uint64_t *epochs)
{
    const struct heads *h = context;
    const struct plan *p = &h->run->plan;
    for (int64_t i = 0; i < p->rows; i++)
        samples[i] = training_sample(h->run, number / p->mine, number % p->mine, i, &epochs[i]);
    return p->rows;
}

static void begin(struct heads *h, int64_t first, int64_t end)
{
    enum { AHEAD = 2 };
    struct dense *x = dense_of(h);
    const struct plan *p = &h->run->plan;
    labelled_close(x->feed);
    struct labelled_config config = {.maker = {1, h->target_bytes, dense_make_taught, x},
                                     .device = &h->run->device,
                                     .rows = p->rows,
                                     .first = first * p->mine,
                                     .end = end * p->mine,
                                     .size = (int)x->size,
                                     .threads = (int)h->settings.train.workers,
                                     .ahead = AHEAD + (int)p->mine,
                                     .keep = p->mine > 2 && !h->run->device.kernels->reserve ? (int)p->mine : 2,
                                     .which = which_taught,
                                     .context = h};
    x->feed = labelled_open(&config);
}

static int receive(struct heads *h, int64_t n, double *waited, struct error *error)
{
    const struct labelled_batch *b = labelled_next(dense_of(h)->feed, waited, error);
    if (!b) return -1;
    struct pictures p = {
        .pixels = b->pixels, .count = b->count, .size = extent_square(h->encoder.size), .samples = b->count};
    h->lessons[n] = heads_bring(h, (int)n, &p, b->targets);
    return 0;
}

#define SUBJECT(function) \
    { \
        .bytes = sizeof(struct dense), .open = function, .sample = sample, .begin = begin, .receive = receive, \
        .pictures = pictures, .examine = dense_examine, .close = close \
    }
const struct subject subject_labels = SUBJECT(open_labels);
const struct subject subject_depths = SUBJECT(open_depths);
