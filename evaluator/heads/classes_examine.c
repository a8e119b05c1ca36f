/* Examinations of heads that classify: which labels they name, and the figures of that. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dist/stopping.h"
#include "evaluator/heads/classes.h"
#include "evaluator/results.h"
#include "nn/tally.h"

struct examination {
    struct heads *h;
    const struct collection *data;
    const int32_t *labels; /* [samples of it] classes, -1: none */
    const int64_t *chosen; /* samples, or NULL: all */
    int64_t count;
    struct tally *tallies; /* [heads] */
    const struct labelled_batch *batch;
    struct lesson lesson;
    float *outputs; /* [batch, outputs] of a head */
    int rc;
    struct error *error;
};

static int64_t heads_of(const struct heads *h)
{
    return h->chosen.count * h->rate_count;
}

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

static bool all_finite(const float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i])) return false;
    return true;
}

/* A class that was not learned cannot be named (classification.h). */
static void judge_head(struct examination *x, struct tally *tally)
{
    const struct classes *c = classes_of(x->h);
    int64_t count = x->h->outputs;
    for (int64_t i = 0; i < x->batch->count; i++) {
        int32_t label = x->labels[x->batch->samples[i]];
        const float *outputs = x->outputs + i * count;
        if (label < 0) continue;
        if (!all_finite(outputs, count) && x->rc == 0)
            x->rc = error_set(x->error, ERROR_FAILED,
                              "sample %ld: what a head says of it is not finite: the encoder's weights are damaged, or "
                              "--lr is too high",
                              (long)x->batch->samples[i]);
        tally_add(tally, label, c->learned[label] ? score_rank(outputs, count, label) : NEVER);
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
        judge_head(x, &x->tallies[index * h->rate_count + i]);
    }
}

static int examine_batch(struct examination *x, struct labelled *feed)
{
    double waited = 0;
    x->batch = labelled_next(feed, &waited, x->error);
    if (!x->batch) return -1;
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

/* (all) Every head on samples of x->data: those of x->chosen [x->count], or all; scores [heads]. */
static int examine_on(struct examination *x, struct classification_scores *scores)
{
    struct heads *h = x->h;
    const struct world *w = h->run->world;
    int64_t batch = h->settings.session.batch, batches = (x->count + batch - 1) / batch, heads = heads_of(h);
    struct labelled_config config = classes_feed(h, x->data);
    x->tallies = mem_alloc((size_t)heads, sizeof *x->tallies);
    for (int64_t i = 0; i < heads; i++) tally_open(&x->tallies[i], classes_of(h)->count);
    x->outputs = mem_alloc((size_t)(batch * h->outputs), sizeof *x->outputs);
    config.rows = batch;
    config.end = (batches - w->rank + w->size - 1) / w->size;
    config.which = which_examined;
    config.context = x;
    plan(x, collection_pictures(x->data, &classes_of(h)->media));
    struct labelled *feed = labelled_open(&config);
    struct progress progress = progress_open("examined", x->count, w->rank > 0);
    int rc = 0;
    for (int64_t n = 0; n * w->size < batches && rc == 0; n++) {
        rc = stopping_alone("run it again with --resume latest to go on", x->error);
        if (rc == 0 && n < config.end) rc = examine_batch(x, feed);
        rc = world_agree(w, rc, x->error);
        progress_show(&progress, (n + 1) * w->size * batch < x->count ? (n + 1) * w->size * batch : x->count, "");
    }
    labelled_close(feed);
    for (int64_t i = 0; i < heads; i++) {
        if (rc == 0) scores[i] = tally_scores(&x->tallies[i], w);
        tally_close(&x->tallies[i]);
    }
    free(x->tallies);
    free(x->outputs);
    return rc;
}

/* --- figures --- */

/* Of the heads of a layer: of equal ones the first. */
static int64_t best_of(const struct heads *h, const struct classification_scores *scores, int64_t index)
{
    int64_t first = index * h->rate_count, best = first;
    for (int64_t i = first; i < first + h->rate_count; i++)
        if (scores[i].acc1 > scores[best].acc1) best = i;
    return best;
}

/* A layer's figures: those of the head that was best on `held`, or, NULL, on the samples themselves. */
static json_t *figures_of(const struct heads *h, const struct classification_scores *scores,
                          const struct classification_scores *held, int64_t index)
{
    int64_t best = best_of(h, held ? held : scores, index);
    json_t *row = json_object();
    classification_figures(row, &scores[best]);
    json_object_set_new(row, "lr", json_real(h->rates[best % h->rate_count] * h->run->settings->lr));
    if (held) json_object_set_new(row, "held_out_acc1", json_real(held[best].acc1));
    if (h->rate_count == 1) return row;
    json_t *all = json_array();
    for (int64_t i = 0; i < h->rate_count; i++) {
        int64_t head = index * h->rate_count + i;
        json_t *one = json_pack("{s:f, s:f}", "lr", h->rates[i] * h->run->settings->lr, "acc1", scores[head].acc1);
        if (held) json_object_set_new(one, "held_out_acc1", json_real(held[head].acc1));
        json_array_append_new(all, one);
    }
    json_object_set_new(row, "rates", all);
    return row;
}

static json_t *metrics_of(const struct heads *h, const struct classification_scores *scores,
                          const struct classification_scores *held)
{
    json_t **each = mem_alloc((size_t)h->chosen.count, sizeof *each);
    for (int64_t i = 0; i < h->chosen.count; i++) each[i] = figures_of(h, scores, held, i);
    json_t *metrics = layers_metrics(&h->chosen, "acc1", each);
    free(each);
    return metrics;
}

/* Rank 0: what the figures are of, beside them. */
static int write_result(const struct heads *h, json_t *metrics, struct error *error)
{
    const struct classes *c = classes_of(h);
    const char *feature = h->feature == FEATURE_TOKENS ? "tokens" : h->settings.feature;
    json_object_set_new(metrics, "feature", json_string(feature));
    if (h->rate_count > 1) json_object_set_new(metrics, "lr_chosen_on", json_string(h->settings.choose));
    class_stock_figures(metrics, &c->stock);
    if (c->held_count) json_object_set_new(metrics, "held_out_samples", json_integer(c->held_count));
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
    struct classification_scores *scores = mem_alloc((size_t)heads_of(h), sizeof *scores),
                                 *held = mem_alloc((size_t)heads_of(h), sizeof *held);
    struct examination of_held = {h, &c->train, c->labels, c->held, c->held_count, .error = error},
                       of_data = {h, &c->data, c->tests, NULL, c->data.samples, .error = error};
    int rc = c->held_count ? examine_on(&of_held, held) : 0;
    if (rc == 0) rc = examine_on(&of_data, scores);
    json_t *metrics = rc == 0 ? metrics_of(h, scores, c->held_count ? held : NULL) : NULL;
    if (rc == 0 && !result) write_row(h, metrics);
    if (rc == 0 && result && !h->run->world->rank) rc = write_result(h, metrics, error);
    if (rc == 0 && result && h->run->world->rank) json_decref(metrics);
    free(scores);
    free(held);
    return world_agree(h->run->world, rc, error);
}
