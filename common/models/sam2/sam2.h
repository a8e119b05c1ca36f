/* SAM 2.1's image path (Ravi et al. 2024; models/sam2/SPEC.md): masks of what lies at points of a picture.
 *
 *   struct sam2 sam;
 *   sam2_open(&sam, &device, "sam2.1_hiera_large.pt", NULL, &error);
 *   sam2_embed(&sam, &tape, pixels, size);                          once a picture
 *   sam2_masks(&sam, &tape, points, count, SAM2_STABLE, sam2_side(&sam), rows, NULL);
 *
 * Prompts are taken a tile at a time: memory does not grow with their number.  Inference only; the tape's earlier
 * tensors stay as they are.  The same bits on any number of threads, in any tile. */
#ifndef MODELS_SAM2_SAM2_H
#define MODELS_SAM2_SAM2_H

#include "models/sam2/hiera.h"
#include "models/sam2/upscale.h"

/* Which of the masks that each point has: the first, made for prompts that leave no doubt; that, unless it is unstable,
 * else the best of the other three (what SAM's predictor does); the best of the three; all three. */
enum sam2_choice { SAM2_STABLE, SAM2_SINGLE, SAM2_BEST, SAM2_ALL };

struct sam2_point {
    float x, y;   /* in pixels of the square picture, [0, size) */
    bool outside; /* of what is meant */
};

struct sam2 {
    struct device *device;
    struct sam2_config config;
    struct parameters parameters;
    struct hiera hiera;
    struct sam2_decoder decoder;
    struct sam2_upscale upscale;
    struct tensor *coarse[2], *map[2], *fine[2][2]; /* neck: weight, bias */
    float *points, *gaussian;                       /* [2, channels], [2, channels / 2], host */
    /* of the picture, on the device */
    struct sam2_first first;
    struct tensor held[6]; /* first's four, fine maps 0 and 1 */
    size_t held_bytes[6];
    int32_t *nearest; /* [rows] the row of the coarse map that lies over each of the map */
    int64_t tile;     /* prompts at a time, decoder.most or less */
    bool embedded;
};

/* path: a file or folder (checkpoint/tensors.h), in Meta's or Hugging Face's naming.  config NULL: told from the
 * tensors.  The device must outlive it, and *sam stays where it is: parts of it know each other. */
int sam2_open(struct sam2 *sam, struct device *device, const char *path, const struct sam2_config *config,
              struct error *error);
void sam2_close(struct sam2 *sam);

/* Take up a picture: pixels [height, width, 3] in host memory, of any size; it is made square. */
void sam2_embed(struct sam2 *sam, struct tape *t, const uint8_t *pixels, struct extent size);

/* Side of masks as the decoder makes them. */
static inline int64_t sam2_side(const struct sam2 *sam)
{
    return sam->config.size / 4;
}

/* Masks that a choice gives for a point. */
static inline int64_t sam2_masks_each(enum sam2_choice choice)
{
    return choice == SAM2_ALL ? 3 : 1;
}

/* Logits of masks to x to pixels: rows [count * masks_each, to * to] in host memory, in order of points; below
 * sam2_side resized bilinearly without antialiasing, of which only what is read is made (but for SAM2_STABLE, which
 * must see whole masks).  qualities: the IoU SAM expects of each, or NULL. */
void sam2_masks(struct sam2 *sam, struct tape *t, const struct sam2_point *points, int64_t count,
                enum sam2_choice choice, int64_t to, float *rows, float *qualities);

/* n x n points in the middle of equal squares, x fastest. */
void sam2_grid(const struct sam2 *sam, int64_t n, struct sam2_point *points);

#endif
