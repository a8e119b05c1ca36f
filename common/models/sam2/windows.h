/* A square map cut into windows, `window` pixels a side, those at the right and lower edge filled up with nothing.
 *
 * Work is done a tile of whole windows at a time: the pixels of a tile, window by window and row by row in each, are
 * `count` rows of the map; filled up they are windows * window^2.  All arrays but `first` lie on the device. */
#ifndef MODELS_SAM2_WINDOWS_H
#define MODELS_SAM2_WINDOWS_H

#include "backend/device.h"

struct windows {
    int64_t window, across, pixels; /* across: windows in each direction; pixels: of the map */
    int64_t each, tiles;            /* windows of a tile; the last tile may have fewer */
    bool padded;
    int64_t *first;  /* [tiles + 1] pixels before each tile */
    int32_t *rows;   /* [pixels] of the map, in order of windows */
    int32_t *slots;  /* [all windows * window^2] which pixel of its tile it is, -1: none */
    int32_t *taken;  /* [pixels] which place of its filled tile a pixel has */
    int32_t *starts; /* [each + 1] where windows begin */
    size_t bytes;
};

/* `each`: windows of a tile, 0: as many as make a good one. */
void windows_open(struct windows *w, struct device *device, int64_t side, int64_t window, int64_t each);
void windows_close(struct windows *w, struct device *device);

/* Windows of tile n. */
int64_t windows_of_tile(const struct windows *w, int64_t n);

#endif
