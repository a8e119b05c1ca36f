/* Opening of models, and seeing. */
#include "serve/lm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/utf8.h"
#include "data/bpe_file.h"
#include "data/dataset.h"
#include "models/llama_files.h"
#include "models/plm_files.h"

enum { CONTEXT_MOST = 11264 }; /* of --context 0: the cache of longer ones would surprise */

/* Address space for the pixels of one item; memory comes as it is touched. */
static const size_t SEEN_MOST = (size_t)1 << 34;

#define AT(field) offsetof(struct lm_settings, field)
/* clang-format off */
const struct option lm_options[] = {
    {OPTION_GROUP, "model", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_STRING, "model", AT(model), "!", 0, 0, NULL, "folder of a Perception LM or a Llama: config.json and safetensors (Hugging Face), or params.json and .pth (Meta)"},
    {OPTION_STRING, "tokenizer", AT(tokenizer), NULL, 0, 0, NULL, "tokenizer.json or tokenizer.model; else the one in the model's folder"},
    {OPTION_INT, "max-new-tokens", AT(new_tokens), "256", 1, 1e6, NULL, "tokens of a text, at most", OPTION_IDENTITY},
    {OPTION_REAL, "temperature", AT(temperature), "0", 0, 100, NULL, "0: the likeliest token", OPTION_IDENTITY},
    {OPTION_REAL, "top-p", AT(top_p), "1", 0.0001, 1, NULL, "draw from the likeliest tokens of this probability together", OPTION_IDENTITY},
    {OPTION_INT, "seed", AT(seed), "0", 0, 1e15, NULL, "of the draws", OPTION_IDENTITY},
    {OPTION_INT, "sequences", AT(sequences), "16", 1, 4096, NULL, "texts generated at once by a rank"},
    {OPTION_INT, "rows", AT(rows), "512", 1, 1 << 20, NULL, "tokens of a pass, at most"},
    {OPTION_INT, "context", AT(context), "0", 0, 1 << 24, NULL, "tokens of prompt and text together; 0: the model's, at most 11264", OPTION_IDENTITY},
    {OPTION_CHOICE, "weights", AT(weights), "fp32", 0, 0, "fp32|bf16|int8", "how the CPU keeps the decoder's matrices; int8: with a factor for each 64"},
    {OPTION_TABLE, .offset = AT(machine), .table = machine_options},
    {0}};
/* clang-format on */

/* The decoder's matrices as --weights asks. */
static void pack(const struct lm *lm, struct parameters *p)
{
    const char *weights = lm->settings->weights;
    enum packing kind = !strcmp(weights, "int8")   ? PACKING_INT8
                        : !strcmp(weights, "bf16") ? PACKING_BF16
                                                   : PACKING_FP32;
    if (lm->device.kernels->packed_bytes) parameters_pack(p, "decoder.", kind, &lm->device);
}

static int open_alone(struct lm *lm, const char *path, const json_t *root, struct error *error)
{
    struct llama_config config;
    struct safetensors file;
    enum llama_naming naming;
    if (llama_config_parse(&config, path, root, error) < 0) return -1;
    llama_register(&lm->alone, &lm->parameters, &config);
    lm->decoder = &lm->alone;
    parameters_allocate(&lm->parameters);
    pack(lm, &lm->parameters);
    if (tensors_open(&file, lm->settings->model, error) < 0) return -1;
    bool *used = mem_zalloc((size_t)file.count, sizeof *used);
    int rc = llama_naming_of(&file, &naming, error);
    if (rc == 0) rc = llama_load(lm->decoder, &lm->parameters, &file, naming, used, error);
    free(used);
    safetensors_close(&file);
    parameters_place(&lm->parameters, &lm->device, false);
    if (rc == 0) parameters_push(&lm->parameters);
    return rc;
}

static int open_seeing(struct lm *lm, struct error *error)
{
    struct plm_config c;
    if (plm_config_load(&c, lm->settings->model, error) < 0) return -1;
    plm_open(&lm->plm, &c);
    lm->decoder = &lm->plm.decoder;
    pack(lm, &lm->plm.parameters);
    int rc = plm_load(&lm->plm, lm->settings->model, error);
    plm_place(&lm->plm, &lm->device, false);
    return rc;
}

static bool sees(const json_t *root)
{
    const json_t *inner = json_object_get(root, "model");
    return json_object_get(root, "vision_config") || json_object_get(root, "vision_model") ||
           json_object_get(inner, "vision_model");
}

static int open_weights(struct lm *lm, bool must_see, struct error *error)
{
    const char *folder = lm->settings->model;
    char *config = fs_join(folder, "config.json");
    if (!fs_exists(config)) {
        free(config);
        config = fs_join(folder, "params.json");
    }
    json_t *root = json_read(config, error);
    int rc = root ? 0 : -1;
    if (rc == 0 && must_see && !sees(root))
        rc = error_set(error, ERROR_USAGE, "--model %s: a language model without vision; a Perception LM is needed",
                       folder);
    if (rc == 0) rc = sees(root) ? open_seeing(lm, error) : open_alone(lm, config, root, error);
    json_decref(root);
    free(config);
    return rc;
}

/* Which weights made a text: a hash over the files' hashes. */
static int hash_weights(struct lm *lm, struct error *error)
{
    struct fs_list list;
    uint64_t all = 0, one;
    int rc = fs_list(lm->settings->model, &list, error);
    if (rc < 0) return -1;
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        const char *name = list.names[i];
        if (!str_ends_with(name, ".safetensors") && !str_ends_with(name, ".pth")) continue;
        char *path = fs_join(lm->settings->model, name);
        rc = fs_checksum(path, &one, error);
        all = XXH3_64bits_withSeed(&one, sizeof one, all);
        free(path);
    }
    fs_list_free(&list);
    const struct kernels *k = lm->device.kernels;
    const char *kept = k->packed_bytes ? lm->settings->weights : k->real_bytes < sizeof(float) ? "bf16" : "fp32";
    bool plain = !strcmp(kept, "fp32");
    snprintf(lm->hash, sizeof lm->hash, "%016llx%s%s", (unsigned long long)all, plain ? "" : "-", plain ? "" : kept);
    return rc;
}

static int open_tokenizer(struct lm *lm, struct error *error)
{
    const struct lm_settings *c = lm->settings;
    if (bpe_open(&lm->bpe, c->tokenizer ? c->tokenizer : c->model, error) < 0 ||
        chat_template_open(&lm->template, lm->bpe, error) < 0)
        return -1;
    int64_t tokens = bpe_size(lm->bpe), rows = lm->decoder->config.vocab_size;
    lm->stops[0] = lm->template.eot;
    lm->stops[1] = lm->template.end;
    if (tokens <= rows) return 0;
    return error_set(error, ERROR_USAGE, "the tokenizer has %ld tokens, the model %ld: they do not belong together",
                     (long)tokens, (long)rows);
}

static void open_generator(struct lm *lm)
{
    const struct lm_settings *c = lm->settings;
    int64_t trained = lm->decoder->config.context, most = trained < CONTEXT_MOST ? trained : CONTEXT_MOST;
    struct sampling sampling = {.temperature = c->temperature,
                                .top_p = c->top_p,
                                .seed = (uint64_t)c->seed,
                                .most = c->new_tokens,
                                .stops = lm->stops,
                                .stop_count = 2};
    struct generator_config g = {.sequences = c->sequences,
                                 .rows = c->rows > c->sequences ? c->rows : c->sequences,
                                 .context = c->context ? c->context : most};
    lm->generator = generator_open(lm->decoder, &lm->device, &g, &sampling);
}

static int open_all(struct lm *lm, bool must_see, struct error *error)
{
    if (machine_open(&lm->device, lm->world, &lm->settings->machine, error) < 0) return -1;
    tape_init(&lm->tape, &lm->device);
    lm->tape.recording = false;
    if (open_weights(lm, must_see, error) < 0 || open_tokenizer(lm, error) < 0) return -1;
    open_generator(lm);
    device_arena_open(&lm->device, &lm->arena, SEEN_MOST);
    return lm->world->rank ? 0 : hash_weights(lm, error);
}

int lm_open(struct lm *lm, const struct world *world, const struct lm_settings *settings, bool must_see,
            struct error *error)
{
    *lm = (struct lm){.world = world, .settings = settings};
    if (world_agree(world, open_all(lm, must_see, error), error) < 0) return -1;
    world_broadcast(world, lm->hash, sizeof lm->hash, 0);
    return 0;
}

void lm_close(struct lm *lm)
{
    generator_close(lm->generator);
    if (lm->decoder == &lm->alone) {
        llama_free(&lm->alone, lm->parameters.device);
        parameters_free(&lm->parameters);
    } else if (lm->decoder)
        plm_close(&lm->plm);
    chat_template_close(&lm->template);
    bpe_close(lm->bpe);
    arena_close(&lm->arena);
    if (lm->tape.device) tape_free(&lm->tape);
    if (lm->device.kernels) device_close(&lm->device);
}

int lm_picture_size(const struct lm *lm)
{
    return (int)lm->plm.config.vision.image_size;
}

int64_t lm_picture_rows(const struct lm *lm)
{
    return plm_tile_rows(&lm->plm.config);
}

const void *lm_see(struct lm *lm, const uint8_t *pixels, int64_t pictures)
{
    const struct plm_config *c = &lm->plm.config;
    size_t size = (size_t)lm_picture_size(lm), patches = (size_t)(pictures * plm_patches(c));
    int32_t *index = mem_alloc(patches, sizeof *index);
    plm_index(c, pictures, index);
    tape_reset(&lm->tape);
    arena_release(&lm->arena, 0);
    const uint8_t *there = device_bring(&lm->device, &lm->arena, pixels, (size_t)pictures * size * size * 3);
    const int32_t *where = device_bring(&lm->device, &lm->arena, index, patches * sizeof *index);
    struct tensor *rows = plm_rows(&lm->tape, &lm->plm, there, pictures, where, c->pooling);
    lm->device.kernels->wait(&lm->device);
    free(index);
    return rows->data;
}

char *lm_text(const struct lm *lm, const struct generated *g)
{
    static const char white[] = " \t\r\n";
    struct str bytes = {0}, text = {0};
    bpe_decode(lm->bpe, g->ids, g->count, &bytes);
    size_t len = bytes.len, lead = 0;
    while (lead < len && memchr(white, bytes.data[lead], strlen(white))) lead++;
    while (len > lead && memchr(white, bytes.data[len - 1], strlen(white))) len--;
    utf8_mend(bytes.data + lead, len - lead, &text); /* a text may end within a character */
    str_free(&bytes);
    return str_steal(&text);
}

json_t *lm_identity(const struct lm *lm)
{
    return json_pack("{s:s, s:o}", "weights", lm->hash, "tokenizer", json_checksum(bpe_checksum(lm->bpe)));
}

json_t *lm_text_identity(const char *text)
{
    return json_checksum(XXH3_64bits(text, strlen(text)));
}
