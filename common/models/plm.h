/* The Perception Language Model (models/SPEC.md): a truncated PE tower, a projector, and a Llama decoder that reads the
 * projected tokens in place of words.
 *
 *   pictures -> PE blocks (class token left out) -> linear, GELU, linear -> mean over cells of pooling x pooling ->
 *   rows of the decoder
 *
 * A picture is a thumbnail and tiles (models/tiles.h); a video is its frames, each squashed to one tile. */
#ifndef MODELS_PLM_H
#define MODELS_PLM_H

#include "models/llama.h"
#include "models/vision.h"

struct plm_config {
    struct vision_config vision;
    struct llama_config decoder;
    int64_t pooling; /* of the projected grid, by each side */
    int64_t image_token, video_token;
};

struct plm {
    struct plm_config config;
    struct parameters parameters;
    struct vision vision;
    struct llama decoder;
    struct tensor *linear_1, *bias_1, *linear_2, *bias_2;
};

/* Build; values are zero until plm_init or plm_load. */
void plm_open(struct plm *plm, const struct plm_config *config);
void plm_place(struct plm *plm, struct device *device, bool training);
void plm_close(struct plm *plm);
void plm_init(struct plm *plm, uint64_t seed);

/* Rows of the decoder that one tile or frame becomes. */
static inline int64_t plm_tile_rows(const struct plm_config *c)
{
    int64_t side = c->vision.image_size / c->vision.patch_size / c->pooling;
    return side * side;
}

/* pixels (on the device) uint8 [images, size, size, 3] at the vision tower's size; index [images * patches] (on the
 * device): the token rows without class tokens, plm_index.  Result [images * tile rows, decoder width]; a pooling of 1
 * gives all patches. */
struct tensor *plm_rows(struct tape *t, struct plm *plm, const uint8_t *pixels, int64_t images, const int32_t *index,
                        int64_t pooling);
void plm_index(const struct plm_config *c, int64_t images, int32_t *index);
static inline int64_t plm_patches(const struct plm_config *c)
{
    int64_t grid = c->vision.image_size / c->vision.patch_size;
    return grid * grid;
}

#endif
