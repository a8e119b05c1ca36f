/* Examinations of heads over pixels: views through the encoder, what each head gives for them, figures. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/str.h"
#include "dist/share.h"
#include "dist/stopping.h"
#include "evaluator/heads/dense.h"
#include "evaluator/results.h"

int dense_each_taught(struct heads *h, int (*work)(void *context, const struct dense_pair *pair, struct error *error),
                      void *context, struct error *error)
{
    const struct dense *x = dense_of(h);
    const struct world *w = h->run->world;
    int64_t count = x->taught_count < h->settings.norm_samples ? x->taught_count : h->settings.norm_samples;
    int rc = 0;
    for (int64_t i = share_first(count, w->size, w->rank); i < share_first(count, w->size, w->rank + 1) && rc == 0; i++)
        rc = work(context, &x->train.list[x->taught[i]], error);
    return world_agree(w, rc, error);
}

/* --- a pass --- */

struct examination {
    struct heads *h;
    const struct dense_set *set;
    const int64_t *chosen; /* samples, or NULL: all */
    int64_t count;
    int64_t written; /* the head whose maps are written in place of figures; -1: none */
    const char *folder;
    const struct labelled_batch *batch;
    struct lesson lesson;
    int64_t first;   /* of the views under way */
    float *outputs;  /* [heads, views of the batch, cells, columns] */
    size_t room;     /* floats of it */
    int64_t columns; /* of a cell, of which a view has `grid` */
    struct extent grid;
    struct error *error;
};

static int64_t head_count(const struct heads *h)
{
    return h->chosen.count * h->rate_count;
}

/* Batches are dealt out to ranks in turn. */
static int64_t which_examined(void *context, int64_t number, int64_t *samples, uint64_t *epochs)
{
    const struct examination *e = context;
    int64_t batch = e->h->settings.session.batch, n = 0;
    int64_t first = (number * e->h->run->world->size + e->h->run->world->rank) * batch;
    for (; n < batch && first + n < e->count; n++) {
        samples[n] = e->chosen ? e->chosen[first + n] : first + n;
        epochs[n] = 0;
    }
    return n;
}

/* An output as floats. */
static void download(struct device *d, float *to, const struct tensor *out)
{
    size_t count = (size_t)tensor_count(out);
    bool narrow = !out->wide && d->kernels->real_bytes == 2;
    uint16_t *halves = narrow ? mem_alloc(count, sizeof *halves) : NULL;
    d->kernels->download(d, narrow ? (void *)halves : to, out->data, count * (narrow ? 2 : sizeof *to));
    for (size_t i = 0; narrow && i < count; i++) {
        uint32_t bits = (uint32_t)halves[i] << 16; /* bfloat16 is the upper half of a float */
        memcpy(&to[i], &bits, sizeof bits);
    }
    free(halves);
}

/* What a head gives for the views of the lesson. */
static void collect(void *context, int64_t index, struct tensor *features)
{
    struct examination *e = context;
    struct heads *h = e->h;
    struct training *run = h->run;
    for (int64_t i = 0; i < h->rate_count; i++) {
        int64_t head = index * h->rate_count + i, views = e->lesson.pictures.count;
        if (e->written >= 0 && head != e->written) continue;
        tape_reset(&run->tape);
        run->tape.recording = false;
        struct tensor *out = h->kind->output(h, &run->tape, &h->layers[index].heads[i], features, &e->lesson);
        if (run->device.planning) continue;
        int64_t side = llround(sqrt((double)out->rows / (double)views)), each = side * side * out->cols;
        size_t need = (size_t)(head_count(h) * e->batch->pictures * each);
        if (need > e->room) e->outputs = mem_realloc(e->outputs, e->room = need, sizeof *e->outputs);
        e->columns = out->cols;
        e->grid = extent_square(side);
        download(&run->device, e->outputs + (head * e->batch->pictures + e->first) * each, out);
    }
}

/* The views of the batch, so many at a time. */
static void pass(struct examination *e)
{
    int64_t size = e->h->encoder.size, most = e->h->settings.session.batch;
    for (e->first = 0; e->first < e->batch->pictures; e->first += most) {
        int64_t n = e->batch->pictures - e->first < most ? e->batch->pictures - e->first : most;
        struct pictures p = {.pixels = e->batch->pixels + e->first * size * size * 3,
                             .count = n,
                             .samples = n,
                             .size = extent_square(size)};
        heads_forget(e->h);
        e->lesson = heads_bring(e->h, 0, &p, NULL);
        heads_look(e->h, &e->lesson, true, collect, e);
    }
}

/* A picture of the batch: every head's map, or the one that is written. */
static int judge(struct examination *e, int64_t number, int64_t row, struct error *error)
{
    struct dense *x = dense_of(e->h);
    const struct world *w = e->h->run->world;
    const struct dense_pair *pair = &e->set->list[e->batch->samples[row]];
    int64_t each = extent_area(e->grid) * e->columns;
    int64_t place = (number * w->size + w->rank) * e->h->settings.session.batch + row;
    struct dense_output *outputs = mem_zalloc((size_t)head_count(e->h) + 1, sizeof *outputs);
    for (int64_t head = 0; head < head_count(e->h); head++)
        outputs[head] = (struct dense_output){e->outputs + (head * e->batch->pictures + e->batch->starts[row]) * each,
                                              dense_views_of(x, pair->size), e->grid, e->columns};
    int rc = e->written < 0 ? x->task->judge(x, place, pair, outputs, error)
                            : x->task->write(x, pair, &outputs[e->written], e->folder, error);
    free(outputs);
    return rc;
}

static int examine_batch(struct examination *e, struct labelled *feed, int64_t number)
{
    double waited = 0;
    e->batch = labelled_next(feed, &waited, e->error);
    if (!e->batch) return -1;
    pass(e);
    int64_t failed = e->batch->count;
    struct error why = {0};
#pragma omp parallel for schedule(dynamic) num_threads(e->h->run->device.threads)
    for (int64_t row = 0; row < e->batch->count; row++) {
        struct error own = {0};
        if (judge(e, number, row, &own) == 0) continue;
#pragma omp critical(dense_examine)
        if (row < failed) {
            failed = row;
            why = own;
        }
    }
    return failed < e->batch->count ? error_set(e->error, why.code, "%s", why.text) : 0;
}

/* On a GPU: a dry run, which finds the fastest products for such a batch. */
static void plan(struct examination *e)
{
    struct device *d = &e->h->run->device;
    int64_t n = e->h->settings.session.batch;
    if (!d->kernels->reserve) return;
    struct pictures p = {.count = n, .samples = n, .size = extent_square(e->h->encoder.size)};
    d->planning = true;
    heads_forget(e->h);
    e->lesson = heads_bring(e->h, 0, &p, NULL);
    heads_look(e->h, &e->lesson, true, collect, e);
    d->planning = false;
}

static struct labelled *open_feed(struct examination *e, int64_t batches)
{
    enum { AHEAD = 2 };
    const struct heads *h = e->h;
    struct dense *x = dense_of(h);
    int64_t room = 1, rank = h->run->world->rank, size = h->run->world->size;
    for (int64_t i = 0; i < e->set->count; i++) {
        struct dense_views v = dense_views_of(x, e->set->list[i].size);
        if (v.rows * v.columns > room) room = v.rows * v.columns;
    }
    x->viewed = e->set;
    struct labelled_config config = {.maker = {room, 0, dense_make_views, x},
                                     .device = &e->h->run->device,
                                     .rows = h->settings.session.batch,
                                     .end = (batches - rank + size - 1) / size,
                                     .size = (int)x->size,
                                     .threads = (int)h->settings.train.workers,
                                     .ahead = AHEAD,
                                     .keep = 2,
                                     .which = which_examined,
                                     .context = e};
    return labelled_open(&config);
}

/* (all) Batches of all ranks. */
static int run(struct examination *e)
{
    const struct world *w = e->h->run->world;
    int64_t batch = e->h->settings.session.batch, batches = (e->count + batch - 1) / batch;
    struct labelled *feed = open_feed(e, batches);
    struct progress progress =
        progress_open(e->written < 0 ? "examined" : "maps written", e->count, e->h->run->world->rank > 0);
    int rc = 0;
    plan(e);
    for (int64_t n = 0; n * w->size < batches && rc == 0; n++) {
        rc = stopping_alone("run it again with --resume latest to go on", e->error);
        if (rc == 0 && n * w->size + w->rank < batches) rc = examine_batch(e, feed, n);
        rc = world_agree(w, rc, e->error);
        progress_show(&progress, (n + 1) * w->size * batch < e->count ? (n + 1) * w->size * batch : e->count, "");
    }
    labelled_close(feed);
    free(e->outputs);
    return rc;
}

/* (all) Tallies of every head on samples of a set, those of `chosen` [count], or all; with the prior as one more. */
static int examine_on(struct heads *h, const struct dense_set *set, const int64_t *chosen, int64_t count, bool prior,
                      struct error *error)
{
    struct dense *x = dense_of(h);
    struct examination e = {.h = h, .set = set, .chosen = chosen, .count = count, .written = -1, .error = error};
    x->heads = head_count(h) + prior;
    x->pictures = count;
    x->task->open(x);
    int rc = run(&e);
    if (rc == 0) x->task->sum(x, h->run->world);
    return rc;
}

/* --- figures --- */

static double headline(const struct dense *x, const json_t *figures)
{
    return json_real_value(json_object_get(figures, x->task->headline));
}

/* The figures of all heads, new references; the caller frees the list. */
static json_t **take_figures(struct dense *x)
{
    json_t **list = mem_alloc((size_t)x->heads, sizeof *list);
    for (int64_t i = 0; i < x->heads; i++) list[i] = x->task->figures(x, i);
    x->task->close(x);
    return list;
}

/* Of the heads of a layer: of equal ones the first. */
static int64_t best_of(const struct heads *h, json_t *const *figures, int64_t index)
{
    int64_t first = index * h->rate_count, best = first;
    for (int64_t i = first; i < first + h->rate_count; i++)
        if (headline(dense_of(h), figures[i]) > headline(dense_of(h), figures[best])) best = i;
    return best;
}

/* A layer's figures: those of the head that was best on `choice`. */
static json_t *figures_of(const struct heads *h, json_t *const *figures, json_t *const *held, int64_t index)
{
    const struct dense *x = dense_of(h);
    int64_t best = best_of(h, held ? held : figures, index);
    struct str key = {0};
    json_t *row = json_copy(figures[best]), *all = json_array();
    str_printf(&key, "held_out_%s", x->task->headline);
    json_object_set_new(row, "lr", json_real(h->rates[best % h->rate_count] * h->run->settings->lr));
    if (held) json_object_set_new(row, key.data, json_real(headline(x, held[best])));
    for (int64_t i = index * h->rate_count; i < (index + 1) * h->rate_count; i++) {
        json_t *one = json_pack("{s:f, s:f}", "lr", h->rates[i % h->rate_count] * h->run->settings->lr,
                                x->task->headline, headline(x, figures[i]));
        if (held) json_object_set_new(one, key.data, json_real(headline(x, held[i])));
        json_array_append_new(all, one);
    }
    if (h->rate_count > 1) json_object_set(row, "rates", all);
    json_decref(all);
    str_free(&key);
    return row;
}

static json_t *metrics_of(const struct heads *h, json_t *const *figures, json_t *const *held)
{
    json_t **each = mem_alloc((size_t)h->chosen.count, sizeof *each);
    for (int64_t i = 0; i < h->chosen.count; i++) each[i] = figures_of(h, figures, held, i);
    json_t *metrics = layers_metrics(&h->chosen, dense_of(h)->task->headline, each);
    free(each);
    return metrics;
}

/* Of the best layer beside the headline, for who reads the terminal. */
static void add_best(json_t *metrics)
{
    const char *key;
    json_t *layer, *value, *best = json_object_get(metrics, "best_layer");
    size_t i;
    json_array_foreach (json_object_get(metrics, "layers"), i, layer) {
        if (!json_equal(json_object_get(layer, "layer"), best)) continue;
        json_object_foreach (layer, key, value)
            if (json_is_real(value) && strcmp(key, "lr")) json_object_set(metrics, key, value);
    }
}

/* The folder that all these files lie in: the caller frees; NULL: there are several. */
static char *folder_of(char *const *paths, int64_t count)
{
    size_t len = (size_t)(strrchr(paths[0], '/') - paths[0]);
    for (int64_t i = 1; i < count; i++)
        if (strncmp(paths[i], paths[0], len + 1) || strchr(paths[i] + len + 1, '/')) return NULL;
    return strndup(paths[0], len);
}

/* Where the maps lie, and the pictures and the truth they go with: pe-evaluator report shows them. */
static void add_files(const struct dense *x, json_t *metrics)
{
    int64_t count = x->data.count;
    char **maps = mem_alloc(3 * (size_t)count, sizeof *maps), **pictures = maps + count, **truths = pictures + count;
    for (int64_t i = 0; i < count; i++) {
        maps[i] = fs_join(x->settings->predictions, x->data.list[i].name);
        pictures[i] = x->data.list[i].picture;
        truths[i] = x->data.list[i].truth;
    }
    char *predictions = folder_of(maps, count), *images = folder_of(pictures, count), *truth = folder_of(truths, count);
    json_object_set_new(metrics, "predictions", json_text(predictions ? predictions : x->settings->predictions));
    if (predictions && images && truth) {
        json_object_set_new(metrics, "images", json_text(images));
        json_object_set_new(metrics, "truth", json_text(truth));
        x->task->describe(x, metrics);
    }
    for (int64_t i = 0; i < count; i++) free(maps[i]);
    free(maps);
    free(predictions);
    free(images);
    free(truth);
}

/* Rank 0: what the figures are of, beside them. */
static int write_result(const struct heads *h, json_t *metrics, json_t *prior, struct error *error)
{
    const struct dense *x = dense_of(h);
    add_best(metrics);
    if (h->rate_count > 1) json_object_set_new(metrics, "lr_chosen_on", json_string(h->settings.choose));
    json_object_set_new(metrics, "chance", json_real(headline(x, prior)));
    json_object_set_new(metrics, "chance_name", json_string(x->task->chance_name));
    json_object_set(metrics, "chance_figures", prior);
    json_object_set_new(metrics, "samples", json_integer(x->data.count));
    json_object_set_new(metrics, "train_samples", json_integer(x->taught_count));
    if (x->held_count) json_object_set_new(metrics, "held_out_samples", json_integer(x->held_count));
    if (x->settings->predictions) add_files(x, metrics);
    struct results_head head = {h->settings.data.items[0], h->towers.config.name, h->settings.session.weights,
                                h->kind->task};
    return results_write(h->settings.session.output, &head, metrics, error);
}

/* A row of metrics.jsonl: of each layer its headline. */
static void write_row(const struct heads *h, json_t *metrics)
{
    const char *key = dense_of(h)->task->headline;
    json_t *row = json_object(), *layer;
    size_t i;
    json_array_foreach (json_object_get(metrics, "layers"), i, layer) {
        char name[64];
        snprintf(name, sizeof name, "%s_layer_%ld", key, (long)json_integer_value(json_object_get(layer, "layer")));
        json_object_set(row, name, json_object_get(layer, key));
    }
    log_info("Eval Step: %ld %s: %.4f (layer %ld of the best)", (long)h->run->step, key,
             json_real_value(json_object_get(metrics, key)),
             (long)json_integer_value(json_object_get(metrics, "best_layer")));
    training_row(h->run, "val", h->run->step, row);
    json_decref(metrics);
}

/* Rank 0: folders of all maps. */
static int make_folders(const struct dense *x, struct error *error)
{
    int rc = 0;
    for (int64_t i = 0; i < x->data.count && rc == 0; i++) {
        char *path = fs_join(x->settings->predictions, x->data.list[i].name), *slash = strrchr(path, '/');
        *slash = 0;
        if (i == 0 || !fs_is_folder(path)) rc = fs_make_folders(path, error);
        free(path);
    }
    return rc;
}

/* (all) The maps of one head. */
static int write_maps(struct heads *h, int64_t head, struct error *error)
{
    struct dense *x = dense_of(h);
    struct examination e = {.h = h,
                            .set = &x->data,
                            .count = x->data.count,
                            .written = head,
                            .folder = x->settings->predictions,
                            .error = error};
    if (world_agree(h->run->world, h->run->world->rank ? 0 : make_folders(x, error), error) < 0) return -1;
    return run(&e);
}

/* The best layer's head that its figures are of. */
static int64_t best_head(const struct heads *h, json_t *const *figures, json_t *const *held)
{
    int64_t best = best_of(h, held ? held : figures, 0);
    for (int64_t i = 1; i < h->chosen.count; i++) {
        int64_t head = best_of(h, held ? held : figures, i);
        if (headline(dense_of(h), figures[head]) > headline(dense_of(h), figures[best])) best = head;
    }
    return best;
}

static void drop(json_t **list, int64_t count)
{
    for (int64_t i = 0; list && i < count; i++) json_decref(list[i]);
    free(list);
}

int dense_examine(struct heads *h, bool result, struct error *error)
{
    struct dense *x = dense_of(h);
    json_t **held = NULL, **figures = NULL;
    int64_t heads = head_count(h);
    int rc = result ? x->task->prior(h, error) : 0;
    if (rc == 0 && x->held_count) {
        rc = examine_on(h, &x->train, x->held, x->held_count, false, error);
        held = take_figures(x);
    }
    if (rc == 0) {
        rc = examine_on(h, &x->data, NULL, x->data.count, result, error);
        figures = take_figures(x);
    }
    if (rc == 0 && result && x->settings->predictions) rc = write_maps(h, best_head(h, figures, held), error);
    if (rc == 0 && !result) write_row(h, metrics_of(h, figures, held));
    if (rc == 0 && result && !h->run->world->rank)
        rc = write_result(h, metrics_of(h, figures, held), figures[heads], error);
    drop(held, heads);
    drop(figures, heads + result);
    return world_agree(h->run->world, rc, error);
}
