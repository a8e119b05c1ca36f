/* Hiera, SAM 2.1's trunk (Ryali et al. 2023; models/sam2/SPEC.md): four stages of blocks, whose maps halve and whose
 * widths double.  Inference only.
 *
 *   pixels -> 7x7 convolution, stride 4 -> + positions -> blocks -> the map of each stage
 *   block:  y = norm1 x;  x = (x, or max 2x2 of W y where the width doubles) + attention(y);  x += mlp(norm2 x)
 *
 * Attention sees a window, whose queries are pooled where the width doubles, or in a few blocks the whole map.  A tile
 * of windows goes through its block alone: no more than two maps and a tile are stored. */
#ifndef MODELS_SAM2_HIERA_H
#define MODELS_SAM2_HIERA_H

#include "models/sam2/config.h"
#include "models/sam2/windows.h"
#include "ops/maps.h"
#include "tensor/parameters.h"

struct hiera_block {
    int64_t heads;
    bool pool, whole; /* the width doubles here; sees the whole map */
    struct tensor *norm1[2], *norm2[2], *qkv[2], *q[2], *kv[2], *out[2], *fc[2], *proj[2]; /* weight, bias */
    struct tensor *skip[2];                                                                /* where it pools */
};

struct hiera {
    const struct sam2_config *config;
    struct tensor *patch[2], *positions;
    struct hiera_block *blocks;
    struct windows own[SAM2_STAGES], entry[SAM2_STAGES]; /* entry: of the pooled map, cut as the stage before */
    struct windows map[SAM2_STAGES];                     /* all one window */
    struct tensor maps[2];                               /* on the device, in turn */
    size_t map_bytes[2];
};

/* The picture after the patches: config->size / 4 a side at stage 0, half of the former at each other. */
static inline int64_t hiera_side(const struct sam2_config *c, int stage)
{
    return c->size / 4 >> stage;
}

void hiera_register(struct hiera *h, struct parameters *p, const struct sam2_config *config);
void hiera_open(struct hiera *h, struct device *device); /* memory on the device */
void hiera_close(struct hiera *h, struct device *device);

/* pixels [size^2, 3] normalised, a tensor outside segments.  take is called on a branch with the map of each stage,
 * [side^2, width]. */
void hiera_forward(struct tape *t, struct hiera *h, struct tensor *pixels,
                   void (*take)(void *context, struct tape *t, int stage, struct tensor *map), void *context);

#endif
