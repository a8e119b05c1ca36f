/* The JPEG side of image.h, over libjpeg-turbo: scaled and cropped decoding, CMYK, EXIF. */
#ifndef DATA_JPEG_H
#define DATA_JPEG_H

#include "data/image.h"

int jpeg_probe(const uint8_t *bytes, size_t len, struct image_info *info, struct error *error); /* unoriented size */
/* region NULL: everything at full size.  Orientation is not applied. */
int jpeg_decode(const uint8_t *bytes, size_t len, struct image_region *region, struct image *image,
                struct error *error);
int jpeg_encode(const struct image *image, int quality, uint8_t **bytes, size_t *len, struct error *error);

int exif_orientation(const uint8_t *tiff, size_t len); /* in image.c */

#endif
