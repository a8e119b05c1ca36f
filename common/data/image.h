/* Pictures: JPEG, PNG and WebP bytes to 8-bit RGB and back.
 *
 * Decoding gives what PIL's convert("RGB") gives for RGB, grey, palette and CMYK; alpha is laid over white, 16 bits
 * become 8, and EXIF orientation is applied.  A picture with more than max_pixels pixels is refused before anything is
 * allocated. */
#ifndef DATA_IMAGE_H
#define DATA_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum image_format { IMAGE_UNKNOWN, IMAGE_JPEG, IMAGE_PNG, IMAGE_WEBP };

struct image {
    int width, height;
    uint8_t *pixels; /* [height, width, 3], owned: image_free */
};

struct image_info {
    enum image_format format;
    int width, height; /* as shown: after orientation */
    int orientation;   /* EXIF 1..8, 1 when absent */
};

/* Does the name end in .jpg, .jpeg, .png or .webp (any case)? */
bool image_is_name(const char *name);

/* From the header alone. */
int image_probe(const uint8_t *bytes, size_t len, struct image_info *info, struct error *error);

/* The whole picture. */
int image_decode(const uint8_t *bytes, size_t len, int64_t max_pixels, struct image *image, struct error *error);

/* A region of a picture, decoded at 1/scale of its size where the format can (JPEG by the DCT: scale 1, 2, 4, 8; else
 * scale comes back as 1).  x, y, width, height are in full-size pixels.  What comes back covers the region and may be
 * larger: *left, *top is its corner in scaled pixels. */
struct image_region {
    int x, y, width, height, scale;
    int left, top; /* out */
};
int image_decode_region(const uint8_t *bytes, size_t len, int64_t max_pixels, struct image_region *region,
                        struct image *image, struct error *error);

void image_free(struct image *image);
void image_orient(struct image *image, int orientation);

/* *bytes is the caller's to free().  JPEG: 4:2:0, quality 1..100.  WebP: lossy, method 1 (the fast one).  PNG: exact,
 * whatever the quality. */
int image_encode(const struct image *image, enum image_format format, int quality, uint8_t **bytes, size_t *len,
                 struct error *error);

#endif
