/* PE's text tower: a causal transformer read at the end-of-text token (perception_models pe.py TextTransformer).
 *
 *   token + position embedding -> blocks (causal) -> the row of the end token -> ln_final -> text_projection -> unit length
 *
 * Rows after the end token cannot influence it, so they are not computed: sequences are packed one behind the other. */
#ifndef MODELS_TEXT_H
#define MODELS_TEXT_H

#include "models/config.h"
#include "nn/block.h"

struct text {
    struct text_config config;
    int64_t output;
    struct tensor *tokens, *positions, *ln_final_weight, *ln_final_bias, *projection;
    struct block *blocks;
};

/* Sequences without their padding. */
struct text_batch {
    int64_t count, rows;
    int32_t *ids, *places;  /* [rows] token id and position */
    int32_t *starts, *ends; /* [count + 1] first row of each sequence; [count] row of its end token */
};

/* From ids [count, context] padded with 0: a sequence ends at the first largest id.  Arrays are taken from `arena`. */
struct text_batch text_pack(struct arena *arena, const int32_t *ids, int64_t count, int64_t context);

void text_register(struct text *x, struct parameters *p, const struct text_config *config, int64_t output);
void text_free(struct text *x);
void text_init(struct text *x, struct parameters *p, uint64_t seed); /* open_clip's initialisation */

/* features [count, output], rows of unit length; `batch` must outlive the backward pass. */
struct tensor *text_forward(struct tape *t, struct text *x, const struct text_batch *batch);

double text_macs(const struct text *x, double rows, double squares, double count);

#endif
