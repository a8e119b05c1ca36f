/* A decoder's weights in and out of the files they are published in:
 *
 *   Hugging Face   model.layers.N.self_attn.q_proj.weight ...                   Llama
 *                  model.language_model.layers.N.self_attn.q_proj.weight ...    Perception LM
 *   Meta           layers.N.attention.wq.weight ... tok_embeddings.weight       both
 *
 * Each of our parameters is made of one to three tensors of a file.  Hugging Face keeps the rows of q and k of a head
 * in another order: first the even members of all rotary pairs, then the odd ones. */
#ifndef MODELS_LLAMA_FILES_H
#define MODELS_LLAMA_FILES_H

#include "checkpoint/tensors.h"
#include "models/llama.h"

enum llama_naming { LLAMA_HF, LLAMA_HF_PLM, LLAMA_META };

/* By the keys of the file; -1 with an error when it holds no decoder. */
int llama_naming_of(const struct safetensors *file, enum llama_naming *naming, struct error *error);

/* Fill the parameters of `l` in `p`; used [file->count] marks the tensors that were taken. */
int llama_load(const struct llama *l, const struct parameters *p, const struct safetensors *file,
               enum llama_naming naming, bool *used, struct error *error);

/* Names and shapes of all parameters (host values) to a writer, then, in the same order, their data. */
void llama_declare(const struct llama *l, const struct parameters *p, enum llama_naming naming,
                   struct safetensors_writer *writer);
int llama_append(const struct llama *l, const struct parameters *p, enum llama_naming naming,
                 struct safetensors_writer *writer, struct error *error);

#endif
