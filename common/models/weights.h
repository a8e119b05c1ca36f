/* Weights of a PE model in and out of safetensors files (in: PyTorch's .pt as well, checkpoint/tensors.h), in the three namings in use:
 *
 *   PE           visual.conv1.weight ... transformer.resblocks.0 ... logit_scale      (Meta; our checkpoints)
 *   open_clip    visual.trunk.patch_embed.proj.weight ... text.transformer...         (timm/PE-Core-* on the HF hub)
 *   timm         patch_embed.proj.weight ...                                          (vision tower alone)
 *
 * The naming is told from the keys.  Every parameter must be there with its shape and every key of the file must be known:
 * anything else is an error that names the key. */
#ifndef MODELS_WEIGHTS_H
#define MODELS_WEIGHTS_H

#include "models/clip.h"

enum weights_naming { WEIGHTS_PE, WEIGHTS_OPEN_CLIP, WEIGHTS_TIMM };

/* path: as checkpoint/tensors.h.  A file without text tower
 * (timm, or PE vision only) is accepted when vision_only. */
int weights_load(struct clip *clip, const char *path, bool vision_only, struct error *error);

/* Write all parameters; *checksum may be NULL. */
int weights_save(const struct clip *clip, const char *path, enum weights_naming naming, uint64_t *checksum, struct error *error);

/* Write `folder`/open_clip_config.json, with which open_clip loads the folder as local-dir:PATH. */
int weights_save_config(const struct clip *clip, const char *folder, struct error *error);

#endif
