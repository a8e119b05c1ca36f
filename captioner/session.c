/* Opening of models. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/str.h"
#include "captioner/captioner.h"
#include "dist/machine.h"
#include "models/llama_files.h"
#include "models/plm_files.h"

enum { MOST_CONTEXT = 11264 };

/* The decoder's matrices as --weights asks. */
static void pack(const struct session *s, struct parameters *p)
{
    const char *weights = s->config->weights;
    if (strcmp(weights, "fp32") && s->device.kernels->packed_bytes) parameters_pack(p, "decoder.", strcmp(weights, "int8") ? PACKING_BF16 : PACKING_INT8, &s->device);
}

static int open_language(struct session *s, const char *path, const json_t *root, struct error *error)
{
    struct llama_config config;
    struct safetensors file;
    enum llama_naming naming;
    if (llama_config_parse(&config, path, root, error) < 0) return -1;
    llama_register(&s->language, &s->parameters, &config);
    s->decoder = &s->language;
    parameters_allocate(&s->parameters);
    pack(s, &s->parameters);
    if (tensors_open(&file, s->config->model, error) < 0) return -1;
    bool *used = mem_zalloc((size_t)file.count, sizeof *used);
    int rc = llama_naming_of(&file, &naming, error);
    if (rc == 0) rc = llama_load(s->decoder, &s->parameters, &file, naming, used, error);
    free(used);
    safetensors_close(&file);
    parameters_place(&s->parameters, &s->device, false);
    if (rc == 0) parameters_push(&s->parameters);
    return rc;
}

static int open_weights(struct session *s, bool vision, struct error *error)
{
    const char *folder = s->config->model;
    char *config = fs_join(folder, "config.json");
    if (!fs_exists(config)) {
        free(config);
        config = fs_join(folder, "params.json");
    }
    json_t *root = json_read(config, error);
    int rc = root ? 0 : -1;
    s->sees = json_object_get(root, "vision_config") || json_object_get(root, "vision_model") || json_object_get(json_object_get(root, "model"), "vision_model");
    if (rc == 0 && vision && !s->sees) rc = error_set(error, ERROR_USAGE, "--model %s: a language model without vision; captions need a Perception LM", folder);
    if (rc == 0 && s->sees) {
        struct plm_config c;
        rc = plm_config_load(&c, folder, error);
        if (rc == 0) {
            plm_open(&s->plm, &c);
            pack(s, &s->plm.parameters);
            rc = plm_load(&s->plm, folder, error);
            plm_place(&s->plm, &s->device, false);
            s->decoder = &s->plm.decoder;
        }
    } else if (rc == 0) rc = open_language(s, config, root, error);
    json_decref(root);
    free(config);
    return rc;
}

/* Which weights made a text: a hash over the files' hashes. */
static int hash_model(struct session *s, struct error *error)
{
    struct fs_list list;
    uint64_t all = 0, one;
    int rc = fs_list(s->config->model, &list, error);
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        const char *name = list.names[i];
        if (!str_ends_with(name, ".safetensors") && !str_ends_with(name, ".pth")) continue;
        char *path = fs_join(s->config->model, name);
        rc = file_checksum(path, &one, error);
        all = XXH3_64bits_withSeed(&one, sizeof one, all);
        free(path);
    }
    if (rc == 0) fs_list_free(&list);
    bool packed = s->device.kernels->packed_bytes && strcmp(s->config->weights, "fp32");
    snprintf(s->hash, sizeof s->hash, "%016llx%s%s", (unsigned long long)all, packed ? "-" : "", packed ? s->config->weights : "");
    return rc;
}

static int open_all(struct session *s, bool vision, struct error *error)
{
    const struct captioner_config *c = s->config;
    int threads = machine_threads(s->world, c->threads);
    if (device_open(&s->device, c->device, c->precision, c->cpu_level, threads, s->world->node_rank, error) < 0) return -1;
    tape_init(&s->tape, &s->device);
    if (open_weights(s, vision, error) < 0 || bpe_open(&s->bpe, c->tokenizer ? c->tokenizer : c->model, error) < 0 || plm_tokens_open(&s->tokens, s->bpe, error) < 0) return -1;
    const struct llama_config *d = &s->decoder->config;
    if (bpe_size(s->bpe) > d->vocab_size)
        return error_set(error, ERROR_USAGE, "the tokenizer has %ld tokens, the model %ld: they do not belong together", (long)bpe_size(s->bpe), (long)d->vocab_size);
    int64_t context = c->context ? c->context : d->context < MOST_CONTEXT ? d->context : MOST_CONTEXT;
    s->stops[0] = s->tokens.eot;
    s->stops[1] = s->tokens.end;
    struct sampling sampling = {.temperature = c->temperature, .top_p = c->top_p, .seed = (uint64_t)c->seed, .most = c->most, .stops = s->stops, .stop_count = 2};
    struct generator_config g = {.sequences = c->sequences, .rows = c->rows > c->sequences ? c->rows : c->sequences, .context = context};
    s->generator = generator_open(s->decoder, &s->device, &g, &sampling);
    return s->world->rank ? 0 : hash_model(s, error);
}

int session_open(struct session *s, const struct world *world, const struct captioner_config *config, bool vision, struct error *error)
{
    *s = (struct session){.world = world, .config = config};
    if (world_agree(world, open_all(s, vision, error), error) < 0) return -1;
    world_broadcast(world, s->hash, sizeof s->hash, 0);
    return 0;
}

void session_close(struct session *s)
{
    generator_close(s->generator);
    if (s->decoder == &s->language) {
        llama_free(&s->language, s->parameters.device);
        parameters_free(&s->parameters);
    } else if (s->decoder) plm_close(&s->plm);
    plm_tokens_close(&s->tokens);
    bpe_close(s->bpe);
    if (s->tape.device) tape_free(&s->tape);
    if (s->device.kernels) device_close(&s->device);
}

char *session_hash_text(const char *text, char out[20])
{
    snprintf(out, 20, "%016llx", (unsigned long long)XXH3_64bits(text, strlen(text)));
    return out;
}

char *session_text(const struct session *s, const struct generated *g)
{
    struct str out = {0};
    bpe_decode(s->bpe, g->ids, g->count, &out);
    while (out.len && strchr(" \t\r\n", out.data[out.len - 1])) out.data[--out.len] = 0;
    size_t lead = strspn(out.data, " \t\r\n");
    memmove(out.data, out.data + lead, out.len - lead + 1);
    return str_steal(&out);
}
