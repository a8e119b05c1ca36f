/* A PLM in and out of the folders it is published in:
 *
 *   Hugging Face   config.json (perception_lm), model.safetensors or parts     facebook/Perception-LM-1B ...
 *   Meta           params.json, consolidated.pth
 *
 * beside a tokenizer (data/bpe_file.h). */
#ifndef MODELS_PLM_FILES_H
#define MODELS_PLM_FILES_H

#include "checkpoint/tensors.h"
#include "models/plm.h"

/* folder/config.json or folder/params.json. */
int plm_config_load(struct plm_config *config, const char *folder, struct error *error);
/* As transformers reads it; new reference. */
json_t *plm_config_json(const struct plm_config *config);

/* Fill an opened model from the folder; every tensor of the model must be there, every tensor of the file must be
 * known. */
int plm_load(struct plm *plm, const char *folder, struct error *error);
/* model.safetensors in Hugging Face's naming; *checksum may be NULL. */
int plm_save(const struct plm *plm, const char *path, uint64_t *checksum, struct error *error);

/* Start a PLM from its parts: the vision tower of a PE core model (blocks beyond the truncated tower, its pooling and
 * its text tower are passed over; LayerScale stays as initialised), the decoder of a Llama.  Either may be NULL. */
int plm_load_parts(struct plm *plm, const char *vision, const char *decoder, struct error *error);

#endif
