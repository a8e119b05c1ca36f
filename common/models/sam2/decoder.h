/* SAM's mask decoder up to the upscaling, for many prompts of one point each over one picture (models/sam2/SPEC.md):
 *
 *   tokens of a prompt: object score, quality, four masks, the point, and one that is no point
 *   two layers:  tokens among themselves; tokens read the map; mlp; the map reads the tokens
 *   tokens read the map once more
 *
 * The map of a prompt is that of the picture until the first layer has written to it: what that layer makes of it is
 * made once.  Later projections of maps are multiplied into the tokens (ops/prompted.h).  Inference only. */
#ifndef MODELS_SAM2_DECODER_H
#define MODELS_SAM2_DECODER_H

#include "models/sam2/config.h"
#include "ops/maps.h"
#include "ops/prompted.h"
#include "tensor/parameters.h"

enum { SAM2_TOKENS = 8, SAM2_MASKS = 4, SAM2_LAYERS = 2, SAM2_MLP = 3 };

/* Widths that show in the tensors alone. */
struct sam2_widths {
    int64_t channels, inner, mlp, quality; /* inner: of attention between tokens and map; quality: of that head */
};

struct sam2_attention {
    struct tensor *q[2], *k[2], *v[2], *out[2]; /* weight, bias */
};

struct sam2_layer {
    struct sam2_attention self, read, write; /* read: tokens the map; write: the map the tokens */
    struct tensor *norm[4][2], *mlp[2][2];
};

struct sam2_decoder {
    int64_t heads, rows; /* rows: of the map */
    struct sam2_widths widths;
    struct tensor *tokens, *places; /* [7, channels] all but the point; [rows, channels] of the map */
    struct sam2_layer layers[SAM2_LAYERS];
    struct sam2_attention last;
    struct tensor *last_norm[2];
    struct tensor *hyper[SAM2_MASKS][SAM2_MLP][2], *quality[SAM2_MLP][2];
    /* on the device, for up to `most` prompts */
    int64_t most;
    int32_t *ids, *point_rows;         /* [most * 8] rows of `tokens`, -1: the point; [most] */
    int32_t *starts, *ends;            /* [most + 1] of prompts; [most + 1, 2] 0 and 8 n */
    int32_t *map_ends;                 /* [2] 0, rows */
    int32_t *mask_rows, *quality_rows; /* [most * 4], [most] */
    int32_t *hyper_rows;               /* [4, most] rows of mask m among mask_rows */
    size_t bytes;
};

void sam2_decoder_register(struct sam2_decoder *d, struct parameters *p, const struct sam2_config *config,
                           struct sam2_widths widths);
void sam2_decoder_open(struct sam2_decoder *d, struct device *device, int64_t most);
void sam2_decoder_close(struct sam2_decoder *d, struct device *device);

/* What the first layer makes of the picture's map [rows, channels]; in the open segment. */
struct sam2_first {
    struct tensor *map, *k, *v, *seen; /* k, v of what tokens read; seen: how the map sees tokens */
};
struct sam2_first sam2_first_layer(struct tape *t, const struct sam2_decoder *d, struct tensor *map);

/* points [n, channels], n <= most; in the open segment. */
struct sam2_decoded {
    struct tensor *map;       /* [n * rows, channels] */
    struct tensor *masks;     /* [n * 4, channels / 8]: what an upscaled pixel is multiplied by */
    struct tensor *qualities; /* [n, 4], float: before the sigmoid */
};
struct sam2_decoded sam2_decode(struct tape *t, const struct sam2_decoder *d, const struct sam2_first *first,
                                struct tensor *points);

#endif
