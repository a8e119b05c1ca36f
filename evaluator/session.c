/* Opening of model and device; inputs; result files. */
#include "evaluator/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "evaluator/results.h"
#include "models/weights.h"

#define AT(field) offsetof(struct session_settings, field)
/* clang-format off */
const struct option session_model_options[] = {
    {OPTION_STRING, "weights", AT(weights), "!", 0, 0, NULL,
     ".safetensors file (PE, open_clip or timm naming), checkpoint folder, or init:SEED: a model that has learned "
     "nothing"},
    {OPTION_STRING, "model", AT(model), "!", 0, 0, NULL, "PE-Core-B16-224 ... or the path of a model's .json"},
    {OPTION_INT, "force-image-size", AT(image_size), "0", 0, 4096, NULL,
     "the size the weights were trained for; 0: the model's"},
    {0}};
const struct option session_options[] = {
    {OPTION_TABLE, .table = session_model_options},
    {OPTION_STRING, "output", AT(output), "!", 0, 0, NULL, "file to write", OPTION_WRITTEN},
    {OPTION_INT, "batch-size", AT(batch), "64", 1, 65536, NULL, "texts or pictures at a time; of frames larger than the model's size as many as have as many pixels"},
    {OPTION_TABLE, .offset = AT(media), .table = media_settings_options},
    {OPTION_TABLE, .offset = AT(machine), .table = machine_options},
    {0}};
/* clang-format on */

static int read_model(struct model_config *model, const struct session_settings *c, enum session_use use,
                      struct error *error)
{
    if (model_config_load(model, c->model, error) < 0) return -1;
    if (c->image_size) {
        if (c->image_size % model->vision.patch_size)
            return error_set(error, ERROR_USAGE, "--force-image-size %ld is no multiple of the patch size %ld",
                             (long)c->image_size, (long)model->vision.patch_size);
        model->vision.image_size = c->image_size;
    }
    if (use == USE_TEXTS && !model->text.layers)
        return error_set(error, ERROR_USAGE, "%s: a vision tower alone, this needs a text tower too", c->model);
    if (use == USE_TEXTS && model->text.vocab_size != TOKEN_VOCABULARY)
        return error_set(error, ERROR_USAGE, "%s has a vocabulary of %ld, the CLIP tokenizer %d", c->model,
                         (long)model->text.vocab_size, TOKEN_VOCABULARY);
    return 0;
}

/* init:SEED, or a path. */
static int read_weights(struct towers *towers, const char *weights, bool vision_only, struct error *error)
{
    static const char initial[] = "init:";
    if (strncmp(weights, initial, strlen(initial))) return weights_load(towers, weights, vision_only, error);
    const char *text = weights + strlen(initial);
    char *end;
    errno = 0;
    unsigned long seed = strtoul(text, &end, 10);
    if (end == text || *end || errno || *text == '-')
        return error_set(error, ERROR_USAGE, "--weights %s: the seed is a whole number, as in init:0", weights);
    towers_init(towers, seed);
    return 0;
}

int session_towers(struct towers *towers, const struct session_settings *c, enum session_use use, struct error *error)
{
    struct model_config model;
    if (read_model(&model, c, use, error) < 0) return -1;
    towers_open(towers, &model);
    return read_weights(towers, c->weights, use == USE_PICTURES, error);
}

static int open_model(struct session *s, enum session_use use, struct error *error)
{
    const struct session_settings *c = s->settings;
    if (machine_open(&s->device, s->world, &c->machine, error) < 0 ||
        machine_open_host(&s->host, s->world, &c->machine, error) < 0)
        return -1;
    tape_init(&s->tape, &s->device);
    if (session_towers(&s->towers, c, use, error) < 0) return -1;
    towers_place(&s->towers, &s->device, false);
    s->tokenizer = tokenizer_open();
    s->embedder = (struct embedder){.world = s->world,
                                    .device = &s->device,
                                    .tape = &s->tape,
                                    .encoder = encoder_of_vision(&s->towers.vision, s->towers.config.vision.layers),
                                    .text = &s->towers.text,
                                    .tokenizer = s->tokenizer,
                                    .batch = c->batch,
                                    .media = media_options_of(&c->media),
                                    .threads = s->host.threads,
                                    .stops = true,
                                    .progress = "embedded"};
    return 0;
}

int session_open(struct session *s, const struct world *world, const struct session_settings *settings,
                 enum session_use use, struct error *error)
{
    *s = (struct session){.world = world, .settings = settings, .output = settings->output};
    return world_agree(world, open_model(s, use, error), error);
}

void session_forget(struct session *s)
{
    for (int i = 0; i < s->input_count; i++) {
        collection_close(&s->inputs[i]->data);
        free(s->inputs[i]->takers);
        free(s->inputs[i]);
    }
    free(s->inputs);
    s->inputs = NULL;
    s->input_count = 0;
}

void session_close(struct session *s)
{
    session_forget(s);
    class_vectors_close(&s->class_vectors);
    tokenizer_close(s->tokenizer);
    if (s->tape.device) tape_free(&s->tape);
    towers_close(&s->towers);
    if (s->device.kernels) device_close(&s->device);
    if (s->host.kernels) device_close(&s->host);
}

/* --- inputs --- */

static struct input *add_input(struct session *s, struct input input)
{
    s->inputs = mem_realloc(s->inputs, (size_t)s->input_count + 1, sizeof *s->inputs);
    struct input *in = s->inputs[s->input_count++] = mem_alloc(1, sizeof *in);
    *in = input;
    if (in->folders) in->source = (struct picture_source){.data = &in->data, .count = in->data.samples};
    return in;
}

static bool same_folders(const struct input *in, const struct option_list *folders)
{
    if (!in->folders || in->folder_count != folders->count) return false;
    for (int64_t i = 0; i < folders->count; i++)
        if (strcmp(in->folders[i], folders->items[i])) return false;
    return true;
}

struct input *session_data(struct session *s, const struct option_list *folders, struct error *error)
{
    for (int i = 0; i < s->input_count; i++)
        if (same_folders(s->inputs[i], folders)) return s->inputs[i];
    struct input in = {.folders = folders->items, .folder_count = folders->count};
    return collection_open(&in.data, folders->items, folders->count, error) < 0 ? NULL : add_input(s, in);
}

struct input *session_files(struct session *s, char *const *paths, int64_t count)
{
    return add_input(s, (struct input){.source = {.paths = paths, .count = count}});
}

void input_add(struct input *in, struct taker taker)
{
    in->takers = mem_realloc(in->takers, (size_t)in->taker_count + 1, sizeof *in->takers);
    in->takers[in->taker_count++] = taker;
}

int session_pass(struct session *s, struct error *error)
{
    int rc = 0;
    for (int i = 0; i < s->input_count && rc == 0; i++) {
        const struct input *in = s->inputs[i];
        rc = features_pass(&s->embedder, &in->source, in->takers, in->taker_count, error);
    }
    return rc;
}

int session_report(const struct session *s, const char *data, const char *task, json_t *metrics, struct error *error)
{
    struct results_head head = {data, s->towers.config.name, s->settings->weights, task};
    int rc = s->world->rank ? 0 : results_write(s->output, &head, json_incref(metrics), error);
    json_decref(metrics);
    return world_agree(s->world, rc, error);
}
