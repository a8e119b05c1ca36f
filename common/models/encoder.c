/* PE's vision tower as an encoder. */
#include "models/encoder.h"

#include "base/check.h"

static struct layer_shape vision_shape(const void *self, int64_t layer)
{
    const struct vision *v = self;
    (void)layer;
    return (struct layer_shape){
        .width = v->config.width, .lead = v->config.class_token, .stride = v->config.patch_size};
}

static int64_t vision_columns(const void *self, int64_t layer, enum feature feature)
{
    const struct vision *v = self;
    (void)layer;
    switch (feature) {
    case FEATURE_TOKENS:
    case FEATURE_GRID:
    case FEATURE_MEAN: return v->config.width;
    case FEATURE_PAIRS: return v->config.class_token ? 2 * v->config.width : 0;
    case FEATURE_CLASS: return v->config.class_token ? v->config.width : 0;
    case FEATURE_POOLED: return v->config.pool == POOL_NONE ? 0 : v->config.width;
    case FEATURE_EMBEDDING:
    case FEATURE_FRAMES: return v->config.pool == POOL_NONE ? 0 : v->output;
    case FEATURES: break;
    }
    return 0;
}

static void vision_pass(void *self, struct tape *t, const struct pictures *p, const struct taps *taps)
{
    struct vision *v = self;
    vision_tapped(t, v, p->pixels, p->count, p->size, NULL, taps->layers, taps);
}

static struct tensor *vision_feature(void *self, struct tape *t, struct tensor *rows, const struct pictures *p,
                                     enum feature feature)
{
    struct vision *v = self;
    switch (feature) {
    case FEATURE_TOKENS: return rows;
    case FEATURE_GRID: return vision_grid(t, v, rows, p->count);
    case FEATURE_PAIRS: return vision_pairs(t, v, rows, p->count);
    case FEATURE_CLASS: return vision_class(t, v, rows, p->count);
    case FEATURE_MEAN: return vision_mean(t, v, rows, p->count);
    case FEATURE_POOLED: return vision_pooled(t, v, rows, p->count);
    case FEATURE_EMBEDDING: return vision_pool(t, v, rows, p->count, p->starts, p->samples);
    case FEATURE_FRAMES: return vision_pool(t, v, rows, p->count, NULL, p->count);
    case FEATURES: break;
    }
    CHECK(0, "feature %d", feature);
    return NULL;
}

struct encoder encoder_of_vision(struct vision *v, int64_t layers)
{
    CHECK(layers >= 0 && layers <= v->config.layers, "%ld of %ld layers", (long)layers, (long)v->config.layers);
    return (struct encoder){.layers = layers,
                            .size = v->config.image_size,
                            .shape = vision_shape,
                            .columns = vision_columns,
                            .forward = vision_pass,
                            .feature = vision_feature,
                            .self = v};
}
