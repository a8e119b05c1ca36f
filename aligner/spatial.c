/* The objective: options, student and frozen encoder, data, checkpoints. */
#include "aligner/spatial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/str.h"
#include "checkpoint/tensors.h"
#include "models/weights.h"

/* Defaults are the paper's (PE section 5, B.3.1) where it names a value; layer 41 of 50 is a share of 0.82. */
#define AT(field) offsetof(struct spatial_settings, field)
/* clang-format off */
static const struct option spatial_options[] = {
    {OPTION_GROUP, "data", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_TABLE, .offset = AT(data), .table = data_options},
    {OPTION_DEFAULT, "workers", .fallback = "2"},

    {OPTION_GROUP, "student", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_STRING, "model", AT(model), "!", 0, 0, NULL, "PE-Core-B16-224 ... or the path of a model's .json"},
    {OPTION_STRING, "pretrained", AT(pretrained), "!", 0, 0, NULL, "what student and frozen encoder begin as (.safetensors or checkpoint folder)"},
    {OPTION_INT, "force-image-size", AT(image_size), "0", 0, 4096, NULL, "resolution, positions are resampled; 0: the model's", OPTION_IDENTITY},
    {OPTION_REAL, "layer-scale", AT(layer_scale), "0.1", 0, 10, NULL, "first value of the student's LayerScale, where its weights have none; 0: it gets none", OPTION_IDENTITY},
    {OPTION_BOOL, "layer-scale-preserve", AT(preserve), "true", 0, 0, NULL, "divide by it what it scales, so that the student begins as the encoder; false: as the paper's code inserts it", OPTION_IDENTITY},
    {OPTION_REAL, "drop-path", AT(drop_path), "0.4", 0, 0.9, NULL, "share of the student's branches left out", OPTION_IDENTITY},
    {OPTION_REAL, "mask-ratio", AT(mask_ratio), "0.75", 0, 1, NULL, "share of the student's patches that is hidden", OPTION_IDENTITY},
    {OPTION_INT, "mask-block", AT(mask_block), "2", 1, 1024, NULL, "in squares of so many patches a side", OPTION_IDENTITY},

    {OPTION_GROUP, "losses", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_REAL, "core-layer", AT(core_layer), "0.82", 0, 10000, NULL, "layer of the frozen encoder that teaches, counted from 1; below 1: at this share of its depth", OPTION_IDENTITY},
    {OPTION_REAL, "core-weight", AT(core_weight), "1", 0, 1000, NULL, "of the cosine with its tokens; 0: it is not asked", OPTION_IDENTITY},
    {OPTION_BOOL, "core-class-token", AT(core_class), "false", 0, 0, NULL, "the class token has a part in that", OPTION_IDENTITY},
    {OPTION_REAL, "local-weight", AT(local_weight), "1", 0, 1000, NULL, "of the difference from the teacher's cosines; 0: it is not asked", OPTION_IDENTITY},
    {OPTION_REAL, "local-sharpness", AT(sharpness), "20", 0, 1000, NULL, "the teacher's cosine c counts as exp(sharpness (c - 1))", OPTION_IDENTITY},

    {OPTION_GROUP, "teacher of places", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_CHOICE, "teacher", AT(teacher.kind), "masks", 0, 0, "masks|file", "maps of the things in the pictures, or rows made beforehand", OPTION_IDENTITY},
    {OPTION_STRING, "masks", AT(teacher.masks), NULL, 0, 0, NULL, "masks: folder of KEY.png, 8 or 16 bits, a number for each thing in the picture of that key"},
    {OPTION_INT, "points", AT(teacher.points), "32", 1, 256, NULL, "masks: points a side at which it is asked what is there", OPTION_IDENTITY},
    {OPTION_STRING, "teacher-rows", AT(teacher.rows), NULL, 0, 0, NULL, "file: .npy, float32 [samples, cells, columns] of whole pictures"},

    {OPTION_GROUP, "augmentation", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_TABLE, .offset = AT(augment), .table = augment_options},
    {OPTION_REAL, "aug-scale-min", AT(augment.scale_min), "1", 0.001, 1, NULL, "smallest area of a crop; 1: no crop but the largest part of a shape between --aug-ratio-min and -max times the picture's", OPTION_IDENTITY},
    {0}};
static const struct option options[] = {
    {OPTION_TABLE, .offset = TRAINING_SELF, .table = spatial_options},
    {OPTION_TABLE, .offset = 0, .table = training_options},
    {OPTION_DEFAULT, "lr", .fallback = "5e-4"},
    {OPTION_DEFAULT, "warmup", .fallback = "0"},
    {0}};
/* clang-format on */
const struct option_program spatial_program = {
    "pe-aligner", "spatial", "teach an encoder's last layer what its best layer and a teacher of places know", options};

/* --- opening --- */

/* Which layer of the frozen encoder teaches. */
static int64_t core_layer(const struct spatial *s, int64_t layers, struct error *error)
{
    double wish = s->settings.core_layer;
    int64_t layer = wish < 1 ? llround(wish * (double)layers) : llround(wish);
    if (wish >= 1 && wish != (double)layer)
        return error_set(error, ERROR_USAGE, "--core-layer %g: a layer is a whole number, a share of depth is below 1",
                         wish);
    if (layer < 1 || layer > layers)
        return error_set(error, ERROR_USAGE, "--core-layer %g: the model has layers 1 to %ld", wish, (long)layers);
    return layer;
}

static int check(const struct spatial_settings *c, const struct model_config *model, struct error *error)
{
    if (c->image_size % model->vision.patch_size)
        return error_set(error, ERROR_USAGE, "--force-image-size %ld is no multiple of the patch size %ld",
                         (long)c->image_size, (long)model->vision.patch_size);
    if (c->core_class && !model->vision.class_token)
        return error_set(error, ERROR_USAGE, "--core-class-token: %s has no class token", c->model);
    if (!(c->core_weight > 0) && !(c->local_weight > 0))
        return error_set(error, ERROR_USAGE, "--core-weight 0 and --local-weight 0: nothing is left to learn");
    return 0;
}

/* Student and frozen encoder from the weights both begin as. */
static int open_models(struct spatial *s, struct error *error)
{
    const struct spatial_settings *c = &s->settings;
    struct model_config model;
    struct towers whole = {0};
    if (model_config_load(&model, c->model, error) < 0 || check(c, &model, error) < 0) return -1;
    int64_t layer = core_layer(s, model.vision.layers, error),
            size = c->image_size ? c->image_size : model.vision.image_size;
    if (layer < 0) return -1;
    struct model_config core = towers_tokens_config(&model, layer, size),
                        student = towers_tokens_config(&model, model.vision.layers, size);
    s->inserted = !(model.vision.layer_scale > 0) && c->layer_scale > 0;
    if (s->inserted) student.vision.layer_scale = c->layer_scale;
    towers_open(&s->core, &core);
    towers_open(&s->student, &student);
    towers_open(&whole, &model);
    int rc = weights_load(&whole, c->pretrained, true, error);
    if (rc == 0) {
        towers_copy_tokens(&s->core, &whole, &s->cpu);
        towers_copy_tokens(&s->student, &whole, &s->cpu);
    }
    towers_close(&whole);
    return rc;
}

static int open_data(struct spatial *s, struct error *error)
{
    const struct data_settings *c = &s->settings.data;
    if (collection_open(&s->data, c->train_data.items, c->train_data.count, error) < 0) return -1;
    if (!s->data.samples) return error_set(error, ERROR_FAILED, "--train-data: no samples");
    if (s->data.videos)
        return error_set(error, ERROR_FAILED, "--train-data: has videos, this alignment learns from pictures");
    if (!strcmp(c->verify_shards, "off")) collection_trust(&s->data);
    if (augmentation_of(&s->augmentation, &s->settings.augment, error) < 0) return -1;
    s->augmentation.stretch = strcmp(s->settings.augment.kind, "none") != 0;
    return 0;
}

static int open_teacher(struct spatial *s, struct error *error)
{
    const struct spatial_settings *c = &s->settings;
    const struct teacher *const *t = teacher_list;
    int64_t size = s->student.config.vision.image_size;
    s->pupil = (struct pupil){.size = size,
                              .grid = size / s->student.config.vision.patch_size,
                              .max_pixels = c->data.media.max_pixels,
                              .data = &s->data,
                              .augmentation = &s->augmentation,
                              .seed = (uint64_t)s->run->settings->seed};
    if (!(c->local_weight > 0)) return 0;
    while (strcmp((*t)->name, c->teacher.kind)) t++;
    s->teacher = *t;
    s->taught = mem_zalloc(1, s->teacher->bytes);
    return s->teacher->open(s->taught, &s->pupil, &c->teacher, error);
}

static int open(struct training *run, void *self, struct error *error)
{
    struct spatial *s = self;
    s->run = run;
    if (machine_open_host(&s->cpu, run->world, &run->settings->machine, error) < 0 || open_models(s, error) < 0 ||
        open_data(s, error) < 0 || open_teacher(s, error) < 0)
        return -1;
    run->parameters = &s->student.parameters;
    run->samples = s->data.epoch;
    if (run->world->rank) return 0;
    json_object_set_new(run->identity, "model-config", model_config_json(&s->student.config));
    json_object_set_new(run->identity, "train-data", json_checksum(collection_identity(&s->data)));
    return tensors_identify(run->identity, "pretrained", s->settings.pretrained, error);
}

/* --- beginning --- */

static int begin(void *self, struct error *error)
{
    struct spatial *s = self;
    (void)error;
    if (s->inserted) vision_set_layer_scale(&s->student.parameters, s->settings.layer_scale, s->settings.preserve);
    return 0;
}

static int load(void *self, const char *folder, struct error *error)
{
    struct spatial *s = self;
    return weights_load(&s->student, folder, true, error);
}

static int64_t sample(const void *self, uint64_t epoch, uint64_t place)
{
    const struct spatial *s = self;
    return collection_draw(&s->data, (uint64_t)s->run->settings->seed, epoch, place);
}

/* The loader's batch `number` is slice number % mine of step number / mine here. */
static void job(void *self, struct batch *b)
{
    const struct spatial *s = self;
    const struct plan *p = &s->run->plan;
    b->count = p->rows;
    b->size = (int)s->pupil.size;
    for (int64_t i = 0; i < p->rows; i++)
        b->samples[i] = training_sample(s->run, b->number / p->mine, b->number % p->mine, i, &b->epochs[i]);
}

static void *teach(void *self, const struct batch *b, int64_t row, int64_t sample, const struct record *r,
                   struct error *error)
{
    const struct spatial *s = self;
    return s->teacher->make(s->taught, &s->pupil, sample, b->epochs[row], r, error);
}

static void start_loader(struct spatial *s)
{
    enum { AHEAD = 2 }; /* slices beyond those of a step */
    const struct plan *p = &s->run->plan;
    struct loader_config c = {.data = &s->data,
                              .augmentation = &s->augmentation,
                              .media = media_options_of(&s->settings.data.media),
                              .batches = p->steps * p->mine,
                              .first = s->run->step * p->mine,
                              .count_max = p->rows,
                              .size_max = (int)s->pupil.size,
                              .seed = (uint64_t)s->run->settings->seed,
                              .threads = (int)s->settings.data.workers,
                              .ahead = (int)p->mine + AHEAD,
                              .keep = (int)p->mine,
                              .device = &s->run->device,
                              .job = job,
                              .job_context = s,
                              .beside = s->teacher ? teach : NULL};
    s->loader = loader_open(&c);
}

static size_t sums_bytes(const struct spatial *s)
{
    return (size_t)(2 * s->run->plan.slices) * sizeof *s->sums;
}

static int start(void *self, struct error *error)
{
    struct spatial *s = self;
    struct device *d = &s->run->device;
    (void)error;
    towers_place(&s->core, d, false);
    tape_init(&s->core_tape, d);
    s->sums = d->kernels->map(d, sums_bytes(s));
    s->slices = mem_zalloc((size_t)s->run->plan.mine, sizeof *s->slices);
    device_host_arena_open(d, &s->host, spatial_host_bytes(s));
    device_arena_open(d, &s->there, DEVICE_ARENA);
    start_loader(s);
    return 0;
}

static void close(void *self)
{
    struct spatial *s = self;
    loader_close(s->loader);
    if (s->sums) s->run->device.kernels->unmap(&s->run->device, s->sums, sums_bytes(s));
    free(s->slices);
    arena_close(&s->host);
    arena_close(&s->there);
    if (s->core_tape.device) tape_free(&s->core_tape);
    towers_close(&s->core);
    towers_close(&s->student);
    if (s->teacher && s->teacher->close) s->teacher->close(s->taught);
    free(s->taught);
    collection_close(&s->data);
    if (s->cpu.kernels) device_close(&s->cpu);
}

/* --- between steps --- */

static void gather(void *self, void *there)
{
    struct spatial *s = self;
    struct device *d = &s->run->device;
    comm_sum(&s->run->comm, s->sums, s->run->plan.slices, 2);
    d->kernels->copy(d, there, s->sums, 2 * sizeof *s->sums);
}

static void figures(void *self, int64_t step, const void *gathered, struct figures *f)
{
    const struct spatial *s = self;
    const struct spatial_settings *c = &s->settings;
    const double *sums = gathered, batch = (double)s->run->plan.batch;
    double core = 1 - sums[0] / (batch * (double)spatial_core_rows(s)), local = sums[1] / batch, loss = 0;
    (void)step;
    if (c->core_weight > 0) loss += c->core_weight * core;
    if (c->local_weight > 0) loss += c->local_weight * local;
    figures_set(f, "loss", "Loss", FIGURE_MEAN, loss);
    if (c->core_weight > 0) figures_set(f, "core_loss", "Core_loss", FIGURE_MEAN, core);
    if (c->local_weight > 0) figures_set(f, "local_loss", "Local_loss", FIGURE_MEAN, local);
    figures_set(f, "replaced", NULL, FIGURE_LAST, (double)loader_replaced(s->loader));
}

/* model.safetensors in PE's names, and the model.json that --model takes beside it. */
static int save(void *self, const struct checkpoint_writer *w, json_t *sums, struct error *error)
{
    struct spatial *s = self;
    char *weights = checkpoint_file(w, "model.safetensors"), *config = checkpoint_file(w, "model.json");
    json_t *json = model_config_json(&s->student.config);
    uint64_t sum = 0;
    int rc = weights_save(&s->student, weights, WEIGHTS_PE, &sum, error);
    if (rc == 0) json_object_set_new(sums, "model.safetensors", json_checksum(sum));
    if (rc == 0) rc = json_write(config, json, error);
    if (rc == 0) rc = fs_checksum(config, &sum, error);
    if (rc == 0) json_object_set_new(sums, "model.json", json_checksum(sum));
    json_decref(json);
    free(weights);
    free(config);
    return rc;
}

const struct objective spatial_objective = {.bytes = sizeof(struct spatial),
                                            .least_slice = 4,
                                            .checks = 2,
                                            .figures_bytes = 2 * sizeof(double),
                                            .open = open,
                                            .begin = begin,
                                            .load = load,
                                            .start = start,
                                            .receive = spatial_receive,
                                            .backward = spatial_backward,
                                            .gather = gather,
                                            .figures = figures,
                                            .macs = spatial_macs,
                                            .sample = sample,
                                            .save = save,
                                            .close = close};
