/* Pictures whose pixels are numbers, not colours, as PNG: objects and classes by palette index or 8-bit grey, depth by
 * 16-bit grey.
 *
 * A pixel is the number the file holds: the index whatever its colour (as PIL's mode P gives), the grey value as it is.
 * What would need a guess is refused with a remedy: colours, alpha, grey of 1, 2 or 4 bits (readers differ on whether
 * white is 1 or 255), a picture that EXIF turns.  A picture with more than max_pixels pixels is refused before
 * anything is allocated, one that is cut short as a whole. */
#ifndef DATA_MASK_H
#define DATA_MASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct mask {
    int width, height;
    int bits;         /* a pixel in the file: 1, 2, 4, 8, or 16 */
    bool palette;     /* else grey */
    uint16_t *pixels; /* [height, width], owned: mask_free */
};

int mask_decode(const uint8_t *bytes, size_t len, int64_t max_pixels, struct mask *mask, struct error *error);
int mask_read(const char *path, int64_t max_pixels, struct mask *mask, struct error *error); /* errors name the file */
void mask_free(struct mask *mask);

/* 8 bits a pixel, whose values must be below 256 (checked), with the colours of mask_palette: what DAVIS's and VOC's
 * tools show and read.  bits and palette are not looked at.  *bytes is the caller's to free(). */
void mask_encode(const struct mask *mask, uint8_t **bytes, size_t *len);
int mask_write(const char *path, const struct mask *mask, struct error *error); /* whole or not at all (fs_write) */

/* PASCAL VOC's colours: bits 0, 1, 2 of the index are the top bits of red, green, blue, bits 3, 4, 5 the next ... */
void mask_palette(uint8_t colours[256][3]);

#endif
