/* SAM 2.1's weights from the files they are published in:
 *
 *   Meta           sam2.1_hiera_*.pt: image_encoder.trunk.blocks.0.norm1.weight ... under "model"
 *   Hugging Face   model.safetensors: vision_encoder.backbone.blocks.0.layer_norm1.weight ...
 *
 * Our parameters have Meta's names where they are one tensor of the file.  Others are made of several when loaded:
 * positions and places are tables at the size of the map; a 1x1 convolution of a convolution is one; what is added to
 * every cell is a bias.  Every key must be known; those of video memory, masks as prompts and the object score are
 * passed over. */
#ifndef MODELS_SAM2_FILES_H
#define MODELS_SAM2_FILES_H

#include "checkpoint/tensors.h"
#include "models/sam2/decoder.h"

/* What shows in the tensors: the variant (into *config, unless it names a width already) and the widths. */
int sam2_files_tell(const struct safetensors *file, struct sam2_config *config, struct sam2_widths *widths,
                    struct error *error);

/* Fill the host values of all parameters. */
int sam2_files_load(const struct parameters *p, const struct safetensors *file, const struct sam2_config *config,
                    const struct sam2_widths *widths, struct error *error);

#endif
