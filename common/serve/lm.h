/* A language model that generates, with its tokenizer, on this rank's device: a Llama, or a Perception LM, which also
 * sees.
 *
 *   pictures -> lm_see -> rows of the decoder \
 *   turns -> conversation_encode -> ids -------> prompt -> generator -> generated -> lm_text */
#ifndef SERVE_LM_H
#define SERVE_LM_H

#include "dist/machine.h"
#include "models/conversation.h"
#include "models/generate.h"
#include "models/plm.h"

struct lm_settings {
    char *model, *tokenizer, *weights;
    int64_t new_tokens, sequences, rows, context, seed;
    double temperature, top_p;
    struct machine_settings machine;
};
extern const struct option lm_options[];

struct lm {
    const struct world *world;
    const struct lm_settings *settings;
    struct device device;
    struct llama *decoder; /* that of plm, or alone */
    struct chat_template template;
    struct generator *generator;
    char hash[24]; /* XXH3 of the weights' files, hex; "-bf16", "-int8" as they are kept */
    /* its own */
    struct plm plm;     /* of one that sees */
    struct llama alone; /* of one that does not, and its parameters */
    struct parameters parameters;
    struct bpe *bpe;
    struct tape tape; /* of lm_see, with the arrays it brings */
    struct arena arena;
    int32_t stops[2];
};

/* (all) config is borrowed.  must_see: refuse a model without vision. */
int lm_open(struct lm *lm, const struct world *world, const struct lm_settings *settings, bool must_see,
            struct error *error);
void lm_close(struct lm *lm); /* also one that failed to open */

/* Pixels a side of a picture, and rows of the decoder it becomes, of a model that sees. */
int lm_picture_size(const struct lm *lm);
int64_t lm_picture_rows(const struct lm *lm);
/* pixels [pictures, size, size, 3] -> [pictures * picture rows, width] on the device, as struct prompt's `inserted`;
 * stays until the next call. */
const void *lm_see(struct lm *lm, const uint8_t *pixels, int64_t pictures);

/* Generated ids as UTF-8, damaged bytes as U+FFFD, white space at its ends cut off; caller frees. */
char *lm_text(const struct lm *lm, const struct generated *generated);
/* What rows made with it depend on beside the options of OPTION_IDENTITY: weights and tokenizer; new reference. */
json_t *lm_identity(const struct lm *lm);
/* And of a prompt, its checksum. */
json_t *lm_text_identity(const char *text);

#endif
