/* The two towers together. */
#include "models/towers.h"

void towers_open(struct towers *towers, const struct model_config *config)
{
    *towers = (struct towers){.config = *config};
    vision_register(&towers->vision, &towers->parameters, &config->vision, config->embed_dim);
    text_register(&towers->text, &towers->parameters, &config->text, config->embed_dim);
    towers->logit_scale = parameters_add(&towers->parameters, "logit_scale", 0, NULL);
    parameters_allocate(&towers->parameters);
}

void towers_place(struct towers *towers, struct device *device, bool training)
{
    parameters_place(&towers->parameters, device, training);
    parameters_push(&towers->parameters);
}

void towers_close(struct towers *towers)
{
    vision_free(&towers->vision, towers->parameters.device);
    text_free(&towers->text);
    parameters_free(&towers->parameters);
}

void towers_init(struct towers *towers, uint64_t seed)
{
    vision_init(&towers->vision, &towers->parameters, seed);
    text_init(&towers->text, &towers->parameters, seed);
    *parameters_find(&towers->parameters, "logit_scale")->values = (float)INITIAL_LOGIT_SCALE;
}

struct tensor *towers_image(struct tape *t, struct towers *towers, struct pictures p)
{
    struct tensor *tokens =
        vision_tokens(t, &towers->vision, p.pixels, p.count, p.size, NULL, towers->config.vision.layers);
    return vision_pool(t, &towers->vision, tokens, p.count, p.starts, p.samples);
}
