/* The objective of heads: options, encoder, layers, checkpoints. */
#include "evaluator/heads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/fs.h"
#include "base/str.h"
#include "checkpoint/safetensors.h"

#define AT(field) offsetof(struct heads_settings, field)
/* clang-format off */
const struct option heads_base_options[] = {
    {OPTION_GROUP, "encoder", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_TABLE, .offset = AT(session), .table = session_model_options},
    {OPTION_STRING, "layers", AT(layers), "all", 0, 0, NULL, "all, last, or 1,5,12; 0: what enters the first block", OPTION_IDENTITY},
    {OPTION_CHOICE, "norm", AT(norm), "data", 0, 0, "data|none", "features made standard column by column, by mean and deviation measured once on training data; or as they are", OPTION_IDENTITY},
    {OPTION_INT, "norm-samples", AT(norm_samples), "4096", 1, 1e9, NULL, "samples to measure them on, in whole batches", OPTION_IDENTITY},
    {OPTION_GROUP, "data", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_TABLE, .offset = AT(train), .table = data_options},
    {OPTION_STRINGS, "data", AT(data), "!", 0, 0, NULL, "data sets to be examined on"},
    {OPTION_INT, "batch-size", AT(session.batch), "64", 1, 65536, NULL, "samples at a time in examinations"},
    {OPTION_INT, "val-every-n-steps", AT(examine_steps), "0", 0, 1e12, NULL, "examine every N steps too; 0: at the end only"},
    {OPTION_STRING, "output", AT(session.output), "!", 0, 0, NULL, "file to write; the run's folder lies beside it (results.json: results.run), unless --name is given", OPTION_WRITTEN},
    {OPTION_GROUP, "learning rates", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_STRING, "lr-grid", AT(rates), "1", 0, 0, NULL, "factors of --lr, comma-separated: each layer has a head of each, and reports the best", OPTION_IDENTITY},
    {OPTION_INT, "lr-batch", AT(rate_batch), "0", 0, 1e9, NULL, "rates are those for batches of N, and grow with the batch; 0: rates as they are", OPTION_IDENTITY},
    {OPTION_CHOICE, "choose-on", AT(choose), "held-out", 0, 0, "held-out|test", "what the best rate is chosen on: a part of the training data, or, as DINOv2 does, --data itself", OPTION_IDENTITY},
    {OPTION_REAL, "held-out", AT(held_out), "0.1", 0, 0.9, NULL, "that part, where there is a choice; it is not learned from", OPTION_IDENTITY},
    {0}};
const struct option heads_options[] = {
    {OPTION_TABLE, .offset = 0, .table = heads_base_options},
    {OPTION_GROUP, "labelled pictures", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_CHOICE, "feature", AT(feature), "pooled", 0, 0, "pooled|class|mean", "what stands for a picture: the model's own pooling without its projection, the class token, or the mean of the grid", OPTION_IDENTITY},
    {OPTION_TABLE, .offset = AT(augment), .table = augment_options},
    {OPTION_DEFAULT, "aug-brightness", .fallback = "0"},
    {OPTION_DEFAULT, "aug-saturation", .fallback = "0"},
    {0}};
/* clang-format on */

/* A training run's objective, and which heads it has. */
struct heads_program {
    struct objective objective; /* first */
    const struct head_kind *kind;
};

/* --- opening --- */

enum feature heads_feature(const struct heads *h)
{
    const char *name = h->settings.feature;
    return !strcmp(name, "class") ? FEATURE_CLASS : !strcmp(name, "mean") ? FEATURE_MEAN : FEATURE_POOLED;
}

static int parse_rates(struct heads *h, struct error *error)
{
    const char *text = h->settings.rates;
    double batch = (double)h->run->settings->global_batch, per = (double)h->settings.rate_batch;
    for (const char *at = text; *at;) {
        char *end;
        double rate = strtod(at, &end);
        if (end == at || (*end && *end != ',') || !(rate > 0 && rate < 1e6))
            return error_set(error, ERROR_USAGE, "--lr-grid %s: give positive numbers like 1e-3,1e-2", text);
        h->rates = mem_realloc(h->rates, (size_t)h->rate_count + 1, sizeof *h->rates);
        h->rates[h->rate_count++] = per > 0 ? rate * batch / per : rate;
        at = *end ? end + 1 : end;
    }
    return h->rate_count ? 0 : error_set(error, ERROR_USAGE, "--lr-grid: no rates");
}

void heads_add(struct heads *h, struct head *head, const char *prefix, const char *name, int ndim, const int64_t *shape)
{
    struct str full = {0};
    str_printf(&full, "%s.%s", prefix, name);
    head->parameters = mem_realloc(head->parameters, (size_t)head->count + 1, sizeof *head->parameters);
    parameters_add(&h->parameters, full.data, ndim, shape);
    struct parameter *added = head->parameters[head->count++] = h->parameters.list[h->parameters.count - 1];
    added->rate = (float)head->rate;
    str_free(&full);
}

/* Mean or scale of a layer's columns: never learned. */
static struct parameter *add_frozen(struct heads *h, const char *prefix, const char *name, int64_t width)
{
    struct head none = {.rate = 1};
    heads_add(h, &none, prefix, name, 1, &width);
    struct parameter *added = *none.parameters;
    parameter_freeze(added, true);
    free(none.parameters);
    return added;
}

static void add_layer(struct heads *h, struct heads_layer *l)
{
    char prefix[64];
    snprintf(prefix, sizeof prefix, "layers.%ld", (long)l->layer);
    if (strcmp(h->settings.norm, "none")) {
        l->mean = add_frozen(h, prefix, "mean", l->width);
        l->scale = add_frozen(h, prefix, "scale", l->width);
    }
    if (!strcmp(h->settings.norm, "batch")) {
        l->running_mean = add_frozen(h, prefix, "running_mean", l->width);
        l->running_variance = add_frozen(h, prefix, "running_variance", l->width);
    }
    l->heads = mem_zalloc((size_t)h->rate_count, sizeof *l->heads);
    for (int64_t i = 0; i < h->rate_count; i++) {
        l->heads[i] = (struct head){.rate = h->rates[i], .width = l->width};
        snprintf(prefix, sizeof prefix, "layers.%ld.rates.%ld", (long)l->layer, (long)i);
        h->kind->add(h, &l->heads[i], prefix);
    }
}

static int open_layers(struct heads *h, struct error *error)
{
    const struct encoder *e = &h->encoder;
    h->feature = h->kind->feature(h);
    if (layers_choose(&h->chosen, h->settings.layers, e->layers, error) < 0) return -1;
    h->layers = mem_zalloc((size_t)h->chosen.count, sizeof *h->layers);
    h->wanted = mem_zalloc((size_t)e->layers + 1, sizeof *h->wanted);
    for (int64_t i = 0; i < h->chosen.count; i++) {
        struct heads_layer *l = &h->layers[i];
        l->layer = h->chosen.layers[i];
        l->width = e->columns(e->self, l->layer, h->feature);
        h->wanted[l->layer] = true;
        if (!l->width)
            return error_set(error, ERROR_USAGE, "--feature %s: %s has none; take another", h->settings.feature,
                             h->settings.session.model);
        if (h->kind->check && h->kind->check(h, l->width, error) < 0) return -1;
    }
    return 0;
}

/* Rank 0: what the options do not say of the run. */
static void identify(const struct heads *h)
{
    const struct parameters *p = &h->towers.parameters;
    uint64_t sum = 0;
    for (int64_t i = 0; i < p->count; i++)
        if (str_starts_with(p->list[i]->name, "visual."))
            sum = XXH3_64bits_withSeed(p->list[i]->values, (size_t)tensor_count(&p->list[i]->tensor) * sizeof(float),
                                       sum);
    json_object_set_new(h->run->identity, "model-config", model_config_json(&h->towers.config));
    json_object_set_new(h->run->identity, "encoder", json_checksum(sum));
}

enum { EPOCHS = 10 }; /* where no length is given */

/* On the host, each rank by itself. */
static int open_encoder(struct heads *h, struct error *error)
{
    if (!h->run->settings->steps && !(h->run->settings->epochs > 0))
        h->run->settings->epochs = h->kind->epochs > 0 ? h->kind->epochs : EPOCHS;
    if (h->run->settings->clip_norm > 0)
        return error_set(error, ERROR_USAGE,
                         "--grad-clip-norm: heads that are trained together have no norm in common");
    if (parse_rates(h, error) < 0 || session_towers(&h->towers, &h->settings.session, USE_PICTURES, error) < 0)
        return -1;
    h->encoder = encoder_of_vision(&h->towers.vision, h->towers.config.vision.layers);
    return open_layers(h, error);
}

static int open(struct training *run, void *self, struct error *error)
{
    struct heads *h = self;
    h->run = run;
    h->kind = ((const struct heads_program *)(const void *)run->objective)->kind;
    h->subject = mem_zalloc(1, h->kind->subject->bytes);
    if (world_agree(run->world, open_encoder(h, error), error) < 0 || h->kind->subject->open(h, error) < 0) return -1;
    if (!run->world->rank) identify(h);
    for (int64_t i = 0; i < h->chosen.count; i++) add_layer(h, &h->layers[i]);
    parameters_allocate(&h->parameters);
    run->parameters = &h->parameters;
    return 0;
}

/* results.json -> results.run */
static char *folder(const void *self)
{
    const char *output = ((const struct heads *)self)->settings.session.output;
    struct str out = {0};
    size_t len = strlen(output);
    str_append(&out, output, str_ends_with(output, ".json") ? len - strlen(".json") : len);
    str_puts(&out, ".run");
    return str_steal(&out);
}

/* --- values --- */

/* A draw depends on the parameter's name: without that of layer and rate, all heads start alike. */
static int begin(void *self, struct error *error)
{
    struct heads *h = self;
    (void)error;
    for (int64_t i = 0; i < h->chosen.count * h->rate_count; i++) {
        const struct head *head = &h->layers[i / h->rate_count].heads[i % h->rate_count];
        for (int k = 0; k < head->count; k++) {
            struct parameter named = *head->parameters[k];
            named.name = strrchr(named.name, '.') + 1;
            h->kind->draw(&named, head->width, (uint64_t)h->run->settings->seed);
        }
    }
    for (int64_t i = 0; i < h->chosen.count && h->layers[i].running_variance; i++)
        for (int64_t k = 0; k < h->layers[i].width; k++) h->layers[i].running_variance->values[k] = 1;
    return 0;
}

static int load(void *self, const char *from, struct error *error)
{
    struct heads *h = self;
    struct safetensors file;
    char *path = fs_join(from, "model.safetensors");
    int rc = safetensors_open(&file, path, error);
    bool opened = rc == 0;
    for (int64_t i = 0; i < h->parameters.count && rc == 0; i++) {
        struct parameter *p = h->parameters.list[i];
        const struct safetensors_entry *e = safetensors_find(&file, p->name);
        if (!e || e->count != tensor_count(&p->tensor))
            rc = error_set(error, ERROR_FAILED, "%s: %s is not there, or has another shape", path, p->name);
        else
            rc = safetensors_read(&file, e, 0, e->count, p->values, error);
    }
    if (opened) safetensors_close(&file);
    free(path);
    return rc;
}

static int save(void *self, const struct checkpoint_writer *w, json_t *sums, struct error *error)
{
    const struct heads *h = self;
    const struct parameters *p = &h->parameters;
    struct safetensors_writer out = {.fd = -1};
    char *path = checkpoint_file(w, "model.safetensors");
    uint64_t sum;
    for (int64_t i = 0; i < p->count; i++)
        safetensors_declare(&out, p->list[i]->name, p->list[i]->ndim, p->list[i]->shape);
    int rc = safetensors_begin(&out, path, NULL, error);
    for (int64_t i = 0; i < p->count && rc == 0; i++)
        rc = safetensors_append(&out, p->list[i]->values, tensor_count(&p->list[i]->tensor), error);
    if (rc == 0)
        rc = safetensors_finish(&out, &sum, error);
    else
        safetensors_abandon(&out);
    if (rc == 0) json_object_set_new(sums, "model.safetensors", json_checksum(sum));
    free(path);
    return rc;
}

/* --- a run --- */

/* Host memory of a step's lessons, or of an examination's batch: targets, starts, and those of heads_sequences. */
static size_t host_bytes(const struct heads *h)
{
    enum { ALIGNMENT = 512 }; /* and a red zone under AddressSanitizer */
    const struct plan *p = &h->run->plan;
    int64_t rows = p->rows > h->settings.session.batch ? p->rows : h->settings.session.batch;
    size_t starts = (size_t)(rows + 1) * sizeof(int32_t) + ALIGNMENT;
    return (size_t)p->mine *
           ((size_t)rows * h->target_bytes + ALIGNMENT + starts * (1 + 2 * (size_t)(h->chosen.count * h->rate_count)));
}

static size_t loss_bytes(const struct heads *h)
{
    return (size_t)(h->chosen.count * h->rate_count * h->run->plan.rows) * sizeof(float);
}

static int start(void *self, struct error *error)
{
    struct heads *h = self;
    struct device *d = &h->run->device;
    const struct plan *p = &h->run->plan;
    (void)error;
    towers_place(&h->towers, d, false);
    tape_init(&h->tape, d);
    h->lessons = mem_zalloc((size_t)p->mine, sizeof *h->lessons);
    for (int i = 0; i < 2; i++) device_host_arena_open(d, &h->host[i], host_bytes(h));
    device_arena_open(d, &h->there, DEVICE_ARENA);
    h->losses = d->kernels->map(d, loss_bytes(h));
    h->seeds = d->kernels->map(d, (size_t)p->rows * sizeof *h->seeds);
    h->loss = d->kernels->map(d, (size_t)p->slices * sizeof *h->loss);
    if (h->layers[0].running_mean) h->columns = d->kernels->map(d, heads_column_bytes(h));
    d->kernels->fill(d, h->seeds, (float)(1 / (double)p->batch), p->rows);
    h->kind->subject->begin(h, h->run->step, p->steps);
    return 0;
}

static int ready(void *self, struct error *error)
{
    struct heads *h = self;
    if (!h->layers[0].mean || h->layers[0].running_mean) return 0;
    int rc = heads_measure(h, error);
    if (rc == 0) h->kind->subject->begin(h, 0, h->run->plan.steps);
    return rc;
}

static void gather(void *self, void *there)
{
    struct heads *h = self;
    struct device *d = &h->run->device;
    comm_sum(&h->run->comm, h->loss, h->run->plan.slices, 1);
    d->kernels->copy(d, there, h->loss, sizeof *h->loss);
}

/* The mean over samples and heads. */
static void figures(void *self, int64_t step, const void *gathered, struct figures *f)
{
    const struct heads *h = self;
    double terms = (double)(h->run->plan.batch * h->chosen.count * h->rate_count);
    (void)step;
    figures_set(f, "loss", "Loss", FIGURE_MEAN, *(const double *)gathered / terms);
}

static int64_t sample(const void *self, uint64_t epoch, uint64_t place)
{
    const struct heads *h = self;
    return h->kind->subject->sample(h, epoch, place);
}

static int validate(void *self, bool last, struct error *error)
{
    struct heads *h = self;
    int64_t every = h->settings.examine_steps;
    if (last || !every || h->run->step % every) return 0;
    if (training_drain(h->run, error) < 0) return -1;
    heads_normalize_all(h);
    return h->kind->subject->examine(h, false, error) < 0 ? -1 : 1;
}

static int finish(void *self, struct error *error)
{
    struct heads *h = self;
    heads_normalize_all(h);
    return h->kind->subject->examine(h, true, error);
}

void heads_sum_over_ranks(const struct world *w, int64_t *values, int64_t count)
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

static void close(void *self)
{
    struct heads *h = self;
    struct device *d = &h->run->device;
    h->kind->subject->close(h);
    if (h->lessons) {
        d->kernels->unmap(d, h->losses, loss_bytes(h));
        d->kernels->unmap(d, h->seeds, (size_t)h->run->plan.rows * sizeof *h->seeds);
        d->kernels->unmap(d, h->loss, (size_t)h->run->plan.slices * sizeof *h->loss);
        if (h->columns) d->kernels->unmap(d, h->columns, heads_column_bytes(h));
        tape_free(&h->tape);
    }
    for (int i = 0; i < 2; i++) arena_close(&h->host[i]);
    arena_close(&h->there);
    for (int64_t i = 0; i < h->chosen.count && h->layers; i++) {
        for (int64_t k = 0; k < h->rate_count && h->layers[i].heads; k++) free(h->layers[i].heads[k].parameters);
        free(h->layers[i].heads);
    }
    parameters_free(&h->parameters);
    towers_close(&h->towers);
    layers_close(&h->chosen);
    free(h->layers);
    free(h->wanted);
    free(h->rates);
    free(h->lessons);
    free(h->subject);
}

static void between(void *self)
{
    struct heads *h = self;
    heads_normalize_batch(h);
    if (h->kind->subject->between && !h->run->device.planning) h->kind->subject->between(h);
}

int heads_run(const struct head_kind *kind, const struct world *world, int argc, char **argv, struct error *error)
{
    struct option_program program = {PROGRAM, kind->name, kind->summary, kind->options};
    struct heads_program heads = {.kind = kind,
                                  .objective = {.bytes = sizeof(struct heads) + kind->bytes,
                                                .least_slice = kind->least_slice ? kind->least_slice : 32,
                                                .checks = 1,
                                                .figures_bytes = sizeof(double),
                                                .folder = folder,
                                                .open = open,
                                                .begin = begin,
                                                .load = load,
                                                .start = start,
                                                .ready = ready,
                                                .step = heads_step,
                                                .receive = heads_receive,
                                                .imagine = heads_imagine,
                                                .between = between,
                                                .backward = heads_backward,
                                                .gather = gather,
                                                .figures = figures,
                                                .sample = sample,
                                                .validate = validate,
                                                .save = save,
                                                .finish = finish,
                                                .close = close}};
    training_run(world, &program, &heads.objective, argc, argv, error);
    return error->code ? -1 : 0;
}
