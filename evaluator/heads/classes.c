/* Labels: who learns, who is held out; batches to learn from. */
#include "evaluator/heads/classes.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "dist/share.h"

/* --- samples --- */

/* Labels as they are stored -> classes. */
static int number_labels(struct classes *c, struct error *error)
{
    const struct dataset *named = c->train.data.sets;
    int32_t largest = -1;
    struct error why = {0};
    for (int64_t i = 0; i < c->train.data.samples; i++) largest = c->labels[i] > largest ? c->labels[i] : largest;
    c->count = named->class_count ? named->class_count : largest + 1;
    for (int64_t i = 0; i < c->train.data.samples && !why.code; i++)
        c->labels[i] = class_set_number(&c->train, i, c->labels[i], c->count, &why);
    if (why.code) return error_set(error, why.code, "%s", why.text);
    return largest < 0 ? error_set(error, ERROR_FAILED, "%s: no sample has a label", named->folder) : 0;
}

/* (all) The label of each training sample, on all ranks; each reads its share. */
static int read_labels(struct heads *h, struct error *error)
{
    struct classes *c = classes_of(h);
    const struct collection *data = &c->train.data;
    const struct world *w = h->run->world;
    int64_t first = share_first(data->samples, w->size, w->rank),
            end = share_first(data->samples, w->size, w->rank + 1), failed = end;
    struct record r;
    c->labels = mem_alloc((size_t)data->samples, sizeof *c->labels);
#pragma omp parallel for schedule(dynamic, 64) reduction(min : failed) private(r)
    for (int64_t i = first; i < end; i++)
        if (collection_read_texts(data, i, &r, NULL) == 0) {
            c->labels[i] = r.label;
            record_release(&r);
        } else if (i < failed)
            failed = i;
    int rc = failed < end ? collection_read_texts(data, failed, &r, error) : 0;
    if (world_agree(w, rc, error) < 0) return -1;
    world_gather(w, c->labels, data->samples, sizeof *c->labels);
    return number_labels(c, error);
}

/* Labelled samples are taught or held out. */
static int deal_out(struct heads *h, struct error *error)
{
    struct classes *c = classes_of(h);
    bool choice = h->rate_count > 1 && !strcmp(h->settings.choose, "held-out");
    int64_t labelled = 0, n = 0;
    for (int64_t i = 0; i < c->train.data.samples; i++) labelled += c->labels[i] >= 0;
    int64_t held = choice ? (int64_t)(h->settings.held_out * (double)labelled) : 0;
    if (choice && !held)
        return error_set(
            error, ERROR_USAGE,
            "--held-out %g: leaves none of %ld samples to choose the rate on; give more, or --choose-on test",
            h->settings.held_out, (long)labelled);
    c->taught = mem_alloc((size_t)labelled, sizeof *c->taught);
    c->held = mem_alloc((size_t)held + 1, sizeof *c->held);
    c->unlabelled = c->train.data.samples - labelled;
    for (int64_t i = 0; i < c->train.data.samples; i++) {
        if (c->labels[i] < 0) continue;
        /* an epoch that no run reaches */
        uint64_t at = rng_permute((uint64_t)h->run->settings->seed, UINT64_MAX, (uint64_t)n++, (uint64_t)labelled);
        if ((int64_t)at < held)
            c->held[c->held_count++] = i;
        else
            c->taught[c->taught_count++] = i;
    }
    return 0;
}

static int open(struct heads *h, struct error *error)
{
    struct classes *c = classes_of(h);
    const struct heads_settings *s = &h->settings;
    const struct option_list *train = &s->train.train_data;
    c->media = media_options_of(&s->train.media);
    int rc = augmentation_of(&c->augmentation, &s->augment, error);
    if (rc == 0) rc = class_set_open(&c->train, train->items, train->count, &c->train, error);
    if (rc == 0) rc = class_set_open(&c->data, s->data.items, s->data.count, &c->train, error);
    if (world_agree(h->run->world, rc, error) < 0) return -1;
    if (!strcmp(s->train.verify_shards, "off")) {
        collection_trust(&c->train.data);
        collection_trust(&c->data.data);
    }
    if (read_labels(h, error) < 0 || deal_out(h, error) < 0) return -1;
    if (c->unlabelled && !h->run->world->rank)
        log_warn("%ld of %ld training samples have no label: they are left out", (long)c->unlabelled,
                 (long)c->train.data.samples);
    h->outputs = c->count;
    h->target_bytes = sizeof(int32_t);
    h->run->samples = c->taught_count;
    if (!h->run->world->rank)
        json_object_set_new(h->run->identity, "train-data", json_checksum(collection_identity(&c->train.data)));
    return 0;
}

static void close(struct heads *h)
{
    struct classes *c = classes_of(h);
    labelled_close(c->feed);
    class_set_close(&c->train);
    class_set_close(&c->data);
    free(c->labels);
    free(c->taught);
    free(c->held);
}

static int64_t sample(const struct heads *h, uint64_t epoch, uint64_t place)
{
    const struct classes *c = classes_of(h);
    return c->taught[rng_permute((uint64_t)h->run->settings->seed, epoch, place, (uint64_t)c->taught_count)];
}

static int64_t pictures(const struct heads *h)
{
    const struct classes *c = classes_of(h);
    int64_t train = collection_pictures(&c->train.data, &c->media),
            data = collection_pictures(&c->data.data, &c->media);
    return train > data ? train : data;
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

struct labelled_config classes_feed(struct heads *h, const struct collection *data)
{
    enum { AHEAD = 2 };
    const struct classes *c = classes_of(h);
    return (struct labelled_config){.data = data,
                                    .media = c->media,
                                    .device = &h->run->device,
                                    .seed = (uint64_t)h->run->settings->seed,
                                    .size = (int)h->encoder.size,
                                    .threads = (int)h->settings.train.workers,
                                    .ahead = AHEAD,
                                    .keep = 2};
}

static void begin(struct heads *h, int64_t first, int64_t end)
{
    struct classes *c = classes_of(h);
    const struct plan *p = &h->run->plan;
    struct labelled_config config = classes_feed(h, &c->train.data);
    labelled_close(c->feed);
    config.augmentation = strcmp(h->settings.augment.kind, "none") ? &c->augmentation : NULL;
    config.rows = p->rows;
    config.first = first * p->mine;
    config.end = end * p->mine;
    config.ahead += p->mine;
    /* where pixels are not copied to a device, a step's stay until it is over */
    if (!h->run->device.kernels->reserve && p->mine > config.keep) config.keep = (int)p->mine;
    config.which = which_taught;
    config.context = h;
    c->feed = labelled_open(&config);
}

struct pictures classes_pictures(const struct heads *h, const struct labelled_batch *b)
{
    return (struct pictures){.pixels = b->pixels,
                             .count = b->pictures,
                             .size = extent_square(h->encoder.size),
                             .samples = b->count,
                             .starts = b->starts};
}

static int receive(struct heads *h, int64_t n, double *waited, struct error *error)
{
    const struct classes *c = classes_of(h);
    const struct labelled_batch *b = labelled_next(c->feed, waited, error);
    if (!b) return -1;
    struct pictures p = classes_pictures(h, b);
    int32_t *targets = mem_alloc((size_t)b->count, sizeof *targets);
    for (int64_t i = 0; i < b->count; i++) targets[i] = c->labels[b->samples[i]];
    h->lessons[n] = heads_bring(h, (int)n, &p, targets);
    free(targets);
    return 0;
}

const struct subject subject_classes = {.bytes = sizeof(struct classes),
                                        .open = open,
                                        .sample = sample,
                                        .begin = begin,
                                        .receive = receive,
                                        .pictures = pictures,
                                        .examine = classes_examine,
                                        .close = close};
