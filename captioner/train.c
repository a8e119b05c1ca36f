/* The caption objective: options, model, examples, checkpoints. */
#include "captioner/train.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/str.h"
#include "data/bpe_file.h"
#include "models/plm_files.h"

#define AT(field) offsetof(struct train_settings, field)
/* clang-format off */
static const struct option train_options[] = {
    {OPTION_GROUP, "data", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_TABLE, .offset = AT(data), .table = data_options},
    {OPTION_DEFAULT, "frames", .fallback = "16"},
    {OPTION_DEFAULT, "workers", .fallback = "2"},
    {OPTION_STRING, "media-root", AT(media_root), NULL, 0, 0, NULL, "folder of relative paths in JSONL files of conversations; else the file's own"},
    {OPTION_STRING, "video-prompt", AT(video_prompt), "Describe this video in detail.", 0, 0, NULL, "question for videos of data sets", OPTION_IDENTITY},
    {OPTION_STRING, "image-prompt", AT(image_prompt), "Describe this image in detail.", 0, 0, NULL, "question for pictures of data sets", OPTION_IDENTITY},
    {OPTION_INT, "max-tiles", AT(tiles), "16", 0, 128, NULL, "tiles of a picture beside its thumbnail", OPTION_IDENTITY},
    {OPTION_INT, "context", AT(context), "6144", 8, 1 << 24, NULL, "tokens of an example, at most", OPTION_IDENTITY},
    {OPTION_GROUP, "model", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_STRING, "model", AT(model), NULL, 0, 0, NULL, "go on from this Perception LM's folder, or"},
    {OPTION_STRING, "plm-config", AT(plm_config), NULL, 0, 0, NULL, "start anew: folder with the config.json of a Perception LM"},
    {OPTION_STRING, "vision", AT(vision), NULL, 0, 0, NULL, "its tower from these PE weights"},
    {OPTION_STRING, "decoder", AT(decoder), NULL, 0, 0, NULL, "its decoder from this Llama's folder"},
    {OPTION_STRING, "tokenizer", AT(tokenizer), NULL, 0, 0, NULL, "tokenizer.json or tokenizer.model; else the one in the model's folder"},
    {OPTION_CHOICE, "stage", AT(stage), "all", 0, 0, "projector|all", "what learns", OPTION_IDENTITY},
    {OPTION_INT, "pooling", AT(pooling), "0", 0, 64, NULL, "of the projected grid; 0: the model's, 1 in the stage of the projector", OPTION_IDENTITY},
    {OPTION_REAL, "drop-path", AT(drop_path), "0", 0, 0.9, NULL, "share of the tower's branches left out (the paper: 0.1 in stage all)", OPTION_IDENTITY},
    {0}};
/* clang-format on */
/* The recipe is the paper's; for the projector it takes a rate of 1e-4, and lets rates sink to a hundredth of the peak.
 * */
/* clang-format off */
static const struct option options[] = {
    {OPTION_TABLE, .offset = TRAINING_SELF, .table = train_options},
    {OPTION_TABLE, .offset = 0, .table = training_options},
    {OPTION_DEFAULT, "opt", .fallback = "adamw"},
    {OPTION_DEFAULT, "lr", .fallback = "4e-5"},
    {OPTION_DEFAULT, "warmup", .fallback = "120"},
    {OPTION_DEFAULT, "eps", .fallback = "1e-8"},
    {OPTION_DEFAULT, "save-frequency", .fallback = "0"},
    {0}};
/* clang-format on */
const struct option_program train_program = {"pe-captioner", "train", "teach a Perception LM", options};

static bool projector_alone(const struct train *t)
{
    return !strcmp(t->settings.stage, "projector");
}

/* The folder that says what the model is. */
static const char *model_folder(const struct train *t)
{
    return t->settings.model ? t->settings.model : t->settings.plm_config;
}

static int open_model(struct train *t, struct error *error)
{
    const struct train_settings *c = &t->settings;
    struct plm_config config;
    if (!c->model == !c->plm_config)
        return error_set(error, ERROR_USAGE, "give either --model, to go on from, or --plm-config, to start anew");
    if (c->model && (c->vision || c->decoder))
        return error_set(error, ERROR_USAGE, "--vision and --decoder are for a start with --plm-config");
    if (plm_config_load(&config, model_folder(t), error) < 0 ||
        bpe_open(&t->bpe, c->tokenizer ? c->tokenizer : model_folder(t), error) < 0 ||
        chat_template_open(&t->template, t->bpe, error) < 0)
        return -1;
    if (bpe_size(t->bpe) > config.decoder.vocab_size)
        return error_set(error, ERROR_USAGE, "the tokenizer has %ld tokens, the model %ld: they do not belong together",
                         (long)bpe_size(t->bpe), (long)config.decoder.vocab_size);
    plm_open(&t->plm, &config);
    t->pooling = c->pooling ? c->pooling : projector_alone(t) ? 1 : config.pooling;
    if (config.vision.image_size / config.vision.patch_size % t->pooling)
        return error_set(error, ERROR_USAGE, "--pooling %ld does not divide the grid", (long)t->pooling);
    for (int64_t i = 0; i < t->plm.parameters.count; i++) {
        struct parameter *p = t->plm.parameters.list[i];
        parameter_freeze(p, projector_alone(t) && !str_starts_with(p->name, "projector."));
    }
    return 0;
}

static int open_examples(struct train *t, struct error *error)
{
    const struct train_settings *c = &t->settings;
    const struct vision_config *v = &t->plm.config.vision;
    int64_t side = v->image_size / v->patch_size / t->pooling;
    struct examples_config x = {.sources = &c->data.train_data,
                                .media_root = c->media_root,
                                .video_prompt = c->video_prompt,
                                .image_prompt = c->image_prompt,
                                .media = media_options_of(&c->data.media),
                                .size = (int)v->image_size,
                                .tiles = (int)c->tiles,
                                .tile_rows = side * side,
                                .context = c->context,
                                .plain = projector_alone(t),
                                .template = &t->template,
                                .seed = (uint64_t)t->run->settings->seed};
    if (examples_open(&t->examples, &x, error) < 0) return -1;
    if (!strcmp(c->data.verify_shards, "off")) collection_trust(&t->examples.data);
    return 0;
}

/* Rank 0: what the options do not say of the run. */
static int identify(struct train *t, struct error *error)
{
    const struct train_settings *c = &t->settings;
    json_t *identity = t->run->identity;
    json_object_set_new(identity, "model-config", plm_config_json(&t->plm.config));
    json_object_set_new(identity, "train-data", json_checksum(examples_identity(&t->examples)));
    return tensors_identify(identity, "model", c->model, error) < 0 ||
                   tensors_identify(identity, "vision", c->vision, error) < 0
               ? -1
               : tensors_identify(identity, "decoder", c->decoder, error);
}

static int open(struct training *run, void *self, struct error *error)
{
    struct train *t = self;
    t->run = run;
    if (open_model(t, error) < 0 || open_examples(t, error) < 0) return -1;
    run->parameters = &t->plm.parameters;
    run->samples = t->examples.count;
    return run->world->rank ? 0 : identify(t, error);
}

static int begin(void *self, struct error *error)
{
    struct train *t = self;
    if (t->settings.model) return plm_load(&t->plm, t->settings.model, error);
    plm_init(&t->plm, (uint64_t)t->run->settings->seed);
    return plm_load_parts(&t->plm, t->settings.vision, t->settings.decoder, error);
}

static int load(void *self, const char *folder, struct error *error)
{
    struct train *t = self;
    return plm_load(&t->plm, folder, error);
}

static int64_t sample(const void *self, uint64_t epoch, uint64_t place)
{
    const struct train *t = self;
    return (int64_t)rng_permute((uint64_t)t->run->settings->seed, epoch, place, (uint64_t)t->examples.count);
}

static int start(void *self, struct error *error)
{
    enum { AHEAD = 2 }; /* slices beyond those of the step */
    struct train *t = self;
    struct device *d = &t->run->device;
    const struct plan *p = &t->run->plan;
    (void)error;
    llama_reserve(&t->plm.decoder, d, t->settings.context);
    t->loss = d->kernels->map(d, (size_t)p->slices * sizeof *t->loss);
    t->slices = mem_zalloc((size_t)p->mine, sizeof *t->slices);
    device_host_arena_open(d, &t->host, train_host_bytes(t));
    device_arena_open(d, &t->there, DEVICE_ARENA);
    struct ring_config ring = {.maker = &train_slices,
                               .self = t,
                               .first = t->run->step * p->mine,
                               .end = p->steps * p->mine,
                               .threads = (int)t->settings.data.workers,
                               .ahead = (int)p->mine + AHEAD,
                               .keep = (int)p->mine};
    t->ring = ring_open(&ring);
    return 0;
}

static void close(void *self)
{
    struct train *t = self;
    ring_close(t->ring);
    if (t->loss) t->run->device.kernels->unmap(&t->run->device, t->loss, (size_t)t->run->plan.slices * sizeof *t->loss);
    free(t->slices);
    arena_close(&t->host);
    arena_close(&t->there);
    examples_close(&t->examples);
    plm_close(&t->plm);
    chat_template_close(&t->template);
    bpe_close(t->bpe);
}

static void gather(void *self, void *there)
{
    struct train *t = self;
    struct device *d = &t->run->device;
    comm_sum(&t->run->comm, t->loss, t->run->plan.slices, 1);
    d->kernels->copy(d, there, t->loss, sizeof *t->loss);
}

static void figures(void *self, int64_t step, const void *gathered, struct figures *f)
{
    const struct train *t = self;
    const double *loss = gathered;
    figures_set(f, "loss", "Loss", FIGURE_MEAN, *loss / t->targets[(step - 1) & 1]);
    figures_set(f, "tokens", "Tokens", FIGURE_RATE, t->rows[(step - 1) & 1]);
}

/* A file of the checkpoint, noted with its checksum. */
static int note(json_t *sums, const char *name, const char *path, struct error *error)
{
    uint64_t sum;
    if (fs_checksum(path, &sum, error) < 0) return -1;
    json_object_set_new(sums, name, json_checksum(sum));
    return 0;
}

/* The tokenizer belongs to the model's folder. */
static int save_tokenizer(const struct train *t, const struct checkpoint_writer *w, json_t *sums, struct error *error)
{
    const char *name, *given = t->settings.tokenizer ? t->settings.tokenizer : model_folder(t);
    char *from = bpe_file(given, &name, error), *bytes;
    size_t len;
    int rc = from ? fs_read(from, &bytes, &len, error) : -1;
    free(from);
    if (rc < 0) return -1;
    char *to = checkpoint_file(w, name);
    rc = fs_write(to, bytes, len, error);
    if (rc == 0) rc = note(sums, name, to, error);
    free(bytes);
    free(to);
    return rc;
}

/* A folder that transformers can load. */
static int save(void *self, const struct checkpoint_writer *w, json_t *sums, struct error *error)
{
    struct train *t = self;
    char *weights = checkpoint_file(w, "model.safetensors"), *config = checkpoint_file(w, "config.json");
    json_t *json = plm_config_json(&t->plm.config);
    uint64_t sum = 0;
    int rc = plm_save(&t->plm, weights, &sum, error);
    if (rc == 0) json_object_set_new(sums, "model.safetensors", json_checksum(sum));
    if (rc == 0) rc = json_write(config, json, error);
    if (rc == 0) rc = note(sums, "config.json", config, error);
    if (rc == 0) rc = save_tokenizer(t, w, sums, error);
    json_decref(json);
    free(weights);
    free(config);
    return rc;
}

const struct objective caption_objective = {.bytes = sizeof(struct train),
                                            .least_slice = 1,
                                            .checks = 1,
                                            .figures_bytes = sizeof(double),
                                            .open = open,
                                            .begin = begin,
                                            .load = load,
                                            .start = start,
                                            .receive = train_receive,
                                            .between = train_between,
                                            .backward = train_backward,
                                            .gather = gather,
                                            .figures = figures,
                                            .sample = sample,
                                            .save = save,
                                            .close = close};
