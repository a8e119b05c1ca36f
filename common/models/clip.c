/* The two towers together. */
#include "models/clip.h"

void clip_open(struct clip *clip, const struct model_config *config)
{
    *clip = (struct clip){.config = *config};
    vision_register(&clip->vision, &clip->parameters, &config->vision, config->embed_dim);
    text_register(&clip->text, &clip->parameters, &config->text, config->embed_dim);
    clip->logit_scale = parameters_add(&clip->parameters, "logit_scale", 0, NULL);
    parameters_allocate(&clip->parameters);
}

void clip_place(struct clip *clip, struct device *device, bool training)
{
    parameters_place(&clip->parameters, device, training);
    parameters_push(&clip->parameters);
}

void clip_close(struct clip *clip)
{
    vision_free(&clip->vision, clip->parameters.device);
    text_free(&clip->text);
    parameters_free(&clip->parameters);
}

void clip_init(struct clip *clip, uint64_t seed)
{
    vision_init(&clip->vision, &clip->parameters, seed);
    text_init(&clip->text, &clip->parameters, seed);
    *parameters_find(&clip->parameters, "logit_scale")->values = (float)CLIP_INITIAL_LOGIT_SCALE;
}

struct tensor *clip_image(struct tape *t, struct clip *clip, struct pictures p)
{
    struct tensor *tokens = vision_tokens(t, &clip->vision, p.pixels, p.count, p.size, NULL, clip->config.vision.layers);
    return vision_pool(t, &clip->vision, tokens, p.count, p.starts, p.samples);
}
