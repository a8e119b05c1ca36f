/* Examinations of heads that detect: the boxes each finds, as COCO's results, and what COCO's scoring says of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/fs.h"
#include "base/str.h"
#include "dist/stopping.h"
#include "evaluator/heads/boxes.h"
#include "evaluator/results.h"
#include "evaluator/scoring.h"

/* A box that was found, in pixels of the picture as stored. */
struct detection {
    int64_t image, rank; /* of the set; among its picture's, the best first */
    struct found_box found;
};
struct detections_list {
    struct detection *data;
    int64_t count, room;
};

struct examination {
    struct heads *h;
    struct detections_list *lists; /* [heads] */
    const struct labelled_batch *batch;
    struct lesson lesson;
    float *outputs[PYRAMID_LEVELS][3]; /* of a head: [batch, cells, classes], [.., 4], [..] */
    struct found_box *found;           /* [batch, most] */
    int64_t *counts;                   /* [batch] */
    int rc;
    struct error *error;
};

/* Batches are dealt out to ranks in turn. */
static int64_t which_examined(void *context, int64_t number, int64_t *samples, uint64_t *epochs)
{
    const struct examination *x = context;
    int64_t batch = x->h->settings.session.batch, count = boxes_of(x->h)->data.coco.d.images, n = 0;
    int64_t first = (number * x->h->run->world->size + x->h->run->world->rank) * batch;
    for (; n < batch && first + n < count; n++) {
        samples[n] = first + n;
        epochs[n] = 0;
    }
    return n;
}

/* --- a head on a batch --- */

/* What the head says, as floats in host memory. */
static void fetch(const struct examination *x, float *to, const struct tensor *from)
{
    struct device *d = &x->h->run->device;
    int64_t count = tensor_count(from);
    d->kernels->download(d, to, from->data, (size_t)count * d->kernels->real_bytes);
    if (d->kernels->real_bytes == sizeof *to) return;
    CHECK(d->kernels->real_bytes == sizeof(uint16_t), "%zu bytes an element", d->kernels->real_bytes);
    for (int64_t i = count - 1; i >= 0; i--) {
        uint16_t narrow;
        memcpy(&narrow, (const char *)to + i * (int64_t)sizeof narrow, sizeof narrow);
        uint32_t bits = (uint32_t)narrow << 16; /* bf16 */
        memcpy(&to[i], &bits, sizeof bits);
    }
}

static void take_level(void *context, int level, const struct tensor *logits, const struct tensor *distances,
                       const struct tensor *centreness)
{
    struct examination *x = context;
    if (x->h->run->device.planning) return;
    fetch(x, x->outputs[level][0], logits);
    fetch(x, x->outputs[level][1], distances);
    fetch(x, x->outputs[level][2], centreness);
}

/* Boxes of the square -> of the picture. */
static void stretch(struct found_box *found, int64_t count, struct extent picture, int64_t size)
{
    float x = (float)picture.width / (float)size, y = (float)picture.height / (float)size;
    for (int64_t i = 0; i < count; i++)
        for (int k = 0; k < 4; k++) found[i].box.edges[k] *= k % 2 ? y : x;
}

static void find_boxes(struct examination *x)
{
    const struct heads *h = x->h;
    const struct boxes *b = boxes_of(h);
    const struct found_rules *rules = &detect_settings_of(h)->rules;
    const struct extent *extents = (const void *)x->batch->targets;
#pragma omp parallel for num_threads(h->run->device.threads) schedule(dynamic)
    for (int64_t n = 0; n < x->batch->count; n++) {
        struct cell_outputs own[PYRAMID_LEVELS];
        for (int i = 0; i < PYRAMID_LEVELS; i++) {
            int64_t first = n * extent_area(b->levels[i].grid);
            own[i] = (struct cell_outputs){x->outputs[i][0] + first * h->outputs, x->outputs[i][1] + 4 * first,
                                           x->outputs[i][2] + first};
        }
        struct found_box *found = x->found + n * rules->most;
        x->counts[n] = cells_find(b->levels, extent_square(b->size), own, h->outputs, rules, found);
        stretch(found, x->counts[n], extents[n], b->size);
    }
}

/* The boxes of all pictures of the batch, behind those that are there. */
static void keep_boxes(struct examination *x, struct detections_list *list)
{
    int64_t most = detect_settings_of(x->h)->rules.most;
    for (int64_t n = 0; n < x->batch->count; n++) {
        if (x->counts[n] < 0 && x->rc == 0)
            x->rc = error_set(x->error, ERROR_FAILED,
                              "picture %s: what a head says of it is not finite: the encoder's weights are damaged, or "
                              "--lr is too high",
                              boxes_of(x->h)->data.files[x->batch->samples[n]]);
        for (int64_t i = 0; i < x->counts[n]; i++) {
            if (list->count == list->room)
                list->data = mem_realloc(list->data, (size_t)(list->room = 2 * list->room + 1024), sizeof *list->data);
            list->data[list->count++] = (struct detection){x->batch->samples[n], i, x->found[n * most + i]};
        }
    }
}

static void look(void *context, int64_t index, struct tensor *features)
{
    struct examination *x = context;
    struct heads *h = x->h;
    struct tape *t = &h->run->tape;
    const struct head *head = &h->layers[index].heads[0];
    struct fcos shape = boxes_shape(h, head->width);
    struct tensor *p[BOXES_TENSORS];
    int64_t pictures = x->lesson.pictures.samples;
    boxes_tensors(head, p);
    tape_reset(t);
    t->recording = false;
    fcos_predict(t, &shape, p, features, pictures, take_level, x);
    if (h->run->device.planning) return;
    find_boxes(x);
    keep_boxes(x, &x->lists[index]);
}

/* --- all pictures --- */

static int examine_batch(struct examination *x, struct labelled *feed)
{
    double waited = 0;
    x->batch = labelled_next(feed, &waited, x->error);
    if (!x->batch) return -1;
    struct pictures p = boxes_pictures(x->h, x->batch);
    heads_forget(x->h);
    x->lesson = heads_bring(x->h, 0, &p, NULL);
    heads_look(x->h, &x->lesson, true, look, x);
    return x->rc;
}

/* On a GPU: a dry run, which finds the fastest products for such a batch. */
static void plan(struct examination *x)
{
    struct device *d = &x->h->run->device;
    int64_t rows = x->h->settings.session.batch;
    if (!d->kernels->reserve) return;
    struct pictures p = {.count = rows, .size = extent_square(x->h->encoder.size), .samples = rows};
    d->planning = true;
    heads_forget(x->h);
    x->lesson = heads_bring(x->h, 0, &p, NULL);
    heads_look(x->h, &x->lesson, true, look, x);
    d->planning = false;
}

static void open_examination(struct examination *x)
{
    const struct heads *h = x->h;
    const struct boxes *b = boxes_of(h);
    const int64_t cols[3] = {h->outputs, 4, 1};
    int64_t batch = h->settings.session.batch;
    x->lists = mem_zalloc((size_t)h->chosen.count, sizeof *x->lists);
    x->found = mem_alloc((size_t)(batch * detect_settings_of(h)->rules.most), sizeof *x->found);
    x->counts = mem_alloc((size_t)batch, sizeof *x->counts);
    for (int i = 0; i < PYRAMID_LEVELS; i++)
        for (int k = 0; k < 3; k++)
            x->outputs[i][k] =
                mem_alloc((size_t)(batch * extent_area(b->levels[i].grid) * cols[k]), sizeof *x->outputs[i][k]);
}

static void close_examination(struct examination *x)
{
    for (int64_t i = 0; i < x->h->chosen.count; i++) free(x->lists[i].data);
    for (int i = 0; i < PYRAMID_LEVELS; i++)
        for (int k = 0; k < 3; k++) free(x->outputs[i][k]);
    free(x->lists);
    free(x->found);
    free(x->counts);
}

/* (all) Every head on every picture: each rank's boxes of its own. */
static int find_all(struct examination *x)
{
    struct heads *h = x->h;
    const struct world *w = h->run->world;
    int64_t batch = h->settings.session.batch, count = boxes_of(h)->data.coco.d.images,
            batches = (count + batch - 1) / batch;
    struct labelled_config config = boxes_feed(h);
    config.maker.make = boxes_make_examined;
    config.maker.target_bytes = sizeof(struct extent);
    config.rows = batch;
    config.end = (batches - w->rank + w->size - 1) / w->size;
    config.which = which_examined;
    config.context = x;
    plan(x);
    struct labelled *feed = labelled_open(&config);
    struct progress progress = progress_open("examined", count, w->rank > 0);
    int rc = 0;
    for (int64_t n = 0; n * w->size < batches && rc == 0; n++) {
        rc = stopping_alone("run it again with --resume latest to go on", x->error);
        if (rc == 0 && n < config.end) rc = examine_batch(x, feed);
        rc = world_agree(w, rc, x->error);
        progress_show(&progress, (n + 1) * w->size * batch < count ? (n + 1) * w->size * batch : count, "");
    }
    labelled_close(feed);
    return rc;
}

/* --- results --- */

static int by_image(const void *a, const void *b)
{
    const struct detection *x = a, *y = b;
    if (x->image != y->image) return (x->image > y->image) - (x->image < y->image);
    return (x->rank > y->rank) - (x->rank < y->rank);
}

/* (all) All ranks' boxes, picture after picture, the same list on any number of ranks. */
static void gather(const struct world *w, struct detections_list *list)
{
    int64_t most = world_max(w, list->count), *counts = mem_alloc((size_t)w->size, sizeof *counts), total = 0;
    if (w->size == 1 || !most) {
        free(counts);
        return;
    }
    size_t room = (size_t)most * sizeof *list->data;
    list->data = mem_realloc(list->data, (size_t)most, sizeof *list->data);
    memset(list->data + list->count, 0, room - (size_t)list->count * sizeof *list->data);
    struct detection *all = mem_alloc((size_t)w->size, room);
    world_gather_all(w, &list->count, sizeof list->count, counts);
    world_gather_all(w, list->data, room, all);
    for (int rank = 0; rank < w->size; rank++) {
        memmove(all + total, all + rank * most, (size_t)counts[rank] * sizeof *all);
        total += counts[rank];
    }
    free(list->data);
    *list = (struct detections_list){all, total, total};
    free(counts);
}

/* COCO's results. */
static int write_results(const struct boxes *b, struct detections_list *list, const char *path, struct error *error)
{
    struct str out = {0};
    if (list->count) qsort(list->data, (size_t)list->count, sizeof *list->data, by_image);
    str_puts(&out, "[");
    for (int64_t i = 0; i < list->count; i++) {
        const struct detection *d = &list->data[i];
        const float *e = d->found.box.edges;
        str_printf(
            &out, "%s\n{\"image_id\": %ld, \"category_id\": %ld, \"bbox\": [%.9g, %.9g, %.9g, %.9g], \"score\": %.9g}",
            i ? "," : "", (long)b->data.coco.images[d->image].id, (long)b->train.coco.categories[d->found.box.class].id,
            (double)e[0], (double)e[1], (double)(e[2] - e[0]), (double)(e[3] - e[1]), (double)d->found.score);
    }
    str_puts(&out, "\n]\n");
    int rc = fs_write(path, out.data, out.len, error);
    str_free(&out);
    return rc;
}

/* (rank 0) Where the boxes of a layer go: into the run's folder. */
static char *layer_path(const struct heads *h, int64_t index)
{
    struct str out = {0};
    str_printf(&out, "%s/boxes-layer-%ld.json", h->run->folder.path, (long)h->chosen.layers[index]);
    return str_steal(&out);
}

/* (rank 0) Figures of each layer [chosen.count]. */
static int score_layers(struct examination *x, json_t **each)
{
    const struct heads *h = x->h;
    int rc = 0;
    for (int64_t i = 0; i < h->chosen.count && rc == 0; i++) {
        char *path = layer_path(h, i);
        rc = write_results(boxes_of(h), &x->lists[i], path, x->error);
        struct scoring scoring = {"coco-box", "", boxes_of(h)->data.path, path};
        if (rc == 0) rc = scoring_run(&scoring, &each[i], NULL, x->error);
        free(path);
    }
    return rc;
}

/* The best layer's other figures, beside its AP. */
static void lift(json_t *metrics)
{
    const json_t *best = json_object_get(metrics, "best_layer");
    const char *key;
    json_t *layer, *value;
    size_t i;
    json_array_foreach (json_object_get(metrics, "layers"), i, layer) {
        if (!json_equal(json_object_get(layer, "layer"), best)) continue;
        json_object_foreach (layer, key, value)
            if (strcmp(key, "layer") && !json_object_get(metrics, key)) json_object_set(metrics, key, value);
    }
}

static int copy_predictions(const struct heads *h, const json_t *metrics, struct error *error)
{
    const char *to = detect_settings_of(h)->predictions;
    int64_t best = json_integer_value(json_object_get(metrics, "best_layer")), index = 0;
    char *bytes;
    size_t len;
    if (!to) return 0;
    while (h->chosen.layers[index] != best) index++;
    char *from = layer_path(h, index);
    int rc = fs_read(from, &bytes, &len, error);
    if (rc == 0) {
        rc = fs_write(to, bytes, len, error);
        free(bytes);
    }
    free(from);
    return rc;
}

static int write_result(const struct heads *h, json_t *metrics, struct error *error)
{
    const struct boxes *b = boxes_of(h);
    int rc = copy_predictions(h, metrics, error);
    lift(metrics);
    json_object_set_new(metrics, "categories", json_integer(b->train.coco.d.categories));
    json_object_set_new(metrics, "train_samples", json_integer(b->taught_count));
    if (b->left_out) json_object_set_new(metrics, "train_without_boxes", json_integer(b->left_out));
    if (b->crowds) json_object_set_new(metrics, "train_crowds", json_integer(b->crowds));
    json_object_set_new(metrics, "image_size", json_integer(h->encoder.size));
    if (detect_settings_of(h)->predictions) { /* pe-evaluator report shows them */
        json_object_set_new(metrics, "predictions", json_text(detect_settings_of(h)->predictions));
        json_object_set_new(metrics, "images", json_text(b->data.folder));
        json_object_set_new(metrics, "truth", json_text(b->data.path));
    }
    struct results_head head = {h->settings.data.items[0], h->towers.config.name, h->settings.session.weights,
                                h->kind->task};
    if (rc == 0) rc = results_write(h->settings.session.output, &head, json_incref(metrics), error);
    return rc;
}

/* A row of metrics.jsonl: of each layer its AP. */
static void write_row(const struct heads *h, const json_t *metrics)
{
    json_t *row = json_object(), *layer;
    size_t i;
    json_array_foreach (json_object_get(metrics, "layers"), i, layer) {
        char key[64];
        snprintf(key, sizeof key, "AP_layer_%ld", (long)json_integer_value(json_object_get(layer, "layer")));
        json_object_set(row, key, json_object_get(layer, "AP"));
    }
    log_info("Eval Step: %ld AP: %.4f (layer %ld of the best)", (long)h->run->step,
             json_real_value(json_object_get(metrics, "AP")),
             (long)json_integer_value(json_object_get(metrics, "best_layer")));
    training_row(h->run, "val", h->run->step, row);
}

static int report(struct examination *x, bool result)
{
    const struct heads *h = x->h;
    json_t **each = mem_zalloc((size_t)h->chosen.count, sizeof *each);
    int rc = score_layers(x, each);
    for (int64_t i = 0; rc < 0 && i < h->chosen.count; i++) json_decref(each[i]);
    json_t *metrics = rc == 0 ? layers_metrics(&h->chosen, "AP", each) : NULL;
    if (rc == 0 && result)
        rc = write_result(h, metrics, x->error);
    else if (rc == 0)
        write_row(h, metrics);
    json_decref(metrics);
    free(each);
    return rc;
}

int boxes_examine(struct heads *h, bool result, struct error *error)
{
    const struct world *w = h->run->world;
    struct examination x = {.h = h, .error = error};
    open_examination(&x);
    int rc = find_all(&x);
    for (int64_t i = 0; i < h->chosen.count && rc == 0; i++) gather(w, &x.lists[i]);
    if (rc == 0) rc = world_agree(w, w->rank ? 0 : report(&x, result), error);
    close_examination(&x);
    return rc;
}
