/* Labels: who learns, who is held out; batches to learn from. */
#include "evaluator/heads/classes.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "dist/share.h"

/* --- samples --- */

/* (all) The label of each sample, on all ranks; each reads its share.  The caller frees. */
static int read_labels(const struct world *w, const struct collection *data, int32_t **labels, struct error *error)
{
    int64_t first = share_first(data->samples, w->size, w->rank),
            end = share_first(data->samples, w->size, w->rank + 1), failed = end;
    struct record r;
    int32_t *out = *labels = mem_alloc((size_t)data->samples, sizeof *out);
#pragma omp parallel for schedule(dynamic, 64) reduction(min : failed) private(r)
    for (int64_t i = first; i < end; i++)
        if (collection_read_texts(data, i, &r, NULL) == 0) {
            out[i] = r.label;
            record_release(&r);
        } else if (i < failed)
            failed = i;
    int rc = failed < end ? collection_read_texts(data, failed, &r, error) : 0;
    if (world_agree(w, rc, error) < 0) return -1;
    world_gather(w, out, data->samples, sizeof *out);
    return 0;
}

static int64_t classes_among(const int32_t *labels, int64_t count)
{
    int32_t most = -1;
    for (int64_t i = 0; i < count; i++) most = labels[i] > most ? labels[i] : most;
    return most + 1;
}

/* (all) Labels of both as classes, those that training knows first. */
static int number_labels(struct heads *h, struct error *error)
{
    struct classes *c = classes_of(h);
    int64_t samples = c->train.samples, tests = c->data.samples;
    if (read_labels(h->run->world, &c->train, &c->labels, error) < 0 ||
        read_labels(h->run->world, &c->data, &c->tests, error) < 0 ||
        class_names_apply(&c->names, 0, NULL, c->labels, samples, error) < 0 ||
        class_names_apply(&c->names, c->train.count, NULL, c->tests, tests, error) < 0)
        return -1;
    int64_t in_test = classes_among(c->tests, tests);
    h->outputs = c->names.known ? c->names.known : classes_among(c->labels, samples);
    c->count = in_test > h->outputs ? in_test : h->outputs;
    return 0;
}

/* Labelled samples are taught or held out. */
static int deal_out(struct heads *h, struct error *error)
{
    struct classes *c = classes_of(h);
    bool choice = h->rate_count > 1 && !strcmp(h->settings.choose, "held-out");
    int64_t labelled = 0, n = 0;
    for (int64_t i = 0; i < c->train.samples; i++) labelled += c->labels[i] >= 0;
    int64_t held = choice ? (int64_t)(h->settings.held_out * (double)labelled) : 0;
    if (choice && labelled && !held)
        return error_set(
            error, ERROR_USAGE,
            "--held-out %g: leaves none of %ld samples to choose the rate on; give more, or --choose-on test",
            h->settings.held_out, (long)labelled);
    c->taught = mem_alloc((size_t)labelled, sizeof *c->taught);
    c->held = mem_alloc((size_t)held + 1, sizeof *c->held);
    for (int64_t i = 0; i < c->train.samples; i++) {
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

static int take_stock(struct heads *h, struct error *error)
{
    struct classes *c = classes_of(h);
    int64_t *tests = mem_zalloc((size_t)c->count + 1, sizeof *tests), unlabelled = 0;
    c->learned = mem_zalloc((size_t)c->count + 1, sizeof *c->learned);
    for (int64_t i = 0; i < c->taught_count; i++) c->learned[c->labels[c->taught[i]]]++;
    for (int64_t i = 0; i < c->data.samples; i++)
        if (c->tests[i] < 0)
            unlabelled++;
        else
            tests[c->tests[i]]++;
    c->stock = class_stock_of(c->learned, tests, c->count);
    c->stock.train_unlabelled = c->train.samples - c->taught_count - c->held_count;
    c->stock.unlabelled = unlabelled;
    free(tests);
    return class_stock_check(&c->stock, &h->settings.train.train_data, &h->settings.data, error);
}

static int open(struct heads *h, struct error *error)
{
    struct classes *c = classes_of(h);
    const struct heads_settings *s = &h->settings;
    const struct option_list *train = &s->train.train_data;
    const struct collection *const both[] = {&c->train, &c->data};
    c->media = media_options_of(&s->train.media);
    int rc = augmentation_of(&c->augmentation, &s->augment, error);
    if (rc == 0) rc = collection_open(&c->train, train->items, train->count, error);
    if (rc == 0) rc = collection_open(&c->data, s->data.items, s->data.count, error);
    if (rc == 0) rc = class_names_open(&c->names, both, 2, error);
    if (world_agree(h->run->world, rc, error) < 0) return -1;
    if (!strcmp(s->train.verify_shards, "off")) {
        collection_trust(&c->train);
        collection_trust(&c->data);
    }
    if (number_labels(h, error) < 0 || deal_out(h, error) < 0 || take_stock(h, error) < 0) return -1;
    if (!h->run->world->rank) class_stock_warn(&c->stock);
    h->target_bytes = sizeof(int32_t);
    h->run->samples = c->taught_count;
    if (!h->run->world->rank)
        json_object_set_new(h->run->identity, "train-data", json_checksum(collection_identity(&c->train)));
    return 0;
}

static void close(struct heads *h)
{
    struct classes *c = classes_of(h);
    labelled_close(c->feed);
    class_names_close(&c->names);
    collection_close(&c->train);
    collection_close(&c->data);
    free(c->labels);
    free(c->tests);
    free(c->taught);
    free(c->held);
    free(c->learned);
}

static int64_t sample(const struct heads *h, uint64_t epoch, uint64_t place)
{
    const struct classes *c = classes_of(h);
    return c->taught[rng_permute((uint64_t)h->run->settings->seed, epoch, place, (uint64_t)c->taught_count)];
}

static int64_t pictures(const struct heads *h)
{
    const struct classes *c = classes_of(h);
    int64_t train = collection_pictures(&c->train, &c->media), data = collection_pictures(&c->data, &c->media);
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
    struct labelled_config config = classes_feed(h, &c->train);
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
