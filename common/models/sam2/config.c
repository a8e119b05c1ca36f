/* The four variants, from the configurations in facebookresearch/sam2. */
#include "models/sam2/config.h"

#include <stddef.h>
#include <string.h>

/* clang-format off */
static const struct sam2_config variants[] = {
    {"t",  1024,  96, 1, {1, 2,  7, 2}, {8, 4, 14, 7}, { 5,  7,  9}, 8},
    {"s",  1024,  96, 1, {1, 2, 11, 2}, {8, 4, 14, 7}, { 7, 10, 13}, 8},
    {"b+", 1024, 112, 2, {2, 3, 16, 3}, {8, 4, 14, 7}, {12, 16, 20}, 8},
    {"l",  1024, 144, 2, {2, 6, 36, 4}, {8, 4, 16, 8}, {23, 33, 43}, 8},
};
/* clang-format on */

const struct sam2_config *sam2_config_find(int64_t width, const int64_t blocks[SAM2_STAGES])
{
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
        if (variants[i].width == width && !memcmp(variants[i].blocks, blocks, sizeof variants[i].blocks))
            return &variants[i];
    return NULL;
}
