/* Model configurations: open_clip's JSON layout with PE's fields added.
 *
 *   { "embed_dim": 512,
 *     "vision_cfg": { "image_size", "patch_size", "width", "layers", "heads", "mlp_width", "class_token", "rope",
 *                     "pool": "attention" | "class" | "none", "pool_heads", "layer_scale": or none },
 *     "text_cfg":   { "context_length", "vocab_size", "width", "heads", "layers" } }
 *
 * A tower whose tokens are all that comes out ("none": aligned encoders) has no embed_dim, pool_heads and text_cfg.
 *
 * Published shapes and small ones of our own are built in (models/configs/); any other is given by its path. */
#ifndef MODELS_CONFIG_H
#define MODELS_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum pool_kind {
    POOL_ATTENTION,
    POOL_CLASS,
    POOL_NONE
}; /* none: tokens are all that comes out, ln_post and proj are missing too */

struct vision_config {
    int64_t image_size, patch_size, width, layers, heads, mlp_width, pool_heads;
    bool class_token, rope;
    enum pool_kind pool;
    double layer_scale; /* initial value; 0: none */
};

struct text_config {
    /* all 0: there is no text tower */
    int64_t context_length, vocab_size, width, heads, layers;
};

struct model_config {
    char name[64];
    int64_t embed_dim;
    struct vision_config vision;
    struct text_config text;
};

/* By built-in name (case and '-', '/' aside as listed) or path of a .json file. */
int model_config_load(struct model_config *config, const char *name, struct error *error);
int model_config_parse(struct model_config *config, const char *name, const json_t *root, struct error *error);
json_t *model_config_json(const struct model_config *config); /* new reference */

/* Names of the built-in models, NULL-terminated. */
const char *const *model_config_names(void);

#endif
