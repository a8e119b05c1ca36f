/* What the verbs of pe-captioner share: options, a model with its tokenizer on a device. */
#ifndef CAPTIONER_CAPTIONER_H
#define CAPTIONER_CAPTIONER_H

#include "config/options.h"
#include "data/loader.h"
#include "dist/world.h"
#include "models/generate.h"
#include "models/plm.h"

struct captioner_config {
    /* caption, summarize */
    struct option_list data;
    char *model, *tokenizer, *output, *device, *precision, *weights, *cpu_level;
    int64_t threads, workers, sequences, rows, context, most, attempts, seed;
    double temperature, top_p;
    char *video_prompt, *frame_prompt, *frame_rule;
    int64_t frames, frame_captions, max_pixels, tiles;
    double video_seconds;
    char *template;
    /* refine-export, refine-import, pack */
    char *captions, *input, *keep;
};

/* A model for inference. */
struct session {
    const struct world *world;
    const struct captioner_config *config;
    struct device device;
    struct plm plm;           /* of a language model alone only the decoder is there */
    bool sees;                /* has a vision tower */
    struct llama *decoder;
    struct llama language;    /* the decoder of a language model alone, and its parameters */
    struct parameters parameters;
    struct tape tape;
    struct bpe *bpe;
    struct plm_tokens tokens;
    struct generator *generator;
    char hash[24];            /* XXH3 of the weights' files, hex; "-bf16", "-int8" as they are kept */
    int32_t stops[2];
};

/* (all) vision: the model must see. */
int session_open(struct session *session, const struct world *world, const struct captioner_config *config, bool vision, struct error *error);
void session_close(struct session *session);

/* Text of generated ids, white space at its ends cut off; caller frees. */
char *session_text(const struct session *session, const struct generated *generated);

/* Hex XXH3 of a prompt, into out. */
char *session_hash_text(const char *text, char out[20]);

/* The verbs.  train is a program of its own within (captioner/train.h). */
extern const struct option_program caption_program, summarize_program, refine_export_program, refine_import_program, caption_pack_program;
int caption_run(const struct world *world, const struct captioner_config *config, struct error *error);
int summarize_run(const struct world *world, const struct captioner_config *config, struct error *error);
int refine_export_run(const struct world *world, const struct captioner_config *config, struct error *error);
int refine_import_run(const struct world *world, const struct captioner_config *config, struct error *error);
int caption_pack_run(const struct world *world, const struct captioner_config *config, struct error *error);

#define CAPTIONER_AT(field) offsetof(struct captioner_config, field)
/* Options of the verbs that generate. */
#define CAPTIONER_MODEL_OPTIONS \
    {OPTION_STRING, "model", CAPTIONER_AT(model), "!", 0, 0, NULL, "folder of a Perception LM or a Llama: config.json and safetensors (Hugging Face), or params.json and .pth (Meta)"}, \
    {OPTION_STRING, "tokenizer", CAPTIONER_AT(tokenizer), NULL, 0, 0, NULL, "tokenizer.json or tokenizer.model; else the one in the model's folder"}, \
    {OPTION_INT, "max-new-tokens", CAPTIONER_AT(most), "256", 1, 1e6, NULL, "tokens of a text, at most"}, \
    {OPTION_REAL, "temperature", CAPTIONER_AT(temperature), "0", 0, 100, NULL, "0: the likeliest token"}, \
    {OPTION_REAL, "top-p", CAPTIONER_AT(top_p), "1", 0.0001, 1, NULL, "draw from the likeliest tokens of this probability together"}, \
    {OPTION_INT, "seed", CAPTIONER_AT(seed), "0", 0, 1e15, NULL, "of the draws"}, \
    {OPTION_INT, "sequences", CAPTIONER_AT(sequences), "16", 1, 4096, NULL, "texts generated at once by a rank"}, \
    {OPTION_INT, "rows", CAPTIONER_AT(rows), "512", 1, 1 << 20, NULL, "tokens of a pass, at most"}, \
    {OPTION_INT, "context", CAPTIONER_AT(context), "0", 0, 1 << 24, NULL, "tokens of prompt and text together; 0: the model's, at most 11264"}, \
    {OPTION_STRING, "device", CAPTIONER_AT(device), "cpu", 0, 0, NULL, "cpu, cuda (a GPU for each rank of a host) or cuda:N"}, \
    {OPTION_CHOICE, "precision", CAPTIONER_AT(precision), "fp32", 0, 0, "fp32|bf16", "arithmetic on a GPU"}, \
    {OPTION_CHOICE, "weights", CAPTIONER_AT(weights), "fp32", 0, 0, "fp32|bf16|int8", "how the CPU keeps the decoder's matrices; int8: with a factor for each 64"}, \
    {OPTION_STRING, "cpu-level", CAPTIONER_AT(cpu_level), NULL, 0, 0, NULL, "force an instruction level: portable, x86-64-v3, x86-64-v4"}, \
    {OPTION_INT, "threads", CAPTIONER_AT(threads), "0", 0, 1024, NULL, "compute threads of a rank; 0: its share of the cores"}

#endif
