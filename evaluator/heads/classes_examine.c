/* Examinations of heads that classify: which labels they name, and the figures of that. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dist/stopping.h"
#include "evaluator/heads/classes.h"
#include "evaluator/results.h"

/* Of all heads on some samples. */
struct tally {
    int64_t heads, classes, samples, unlabelled;
    int64_t *seen; /* [classes], and behind it */
    int64_t *hits; /* [heads, 2, classes] top 1, top 5 */
};

static void tally_open(struct tally *t, const struct heads *h)
{
    *t = (struct tally){.heads = h->chosen.count * h->rate_count, .classes = classes_of(h)->count};
    t->seen = mem_zalloc((size_t)(t->classes * (1 + 2 * t->heads)), sizeof *t->seen);
    t->hits = t->seen + t->classes;
}

/* (all) */
static void sum_over_ranks(const struct world *w, int64_t *values, int64_t count)
{
    enum { PIECE = 4096 };
    int64_t *all = mem_alloc((size_t)w->size * PIECE, sizeof *all);
    for (int64_t at = 0; at < count && w->size > 1; at += PIECE) {
        int64_t n = count - at < PIECE ? count - at : PIECE;
        world_gather_all(w, values + at, (size_t)n * sizeof *values, all);
        memset(values + at, 0, (size_t)n * sizeof *values);
        for (int64_t i = 0; i < n * w->size; i++) values[at + i % n] += all[i];
    }
    free(all);
}

/* (all) Each rank's counts -> all ranks'. */
static void tally_sum(struct tally *t, const struct world *w)
{
    sum_over_ranks(w, t->seen, t->classes * (1 + 2 * t->heads));
    t->unlabelled = world_sum(w, t->unlabelled);
    for (int64_t k = 0; k < t->classes; k++) t->samples += t->seen[k];
}

struct examination {
    struct heads *h;
    const struct class_set *set;
    const int64_t *chosen; /* samples, or NULL: all */
    int64_t count;
    struct tally *tally;
    const struct labelled_batch *batch;
    struct lesson lesson;
    int32_t *labels; /* [batch] classes */
    float *outputs;  /* [batch, classes] of a head */
    int rc;
    struct error *error;
};

/* Batches are dealt out to ranks in turn. */
static int64_t which_examined(void *context, int64_t number, int64_t *samples, uint64_t *epochs)
{
    const struct examination *x = context;
    int64_t batch = x->h->settings.session.batch, n = 0;
    int64_t first = (number * x->h->run->world->size + x->h->run->world->rank) * batch;
    for (; n < batch && first + n < x->count; n++) {
        samples[n] = x->chosen ? x->chosen[first + n] : first + n;
        epochs[n] = 0;
    }
    return n;
}

/* How many outputs beat the label's; of equal ones the lower is ahead.  -1: one is not finite. */
static int64_t rank_of(const float *outputs, int64_t count, int32_t label)
{
    int64_t rank = 0;
    for (int64_t k = 0; k < count; k++) {
        if (!isfinite(outputs[k])) return -1;
        rank += outputs[k] > outputs[label] || (outputs[k] == outputs[label] && k < label);
    }
    return rank;
}

static void judge_head(struct examination *x, int64_t head)
{
    struct tally *t = x->tally;
    int64_t *hits = t->hits + 2 * head * t->classes;
    for (int64_t i = 0; i < x->batch->count; i++) {
        int32_t label = x->labels[i];
        if (label < 0) continue;
        int64_t rank = rank_of(x->outputs + i * t->classes, t->classes, label);
        if (rank < 0 && x->rc == 0)
            x->rc = error_set(x->error, ERROR_FAILED,
                              "sample %ld: what a head says of it is not finite: the encoder's weights are damaged, or "
                              "--lr is too high",
                              (long)x->batch->samples[i]);
        hits[label] += rank == 0;
        hits[t->classes + label] += rank >= 0 && rank < 5;
    }
}

static void judge(void *context, int64_t index, struct tensor *features)
{
    struct examination *x = context;
    struct heads *h = x->h;
    struct training *run = h->run;
    for (int64_t i = 0; i < h->rate_count; i++) {
        tape_reset(&run->tape);
        run->tape.recording = false;
        struct tensor *out = h->kind->output(h, &run->tape, &h->layers[index].heads[i], features, &x->lesson);
        if (run->device.planning) continue;
        run->device.kernels->download(&run->device, x->outputs, out->data, (size_t)tensor_count(out) * sizeof(float));
        judge_head(x, index * h->rate_count + i);
    }
}

static int count_labels(struct examination *x)
{
    const struct labelled_batch *b = x->batch;
    for (int64_t i = 0; i < b->count; i++) {
        struct error why = {0};
        x->labels[i] = class_set_number(x->set, b->samples[i], b->labels[i], x->tally->classes, &why);
        if (why.code) return error_set(x->error, why.code, "%s", why.text);
        if (x->labels[i] < 0)
            x->tally->unlabelled++;
        else
            x->tally->seen[x->labels[i]]++;
    }
    return 0;
}

static int examine_batch(struct examination *x, struct labelled *feed)
{
    double waited = 0;
    x->batch = labelled_next(feed, &waited, x->error);
    if (!x->batch || count_labels(x) < 0) return -1;
    struct pictures p = classes_pictures(x->h, x->batch);
    heads_forget(x->h);
    x->lesson = heads_bring(x->h, 0, &p, NULL);
    heads_look(x->h, &x->lesson, true, judge, x);
    return x->rc;
}

/* On a GPU: a dry run, which finds the fastest products for such a batch. */
static void plan(struct examination *x, int64_t pictures)
{
    struct device *d = &x->h->run->device;
    int64_t rows = x->h->settings.session.batch;
    if (!d->kernels->reserve) return;
    int32_t *starts = mem_zalloc((size_t)rows + 1, sizeof *starts);
    for (int64_t i = 0; i <= rows; i++) starts[i] = (int32_t)(i * pictures);
    struct pictures p = {
        .count = rows * pictures, .size = extent_square(x->h->encoder.size), .samples = rows, .starts = starts};
    d->planning = true;
    heads_forget(x->h);
    x->lesson = heads_bring(x->h, 0, &p, NULL);
    heads_look(x->h, &x->lesson, true, judge, x);
    d->planning = false;
    free(starts);
}

/* (all) Every head on samples of a set: those of `chosen` [count], or all. */
static int examine_on(struct heads *h, const struct class_set *set, const int64_t *chosen, int64_t count,
                      struct tally *tally, struct error *error)
{
    const struct world *w = h->run->world;
    int64_t batch = h->settings.session.batch, batches = (count + batch - 1) / batch;
    struct examination x = {.h = h, .set = set, .chosen = chosen, .count = count, .tally = tally, .error = error};
    struct labelled_config config = classes_feed(h, &set->data);
    tally_open(tally, h);
    x.labels = mem_alloc((size_t)batch, sizeof *x.labels);
    x.outputs = mem_alloc((size_t)(batch * tally->classes), sizeof *x.outputs);
    config.rows = batch;
    config.end = (batches - w->rank + w->size - 1) / w->size;
    config.which = which_examined;
    config.context = &x;
    plan(&x, collection_pictures(&set->data, &classes_of(h)->media));
    struct labelled *feed = labelled_open(&config);
    struct progress progress = progress_open("examined", count, w->rank > 0);
    int rc = 0;
    for (int64_t n = 0; n * w->size < batches && rc == 0; n++) {
        rc = stopping_alone("run it again with --resume latest to go on", error);
        if (rc == 0 && n < config.end) rc = examine_batch(&x, feed);
        rc = world_agree(w, rc, error);
        progress_show(&progress, (n + 1) * w->size * batch < count ? (n + 1) * w->size * batch : count, "");
    }
    labelled_close(feed);
    free(x.labels);
    free(x.outputs);
    if (rc == 0) tally_sum(tally, w);
    return rc;
}

/* --- figures --- */

static double accuracy(const struct tally *t, int64_t head, int top)
{
    int64_t sum = 0;
    for (int64_t k = 0; k < t->classes; k++) sum += t->hits[(2 * head + top) * t->classes + k];
    return (double)sum / (double)t->samples;
}

static double mean_recall(const struct tally *t, int64_t head)
{
    double sum = 0;
    int64_t present = 0;
    for (int64_t k = 0; k < t->classes; k++) {
        if (!t->seen[k]) continue;
        sum += (double)t->hits[2 * head * t->classes + k] / (double)t->seen[k];
        present++;
    }
    return sum / (double)present;
}

/* Of the heads of a layer: of equal ones the first. */
static int64_t best_of(const struct heads *h, const struct tally *t, int64_t index)
{
    int64_t first = index * h->rate_count, best = first;
    for (int64_t i = first; i < first + h->rate_count; i++)
        if (accuracy(t, i, 0) > accuracy(t, best, 0)) best = i;
    return best;
}

/* A layer's figures: those of the head that was best on `choice`. */
static json_t *figures_of(const struct heads *h, const struct tally *t, const struct tally *held, int64_t index)
{
    int64_t best = best_of(h, held ? held : t, index);
    double acc1 = accuracy(t, best, 0), n = (double)t->samples;
    json_t *row = json_pack("{s:f, s:f, s:f}", "acc1", acc1, "acc5", accuracy(t, best, 1), "mean_per_class_recall",
                            mean_recall(t, best));
    if (t->samples > 1) json_object_set_new(row, "stderr", json_real(sqrt(acc1 * (1 - acc1) / (n - 1))));
    json_object_set_new(row, "lr", json_real(h->rates[best % h->rate_count] * h->run->settings->lr));
    if (held) json_object_set_new(row, "held_out_acc1", json_real(accuracy(held, best, 0)));
    if (h->rate_count == 1) return row;
    json_t *all = json_array();
    for (int64_t i = 0; i < h->rate_count; i++) {
        int64_t head = index * h->rate_count + i;
        json_t *one = json_pack("{s:f, s:f}", "lr", h->rates[i] * h->run->settings->lr, "acc1", accuracy(t, head, 0));
        if (held) json_object_set_new(one, "held_out_acc1", json_real(accuracy(held, head, 0)));
        json_array_append_new(all, one);
    }
    json_object_set_new(row, "rates", all);
    return row;
}

static json_t *metrics_of(const struct heads *h, const struct tally *t, const struct tally *held)
{
    json_t **each = mem_alloc((size_t)h->chosen.count, sizeof *each);
    for (int64_t i = 0; i < h->chosen.count; i++) each[i] = figures_of(h, t, held, i);
    json_t *metrics = layers_metrics(&h->chosen, "acc1", each);
    free(each);
    return metrics;
}

/* The share of who always names the class most common in training; of equal ones the first. */
static double chance_of(const struct classes *c, const struct tally *t)
{
    int64_t *taught = mem_zalloc((size_t)c->count, sizeof *taught), most = 0;
    for (int64_t i = 0; i < c->taught_count; i++) taught[c->labels[c->taught[i]]]++;
    for (int64_t k = 0; k < c->count; k++)
        if (taught[k] > taught[most]) most = k;
    free(taught);
    return (double)t->seen[most] / (double)t->samples;
}

/* Rank 0: what the figures are of, beside them. */
static int write_result(const struct heads *h, const struct tally *t, json_t *metrics, struct error *error)
{
    const struct classes *c = classes_of(h);
    const char *feature = h->feature == FEATURE_TOKENS ? "tokens" : h->settings.feature;
    json_object_set_new(metrics, "feature", json_string(feature));
    if (h->rate_count > 1) json_object_set_new(metrics, "lr_chosen_on", json_string(h->settings.choose));
    json_object_set_new(metrics, "chance", json_real(chance_of(c, t)));
    json_object_set_new(metrics, "samples", json_integer(t->samples));
    json_object_set_new(metrics, "classes", json_integer(t->classes));
    json_object_set_new(metrics, "train_samples", json_integer(c->taught_count));
    if (c->held_count) json_object_set_new(metrics, "held_out_samples", json_integer(c->held_count));
    if (t->unlabelled) json_object_set_new(metrics, "unlabelled", json_integer(t->unlabelled));
    if (c->unlabelled) json_object_set_new(metrics, "train_unlabelled", json_integer(c->unlabelled));
    struct results_head head = {h->settings.data.items[0], h->towers.config.name, h->settings.session.weights,
                                h->kind->task};
    return results_write(h->settings.session.output, &head, metrics, error);
}

/* A row of metrics.jsonl: of each layer its figures. */
static void write_row(const struct heads *h, json_t *metrics)
{
    json_t *row = json_object(), *layer;
    size_t i;
    json_array_foreach (json_object_get(metrics, "layers"), i, layer) {
        char key[64];
        snprintf(key, sizeof key, "acc1_layer_%ld", (long)json_integer_value(json_object_get(layer, "layer")));
        json_object_set(row, key, json_object_get(layer, "acc1"));
    }
    log_info("Eval Step: %ld acc1: %.4f (layer %ld of the best)", (long)h->run->step,
             json_real_value(json_object_get(metrics, "acc1")),
             (long)json_integer_value(json_object_get(metrics, "best_layer")));
    training_row(h->run, "val", h->run->step, row);
    json_decref(metrics);
}

int classes_examine(struct heads *h, bool result, struct error *error)
{
    const struct classes *c = classes_of(h);
    struct tally held = {0}, t = {0};
    int rc = c->held_count ? examine_on(h, &c->train, c->held, c->held_count, &held, error) : 0;
    if (rc == 0) rc = examine_on(h, &c->data, NULL, c->data.data.samples, &t, error);
    if (rc == 0 && !t.samples)
        rc = error_set(error, ERROR_FAILED, "%s: no sample has a label", c->data.data.sets->folder);
    if (rc == 0 && t.unlabelled && !h->run->world->rank)
        log_warn("%ld of %ld samples have no label: they are left out", (long)t.unlabelled, (long)c->data.data.samples);
    json_t *metrics = rc == 0 ? metrics_of(h, &t, c->held_count ? &held : NULL) : NULL;
    if (rc == 0 && !result) write_row(h, metrics);
    if (rc == 0 && result && !h->run->world->rank) rc = write_result(h, &t, metrics, error);
    if (rc == 0 && result && h->run->world->rank) json_decref(metrics);
    free(held.seen);
    free(t.seen);
    return world_agree(h->run->world, rc, error);
}
