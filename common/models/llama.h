/* The Llama 3 decoder (models/SPEC.md): token embedding -> blocks -> RMS norm -> head.
 *
 *   x += wo(attention(rope(wqkv(rms x))))          grouped queries, causal
 *   x += w2(silu(w1 y) * w3 y),  y = rms x
 *
 * Projections that read the same rows are one parameter: q, k and v; gate and up.  Rotary pairs are neighbours (2i,
 * 2i+1), as in Meta's files; Hugging Face's rows are reordered when loaded (models/llama_files.h). */
#ifndef MODELS_LLAMA_H
#define MODELS_LLAMA_H

#include <jansson.h>

#include "ops/ops.h"
#include "tensor/parameters.h"

struct llama_config {
    int64_t vocab_size, width, layers, heads, kv_heads, head_dim, mlp_width,
        context; /* context: positions it was trained for */
    double norm_eps, rope_theta;
    double rope_factor, rope_low, rope_high, rope_context; /* Llama 3.1's scaling of low frequencies; factor 1: none */
    bool tied;                                             /* the head is the embedding table */
    double init_std;
};

struct llama_block {
    struct tensor *attention_norm, *qkv, *out, *ffn_norm, *gate_up, *down;
};

struct llama {
    struct llama_config config;
    struct tensor *embedding, *norm, *head;
    struct llama_block *blocks;
    struct rotary_table rope; /* on the device */
    size_t rope_bytes;
};

/* Hugging Face's config.json (a whole one, or its text_config), or Meta's params.json. */
int llama_config_parse(struct llama_config *config, const char *path, const json_t *root, struct error *error);
/* As transformers reads it; new reference. */
json_t *llama_config_json(const struct llama_config *config);

/* Register parameters under "decoder." */
void llama_register(struct llama *l, struct parameters *p, const struct llama_config *config);
void llama_free(struct llama *l, struct device *device); /* device: the one it computed on, or NULL */
/* Normal(0, init_std), projections back into the residual stream by 1 / sqrt(2 layers) of it; norms 1. */
void llama_init(struct llama *l, struct parameters *p, uint64_t seed);

/* Rotary angles for places [0, places) on the device.  Before any forward pass; not between one and its backward pass.
 * */
void llama_reserve(struct llama *l, struct device *device, int64_t places);

/* Sequences of tokens packed one behind the other.  Arrays on the device, as op_embed and op_attention want them. */
struct llama_batch {
    int64_t rows;
    const int32_t *ids, *places, *order; /* [rows]; id -1: the row is put in (below) */
    struct sequences sequences;
    struct tensor *inserted;      /* [n, width] rows in place of embeddings, or NULL */
    const int32_t *inserted_rows; /* [n] */
};
/* From sequences in host memory: ids [starts[count]] (-1: put in), starts [count + 1]; places count from 0 in each. 
 * Host arrays are taken from `host`, which must be as kernels->upload wants it; the device's from `arena`. */
struct llama_batch llama_pack(struct arena *host, struct device *device, struct arena *arena, const int32_t *ids,
                              const int32_t *starts, int64_t count);
size_t llama_pack_bytes(int64_t count, int64_t rows); /* of host memory */

/* Hidden states after the last block, before the norm: [rows, width]. */
struct tensor *llama_forward(struct tape *t, struct llama *l, const struct llama_batch *batch);
/* Loss [n, 1] of predicting targets [n] at rows [n] of hidden; closes hidden's segment. */
struct tensor *llama_loss(struct tape *t, struct llama *l, struct tensor *hidden, const int32_t *rows,
                          const int32_t *targets, int64_t n);
/* Logits [n, vocabulary] at rows [n] of hidden; inference only. */
struct tensor *llama_logits(struct tape *t, struct llama *l, struct tensor *hidden, const int32_t *rows, int64_t n);

/* New rows of sequences whose past lies in a cache: caches [layers]. */
struct tensor *llama_forward_cached(struct tape *t, struct llama *l, const struct llama_batch *batch,
                                    const struct cache_layer *caches, struct cache_rows rows);

/* Multiply-adds of one forward pass over n rows whose sequences have `squares` = sum of squared lengths, without the
 * head. */
double llama_macs(const struct llama_config *c, double n, double squares);

#endif
