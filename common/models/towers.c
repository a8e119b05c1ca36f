/* The two towers together. */
#include "models/towers.h"

#include <string.h>

#include "base/check.h"
#include "base/str.h"

void towers_open(struct towers *towers, const struct model_config *config)
{
    *towers = (struct towers){.config = *config};
    vision_register(&towers->vision, &towers->parameters, &config->vision, config->embed_dim);
    if (config->text.layers) {
        text_register(&towers->text, &towers->parameters, &config->text, config->embed_dim);
        towers->logit_scale = parameters_add(&towers->parameters, "logit_scale", 0, NULL);
    }
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
    if (!towers->logit_scale) return;
    text_init(&towers->text, &towers->parameters, seed);
    *parameters_find(&towers->parameters, "logit_scale")->values = (float)INITIAL_LOGIT_SCALE;
}

struct model_config towers_tokens_config(const struct model_config *config, int64_t layers, int64_t size)
{
    struct model_config c = *config;
    c.embed_dim = 0;
    c.text = (struct text_config){0};
    c.vision.pool = POOL_NONE;
    c.vision.layers = layers;
    c.vision.image_size = size;
    return c;
}

void towers_copy_tokens(struct towers *towers, const struct towers *from, struct device *host)
{
    const struct vision_config *v = &towers->config.vision, *w = &from->config.vision;
    struct extent to = extent_square(v->image_size / v->patch_size), of = extent_square(w->image_size / w->patch_size);
    for (int64_t i = 0; i < towers->parameters.count; i++) {
        struct parameter *p = towers->parameters.list[i], *q = parameters_find(&from->parameters, p->name);
        CHECK(q || str_ends_with(p->name, ".gamma"), "%s is not in the model", p->name);
        if (q && !strcmp(p->name, "visual.positional_embedding") && !extent_same(to, of))
            host->kernels->grid_resize(host, p->values, q->values, v->class_token, to, of, v->width);
        else if (q)
            memcpy(p->values, q->values, (size_t)tensor_count(&p->tensor) * sizeof *p->values);
    }
}

struct tensor *towers_image(struct tape *t, struct towers *towers, struct pictures p)
{
    struct tensor *tokens =
        vision_tokens(t, &towers->vision, p.pixels, p.count, p.size, NULL, towers->config.vision.layers);
    return vision_pool(t, &towers->vision, tokens, p.count, p.starts, p.samples);
}
