/* Labels of several data sets made one, and a kind's figures gathered. */
#include "evaluator/probe_data.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "evaluator/classification.h"
#include "evaluator/logistic.h"
#include "models/pixels.h"

#define AT(field) offsetof(struct probe_settings, field)
/* clang-format off */
const struct option probe_options[] = {
    {OPTION_STRINGS, "train-data", AT(train), "!", 0, 0, NULL, "data sets with class labels to learn from"},
    {OPTION_STRINGS, "data", AT(test), "!", 0, 0, NULL, "data sets with class labels to be tested on"},
    {OPTION_STRING, "layers", AT(layers), "last", 0, 0, NULL, "all, last, or numbers like 1,5,12; 0 is what enters the first block"},
    {OPTION_CHOICE, "feature", AT(feature), "pooled", 0, 0, "pooled|class|mean",
     "of a picture: the model's own pooling before its projection, the class token, the mean of the grid"},
    {OPTION_BOOL, "baseline", AT(baseline), "false", 0, 0, NULL, "beside the layers the same probe on 16 x 16 pixels"},
    {0}};
/* clang-format on */

/* --- opening --- */

static enum feature feature_named(const char *name)
{
    return !strcmp(name, "class") ? FEATURE_CLASS : !strcmp(name, "mean") ? FEATURE_MEAN : FEATURE_POOLED;
}

/* A sample that is in both would find itself. */
static int check_apart(const struct probe_data *d, struct error *error)
{
    const struct collection *train = &d->train_input->data, *test = &d->test_input->data;
    for (int64_t i = 0; i < train->count; i++)
        for (int64_t j = 0; j < test->count; j++)
            if (dataset_identity(&train->sets[i]) == dataset_identity(&test->sets[j]))
                return error_set(error, ERROR_USAGE, "--data %s: the same samples are in --train-data %s",
                                 test->sets[j].folder, train->sets[i].folder);
    return 0;
}

static int choose(struct probe_data *d, struct session *s, struct error *error)
{
    const struct encoder *encoder = &s->embedder.encoder;
    const struct probe_settings *c = d->settings;
    d->train_input = session_data(s, &c->train, error);
    d->test_input = d->train_input ? session_data(s, &c->test, error) : NULL;
    if (!d->test_input || check_apart(d, error) < 0 || layers_choose(&d->layers, c->layers, encoder->layers, error) < 0)
        return -1;
    for (int64_t i = 0; i < d->layers.count; i++)
        if (!encoder->columns(encoder->self, d->layers.layers[i], feature_named(c->feature)))
            return error_set(error, ERROR_USAGE, "--feature %s: layer %ld of %s has none", c->feature,
                             (long)d->layers.layers[i], s->settings->model);
    const struct collection *both[] = {&d->train_input->data, &d->test_input->data};
    return class_names_open(&d->names, both, 2, error);
}

static void open_store(struct feature_store *store, const struct probe_data *d, const struct session *s,
                       const struct encoder *encoder, const int64_t *layers, int64_t count, bool train)
{
    int64_t first, end;
    feature_store_open(store, encoder, layers, count, feature_named(d->settings->feature));
    if (!train || !d->kind.shares) return;
    logistic_share(d->train_input->data.samples, s->world, &first, &end);
    feature_store_share(store, first, end);
}

int probe_open(struct probe_data *d, struct session *s, const struct probe_settings *settings, struct probe_kind kind,
               struct error *error)
{
    const struct encoder *encoder = &s->embedder.encoder;
    *d = (struct probe_data){.settings = settings, .kind = kind};
    if (world_agree(s->world, choose(d, s, error), error) < 0) return -1;
    open_store(&d->train, d, s, encoder, d->layers.layers, d->layers.count, true);
    open_store(&d->test, d, s, encoder, d->layers.layers, d->layers.count, false);
    input_add(d->train_input, feature_store_taker(&d->train));
    input_add(d->test_input, feature_store_taker(&d->test));
    return 0;
}

void probe_close(struct probe_data *d)
{
    feature_store_close(&d->train);
    feature_store_close(&d->test);
    layers_close(&d->layers);
    class_names_close(&d->names);
}

/* Labels of the classes of all data sets. */
static int relabel(const struct probe_data *d, const struct world *world, struct feature_store *train,
                   struct feature_store *test, struct error *error)
{
    int rc = class_names_apply(&d->names, 0, train->samples, train->labels, train->held[0], error);
    if (rc == 0)
        rc =
            class_names_apply(&d->names, d->train_input->data.count, test->samples, test->labels, test->held[0], error);
    return world_agree(world, rc, error);
}

static int64_t classes_of(const struct feature_store *s)
{
    int32_t most = -1;
    for (int64_t i = 0; i < s->held[0]; i++) most = s->labels[i] > most ? s->labels[i] : most;
    return most + 1;
}

/* --- the report --- */

static int64_t *count_labels(const struct feature_store *s, const struct world *world, int64_t classes)
{
    int64_t *counts = mem_zalloc((size_t)classes + 1, sizeof *counts);
    for (int64_t i = 0; i < s->held[0]; i++) counts[s->labels[i]]++;
    for (int64_t c = 0; c < classes; c++) counts[c] = world_sum(world, counts[c]);
    return counts;
}

static int take_stock(struct probe_data *d, const struct world *world, struct class_stock *out, struct error *error)
{
    d->classes = world_max(world, classes_of(&d->train));
    int64_t in_test = world_max(world, classes_of(&d->test));
    if (in_test > d->classes) d->classes = in_test;
    int64_t *train = count_labels(&d->train, world, d->classes), *test = count_labels(&d->test, world, d->classes);
    *out = class_stock_of(train, test, d->classes);
    out->train_unlabelled = world_sum(world, d->train.unlabelled);
    out->unlabelled = world_sum(world, d->test.unlabelled);
    free(train);
    free(test);
    if (class_stock_check(out, &d->settings->train, &d->settings->test, error) < 0) return -1;
    if (!world->rank) class_stock_warn(out);
    return 0;
}

static json_t *measure(const struct probe_data *d, struct session *s, const struct feature_store *train,
                       const struct feature_store *test, int which, struct error *error)
{
    json_t *figures = json_object();
    int rc = d->kind.measure(d->kind.self, s, d->train_input->data.samples, d->classes,
                             feature_store_rows(train, which), feature_store_rows(test, which), figures, error);
    if (rc == 0) return figures;
    json_decref(figures);
    return NULL;
}

/* The probe on pixels: a pass of its own. */
static json_t *measure_pixels(struct probe_data *d, struct session *s, struct error *error)
{
    struct embedder e = s->embedder;
    struct feature_store train, test;
    e.encoder = encoder_of_pixels();
    open_store(&train, d, s, &e.encoder, (int64_t[]){0}, 1, true);
    open_store(&test, d, s, &e.encoder, (int64_t[]){0}, 1, false);
    struct taker of_train = feature_store_taker(&train), of_test = feature_store_taker(&test);
    int rc = features_pass(&e, &d->train_input->source, &of_train, 1, error);
    if (rc == 0) rc = features_pass(&e, &d->test_input->source, &of_test, 1, error);
    if (rc == 0) rc = relabel(d, s->world, &train, &test, error);
    json_t *figures = rc == 0 ? measure(d, s, &train, &test, 0, error) : NULL;
    feature_store_close(&train);
    feature_store_close(&test);
    return figures;
}

/* What the best layer has beside acc1 stands at the top as well, in its order. */
static json_t *gather(const struct probe_data *d, json_t *const *each, const struct class_stock *stock)
{
    json_t *metrics = layers_metrics(&d->layers, "acc1", each), *layer = json_object_get(metrics, "best_layer"), *row;
    size_t i;
    json_array_foreach (json_object_get(metrics, "layers"), i, row)
        if (json_equal(json_object_get(row, "layer"), layer)) json_object_update_missing(metrics, row);
    json_object_del(metrics, "layer");
    class_stock_figures(metrics, stock);
    json_object_set_new(metrics, "feature", json_string(d->settings->feature));
    return metrics;
}

int probe_report(struct probe_data *d, struct session *s, struct error *error)
{
    struct class_stock stock;
    if (relabel(d, s->world, &d->train, &d->test, error) < 0 || take_stock(d, s->world, &stock, error) < 0) return -1;
    json_t **each = mem_zalloc((size_t)d->layers.count, sizeof *each), *pixels = NULL;
    bool whole = true;
    for (int i = 0; i < d->layers.count && whole; i++) {
        whole = (each[i] = measure(d, s, &d->train, &d->test, i, error)) != NULL;
        feature_store_drop(&d->train, i);
        feature_store_drop(&d->test, i);
    }
    if (whole && d->settings->baseline) whole = (pixels = measure_pixels(d, s, error)) != NULL;
    json_t *metrics = whole ? gather(d, each, &stock) : NULL;
    for (int64_t i = 0; i < d->layers.count && !whole; i++) json_decref(each[i]);
    free(each);
    if (!whole) return -1;
    if (pixels) json_object_set_new(metrics, "pixels", pixels);
    return session_report(s, d->settings->test.items[0], d->kind.task, metrics, error);
}
