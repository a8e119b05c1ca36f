/* PE's text tower: a causal transformer read at the end-of-text token (perception_models pe.py TextTransformer).
 *
 *   token + position embedding -> blocks (causal) -> the row of the end token -> ln_final -> text_projection -> unit
 *   length
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

/* Sequences without their padding, in host memory and on the device. */
struct text_batch {
    int64_t count, rows, longest;
    int32_t *ids, *places, *order; /* [rows] token id and position; the rows sorted by id */
    int32_t *starts, *ends;        /* [count + 1] first row of each sequence; [count] row of its end token */
    struct {
        const int32_t *ids, *places, *order, *starts, *ends;
    } on_device;
};

/* From ids [count, context] padded with 0: a sequence ends at the first largest id.  Host arrays are taken from `host`,
 * which must be as kernels->upload wants it; the device's from `arena` (device_arena_open). */
struct text_batch text_pack(struct arena *host, struct device *device, struct arena *arena, const int32_t *ids,
                            int64_t count, int64_t context);
size_t text_pack_bytes(int64_t count, int64_t context); /* of host memory, at most */

/* order [rows]: the rows sorted by id, equal ids in order of rows, as op_embed wants it. */
void text_order(int32_t *order, const int32_t *ids, int64_t rows);

void text_register(struct text *x, struct parameters *p, const struct text_config *config, int64_t output);
void text_free(struct text *x);
void text_init(struct text *x, struct parameters *p, uint64_t seed); /* open_clip's initialisation */

/* features [count, output], rows of unit length; `batch` must outlive the backward pass. */
struct tensor *text_forward(struct tape *t, struct text *x, const struct text_batch *batch);

double text_macs(const struct text *x, double rows, double squares, double count);

#endif
