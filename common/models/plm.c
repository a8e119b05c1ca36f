/* The parts joined. */
#include "models/plm.h"

#include <math.h>
#include <string.h>

#include "nn/init.h"

void plm_open(struct plm *m, const struct plm_config *c)
{
    int64_t width = c->decoder.width;
    *m = (struct plm){.config = *c};
    vision_register(&m->vision, &m->parameters, &c->vision, 0);
    register_pair(&m->parameters, "projector", "linear_1", width, c->vision.width, &m->linear_1, &m->bias_1);
    register_pair(&m->parameters, "projector", "linear_2", width, width, &m->linear_2, &m->bias_2);
    llama_register(&m->decoder, &m->parameters, &c->decoder);
    parameters_allocate(&m->parameters);
}

void plm_place(struct plm *m, struct device *device, bool training)
{
    parameters_place(&m->parameters, device, training);
    parameters_push(&m->parameters);
}

void plm_close(struct plm *m)
{
    vision_free(&m->vision, m->parameters.device);
    llama_free(&m->decoder, m->parameters.device);
    parameters_free(&m->parameters);
}

void plm_init(struct plm *m, uint64_t seed)
{
    vision_init(&m->vision, &m->parameters, seed);
    llama_init(&m->decoder, &m->parameters, seed);
    for (int64_t i = 0; i < m->parameters.count; i++)
        if (!strncmp(m->parameters.list[i]->name, "projector.", 10))
            init_normal(m->parameters.list[i], seed, 1 / sqrt((double)m->config.decoder.width));
}

void plm_index(const struct plm_config *c, int64_t images, int32_t *index)
{
    int64_t patches = plm_patches(c), first = c->vision.class_token, tokens = patches + first;
    for (int64_t i = 0; i < images * patches; i++) index[i] = (int32_t)(i / patches * tokens + first + i % patches);
}

struct tensor *plm_rows(struct tape *t, struct plm *m, const uint8_t *pixels, int64_t images, const int32_t *index,
                        int64_t pooling)
{
    const struct vision_config *v = &m->config.vision;
    int64_t patches = plm_patches(&m->config);
    struct tensor *tokens = vision_tokens(t, &m->vision, pixels, images, extent_square(v->image_size), NULL, v->layers);
    tape_open_segment(t);
    struct tensor *x = op_gather(t, tokens, index, images * patches);
    struct tensor *hidden =
        op_linear(t, x, (struct linear){.weight = m->linear_1, .bias = m->bias_1, .gelu_output = true});
    struct tensor *rows =
        op_linear(t, hidden, (struct linear){.weight = m->linear_2, .bias = m->bias_2, .gelu_input = true});
    if (pooling > 1) rows = op_pool(t, rows, images, v->image_size / v->patch_size, pooling);
    return tape_close_segment(t, tokens, rows);
}
