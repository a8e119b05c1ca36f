/* Weights of a PE model in and out of safetensors files (in: PyTorch's .pt as well, checkpoint/tensors.h), in the three
 * namings in use:
 *
 *   PE           visual.conv1.weight ... transformer.resblocks.0 ... logit_scale      (Meta; our checkpoints)
 *   open_clip    visual.trunk.patch_embed.proj.weight ... text.transformer...         (timm/PE-Core-* on the HF hub)
 *   timm         patch_embed.proj.weight ...                                          (vision tower alone)
 *
 * PE's own files of towers alone begin with conv1.weight, without "visual.".
 *
 * The naming is told from the keys.  Every parameter must be there with its shape and every key of the file must be
 * known: anything else is an error that names the key. */
#ifndef MODELS_WEIGHTS_H
#define MODELS_WEIGHTS_H

#include "checkpoint/safetensors.h"
#include "models/towers.h"

enum weights_naming { WEIGHTS_PE, WEIGHTS_OPEN_CLIP, WEIGHTS_TIMM };

/* path: as checkpoint/tensors.h.  A file without text tower
 * (timm, or PE vision only) is accepted when vision_only. */
int weights_load(struct towers *towers, const char *path, bool vision_only, struct error *error);

/* The vision tower of a larger model: parameters under "visual." from tensors named `prefix` + timm's names (naming
 * WEIGHTS_TIMM), or PE's without "visual." (WEIGHTS_PE).  used [file->count] marks those taken.  declare and append as
 * models/llama_files.h. */
int weights_load_vision(const struct parameters *p, const struct safetensors *file, enum weights_naming naming,
                        const char *prefix, bool *used, struct error *error);
void weights_declare_vision(const struct parameters *p, enum weights_naming naming, const char *prefix,
                            struct safetensors_writer *writer);
int weights_append_vision(const struct parameters *p, enum weights_naming naming, struct safetensors_writer *writer,
                          struct error *error);

/* The shape timm knows under this name, apart from image size; -1 when we do not. */
int weights_timm_shape(const char *name, struct vision_config *config);
/* And the name of the shape that is nearest to a config's: the same class token. */
const char *weights_timm_base(const struct vision_config *config);

/* Write all parameters; *checksum may be NULL. */
int weights_save(const struct towers *towers, const char *path, enum weights_naming naming, uint64_t *checksum,
                 struct error *error);

/* Write `folder`/open_clip_config.json, with which open_clip loads the folder as local-dir:PATH. */
int weights_save_config(const struct towers *towers, const char *folder, struct error *error);

#endif
