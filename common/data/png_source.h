/* The PNG library reading bytes in memory: what image.c and mask.c share.
 *
 *   struct png_source source = {.bytes = bytes, .len = len};
 *   png_structp png = png_source_open(&source);
 *   png_infop info = png_create_info_struct(png);
 *   if (setjmp(png_jmpbuf(png))) -> free what was made; return png_source_failed(&source, png, info, error)
 *
 * Its warnings are not heard. */
#ifndef DATA_PNG_SOURCE_H
#define DATA_PNG_SOURCE_H

#include <png.h>
#include <setjmp.h>
#include <stdint.h>

#include "base/error.h"

struct png_source {
    const uint8_t *bytes;
    size_t len, at;
    char text[128]; /* why it gave up */
};

png_structp png_source_open(struct png_source *source); /* source must live as long */
/* Destroys the reader; returns -1. */
int png_source_failed(struct png_source *source, png_structp png, png_infop info, struct error *error);

#endif
