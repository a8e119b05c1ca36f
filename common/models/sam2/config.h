/* The published shapes of SAM 2.1 (Ravi et al. 2024): four trunks, one decoder. */
#ifndef MODELS_SAM2_CONFIG_H
#define MODELS_SAM2_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

enum { SAM2_STAGES = 4, SAM2_GLOBAL = 3 };

struct sam2_config {
    const char *name;            /* "t", "s", "b+", "l" */
    int64_t size;                /* side of the square picture in pixels */
    int64_t width, heads;        /* of the first stage; both double with every stage */
    int64_t blocks[SAM2_STAGES]; /* of each stage */
    int64_t windows[SAM2_STAGES];
    int64_t global[SAM2_GLOBAL]; /* blocks without windows, counted from 0 over all; -1: none */
    int64_t decoder_heads;
};

/* By what shows in the tensors: the width of the first stage and the blocks of each.  NULL: none is like that. */
const struct sam2_config *sam2_config_find(int64_t width, const int64_t blocks[SAM2_STAGES]);

#endif
