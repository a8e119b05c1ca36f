/* Callbacks of the PNG library. */
#include "data/png_source.h"

#include <stdio.h>
#include <string.h>

static void pull(png_structp png, png_bytep out, png_size_t count)
{
    struct png_source *s = png_get_io_ptr(png);
    if (count > s->len - s->at) png_error(png, "cut short");
    memcpy(out, s->bytes + s->at, count);
    s->at += count;
}

static void failed(png_structp png, png_const_charp text)
{
    struct png_source *s = png_get_error_ptr(png);
    snprintf(s->text, sizeof s->text, "%s", text);
    longjmp(png_jmpbuf(png), 1);
}

static void ignore(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

png_structp png_source_open(struct png_source *source)
{
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, source, failed, ignore);
    png_set_read_fn(png, source, pull);
    return png;
}

int png_source_failed(struct png_source *source, png_structp png, png_infop info, struct error *error)
{
    png_destroy_read_struct(&png, &info, NULL);
    return error_set(error, ERROR_FAILED, "PNG: %s", source->text);
}
