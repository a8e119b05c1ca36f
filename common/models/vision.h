/* PE's vision tower (perception_models core/vision_encoder/pe.py; models/SPEC.md).
 *
 *   pixels -> conv1 as a matrix product on patches -> (class token) + positions -> ln_pre -> blocks with 2D RoPE
 *          -> ln_post -> attention pooling (or the class token) -> proj -> unit length
 *
 * Pictures may have any height and width that are multiples of the patch.  The position table belongs to
 * config.image_size squared; at another size it is resampled (bilinear, as the released code), while RoPE uses raw grid
 * indices. */
#ifndef MODELS_VISION_H
#define MODELS_VISION_H

#include "base/rng.h"
#include "models/config.h"
#include "nn/block.h"

/* Where the rows of images are, for up to `images` of them with so many tokens each; on the device, in one block.  They
 * stay as they are while the tower lives: passes whose backward pass is still to come read them. */
struct vision_rows {
    int64_t tokens, images;
    int32_t *starts, *probes;        /* [images + 1] first rows of images, and of their probes */
    int32_t *patch_starts, *patches; /* the same without class tokens, and which rows [images * patches] are none */
    int32_t *pairs; /* [images * patches, 2] a patch, and the class token of its image; NULL without such */
    struct vision_rows *next;
};

/* The angles of a grid, on the device; kept likewise. */
struct vision_rope {
    struct extent grid;
    struct rotary_table table;
    struct vision_rope *next;
};

struct vision {
    struct vision_config config;
    int64_t output; /* embedding dimension */
    struct tensor *conv, *class_token, *positions, *ln_pre_weight, *ln_pre_bias, *ln_post_weight, *ln_post_bias, *proj;
    struct block *blocks; /* [layers] */
    struct {              /* attention pooling, POOL_ATTENTION only */
        struct tensor *probe, *q_weight, *q_bias, *kv_weight, *kv_bias, *out_weight, *out_bias, *ln_weight, *ln_bias;
        struct tensor *fc_weight, *fc_bias, *proj_weight, *proj_bias;
    } pool;
    struct vision_rope *ropes; /* one for each grid there was */
    struct vision_rows *rows;  /* of the last pass, and those of others behind it */
    /* [layers, 2, images] DropPath of the next pass, on the device until its backward pass is over; NULL: none */
    const float *keep;
};

/* Pictures on the device, and which of them are frames of one sample (vision_pool). */
struct pictures {
    const uint8_t *pixels; /* [count, height, width, 3] */
    int64_t count, samples;
    struct extent size;
    const int32_t *starts; /* [samples + 1], NULL: each is a sample */
};

/* Register parameters under "visual." in PE's order. */
void vision_register(struct vision *v, struct parameters *p, const struct vision_config *config, int64_t output);
void vision_free(struct vision *v, struct device *device); /* device: the one it computed on, or NULL */
/* PE's initialisation; the draws depend on (seed, parameter name) alone. */
void vision_init(struct vision *v, struct parameters *p, uint64_t seed);

/* pixels (on the device) uint8 [images, height, width, 3] -> tokens [images * tokens, width] after block `layers`
 * (1-based count; the whole tower: config.layers), without ln_post.  hidden [images * patches] marks patches whose
 * content is withheld, or NULL.  Height and width must be multiples of patch_size. */
struct tensor *vision_tokens(struct tape *t, struct vision *v, const uint8_t *pixels, int64_t images,
                             struct extent size, const uint8_t *hidden, int64_t layers);
/* The same, and taps get the tokens of the layers they want on the way; layer 0: after ln_pre. */
struct tensor *vision_tapped(struct tape *t, struct vision *v, const uint8_t *pixels, int64_t images,
                             struct extent size, const uint8_t *hidden, int64_t layers, const struct taps *taps);
/* tokens -> features, rows of unit length: [images, output], or of samples [samples, output], where starts [samples +
 * 1] (on the device) says which images are the frames of each; the features of its frames are averaged before they get
 * unit length. */
struct tensor *vision_pool(struct tape *t, struct vision *v, struct tensor *tokens, int64_t images,
                           const int32_t *starts, int64_t samples);

/* What stands for an image among the tokens of a layer, [images, width] each: its class token (only with
 * config.class_token); the mean of its patches; what vision_pool projects (not with POOL_NONE). */
struct tensor *vision_class(struct tape *t, struct vision *v, struct tensor *tokens, int64_t images);
struct tensor *vision_mean(struct tape *t, struct vision *v, struct tensor *tokens, int64_t images);
struct tensor *vision_pooled(struct tape *t, struct vision *v, struct tensor *tokens, int64_t images);

/* The patches of all images, [images * patches, width], and each with its image's class token beside it (only with
 * config.class_token; no gradient flows), [images * patches, 2 width]. */
struct tensor *vision_grid(struct tape *t, struct vision *v, struct tensor *tokens, int64_t images);
struct tensor *vision_pairs(struct tape *t, struct vision *v, struct tensor *tokens, int64_t images);

/* Give every block that has a LayerScale gamma this value; preserve: and divide what it scales (weights and biases of
 * out_proj and c_proj) by it, so that the tower computes what it did without. */
void vision_set_layer_scale(struct parameters *p, double gamma, bool preserve);

/* DropPath of image `image` of a pass of `images`, for vision.keep (host memory, [layers, 2, images]): branches left
 * out with probability `rate`, the others scaled up. */
void vision_draw_keep(float *keep, int64_t layers, int64_t images, int64_t image, double rate, struct rng *rng);

/* Multiply-adds of embedding one square image of this size. */
double vision_macs(const struct vision *v, int64_t size);

#endif
