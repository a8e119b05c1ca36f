/* A Perception Encoder core model: vision tower, text tower and the logit scale over one parameter store; or, where the
 * config has no text, a vision tower alone. */
#ifndef MODELS_TOWERS_H
#define MODELS_TOWERS_H

#include "models/text.h"
#include "models/vision.h"

struct towers {
    struct model_config config;
    struct parameters parameters;
    struct vision vision;
    struct text text;
    struct tensor *logit_scale; /* [1]: ln of the scale; exp at use, clamped so that the scale stays <= 100 */
};

#define INITIAL_LOGIT_SCALE 2.6592600369327783 /* ln(1 / 0.07) */
#define MAX_LOGIT_SCALE 4.605170185988092      /* ln 100 */

/* Build the towers; values are zero until towers_init or weights_load. */
void towers_open(struct towers *towers, const struct model_config *config);
/* Bring the values to the device, where the towers then compute; `training` adds memory for gradients. */
void towers_place(struct towers *towers, struct device *device, bool training);
void towers_close(struct towers *towers);
void towers_init(struct towers *towers, uint64_t seed);

/* A core model's tower as it is aligned: no pooling, no text, the first `layers` blocks, and positions for pictures of
 * `size` pixels a side. */
struct model_config towers_tokens_config(const struct model_config *config, int64_t layers, int64_t size);
/* Host values of that tower from the model's: positions are resampled where the sizes differ (bilinear, as for pictures
 * of another size).  A LayerScale that `from` does not have is left as it is. */
void towers_copy_tokens(struct towers *towers, const struct towers *from, struct device *host);

struct tensor *towers_image(struct tape *t, struct towers *towers, struct pictures pictures);

#endif
