/* The Perception Language Model (models/SPEC.md): a truncated PE tower, a projector, and a Llama decoder that reads the projected tokens in place of words.
 *
 *   pictures -> PE blocks (class token left out) -> linear, GELU, linear -> mean over cells of pooling x pooling -> rows of the decoder
 *
 * A picture is a thumbnail and tiles; a video is its frames, each squashed to one tile. */
#ifndef MODELS_PLM_H
#define MODELS_PLM_H

#include "data/bpe.h"
#include "data/image.h"
#include "models/llama.h"
#include "models/vision.h"

struct plm_config {
    struct vision_config vision;
    struct llama_config decoder;
    int64_t pooling;              /* of the projected grid, by each side */
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

/* pixels (on the device) uint8 [images, size, size, 3] at the vision tower's size; index [images * patches] (on the device): the token rows without class
 * tokens, plm_index.  Result [images * tile rows, decoder width]; a pooling of 1 gives all patches. */
struct tensor *plm_rows(struct tape *t, struct plm *plm, const uint8_t *pixels, int64_t images, const int32_t *index, int64_t pooling);
void plm_index(const struct plm_config *c, int64_t images, int32_t *index);
static inline int64_t plm_patches(const struct plm_config *c)
{
    int64_t grid = c->vision.image_size / c->vision.patch_size;
    return grid * grid;
}

/* --- pictures --- */

/* The grid of at most `most` tiles of `size` pixels for a picture (transformers' image_processing_perception_lm.py): the smallest loss of shape that needs no
 * reduction. */
void plm_tiles(int width, int height, int size, int most, int *across, int *down);
/* A picture as thumbnail and tiles, row by row: pixels [1 + across * down, size, size, 3]; most 0: the thumbnail alone.  Returns how many. */
int plm_picture(const struct image *image, int size, int most, uint8_t *pixels);

/* --- text --- */

/* A conversation as the decoder reads it (perception_models core/data/conversation.py, plm_sft):
 *
 *   begin, system header, sentence, eot, user header, MEDIA, question, eot, assistant header, [answer, eot, end]
 *
 * MEDIA: -1 `media_rows` times.  What looks like a special token in question or answer stays text. */
struct plm_tokens {
    const struct bpe *bpe;
    int32_t begin, end, start_header, end_header, eot;
    struct tokens system; /* from begin to the end of the user header, newlines included */
};
/* Fails when the vocabulary lacks a token the template needs. */
int plm_tokens_open(struct plm_tokens *tokens, const struct bpe *bpe, struct error *error);
void plm_tokens_close(struct plm_tokens *tokens);

/* Append; answer NULL: a prompt to generate from.  *response (may be NULL): the place of the first token that counts as response: the assistant header. */
void plm_conversation(const struct plm_tokens *tokens, int64_t media_rows, const char *question, const char *answer, struct tokens *out, int64_t *response);

#endif
