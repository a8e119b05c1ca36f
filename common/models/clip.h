/* A Perception Encoder core model: vision tower, text tower and the logit scale over one parameter store. */
#ifndef MODELS_CLIP_H
#define MODELS_CLIP_H

#include "models/text.h"
#include "models/vision.h"

struct clip {
    struct model_config config;
    struct parameters parameters;
    struct vision vision;
    struct text text;
    struct tensor *logit_scale; /* [1]: ln of the scale; exp at use, clamped so that the scale stays <= 100 */
};

#define CLIP_INITIAL_LOGIT_SCALE 2.6592600369327783 /* ln(1 / 0.07) */
#define CLIP_MAX_LOGIT_SCALE 4.605170185988092      /* ln 100 */

/* Build the towers; values are zero until clip_init or weights_load. */
void clip_open(struct clip *clip, const struct model_config *config);
/* Bring the values to the device, where the towers then compute; `training` adds memory for gradients. */
void clip_place(struct clip *clip, struct device *device, bool training);
void clip_close(struct clip *clip);
void clip_init(struct clip *clip, uint64_t seed);

struct tensor *clip_image(struct tape *t, struct clip *clip, struct pictures pictures);

#endif
