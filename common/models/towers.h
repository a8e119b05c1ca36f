/* A Perception Encoder core model: vision tower, text tower and the logit scale over one parameter store. */
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

struct tensor *towers_image(struct tape *t, struct towers *towers, struct pictures pictures);

#endif
