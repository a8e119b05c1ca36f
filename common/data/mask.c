/* PNG whose pixels are numbers. */
#include "data/mask.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/str.h"
#include "data/image.h"
#include "data/png_source.h"

/* What the header says is one of those that need no guess. */
static int check_kind(int colour, int bits, struct error *error)
{
    if (colour == PNG_COLOR_TYPE_PALETTE || (colour == PNG_COLOR_TYPE_GRAY && bits >= 8)) return 0;
    if (colour == PNG_COLOR_TYPE_GRAY)
        return error_set(error, ERROR_FAILED, "PNG of %d-bit grey: save it with a palette or with 8 bits a pixel",
                         bits);
    if (colour & PNG_COLOR_MASK_ALPHA)
        return error_set(error, ERROR_FAILED,
                         "PNG with transparency: save the numbers alone, as palette index or grey");
    return error_set(error, ERROR_FAILED,
                     "PNG of colours where numbers are expected: save it as palette index or grey (a mask that was "
                     "painted or converted to RGB has lost its numbers)");
}

static int probe(const uint8_t *b, size_t len, int64_t max_pixels, struct image_info *info, struct error *error)
{
    if (image_probe(b, len, info, error) < 0) return -1;
    if (info->format != IMAGE_PNG)
        return error_set(error, ERROR_FAILED, "not a PNG: JPEG and WebP change numbers, save it as PNG");
    if ((int64_t)info->width * info->height > max_pixels)
        return error_set(error, ERROR_FAILED, "%d x %d is over the limit of %ld pixels", info->width, info->height,
                         (long)max_pixels);
    if (info->orientation > 1)
        return error_set(error, ERROR_FAILED, "PNG turned by EXIF (orientation %d): save it upright",
                         info->orientation);
    return 0;
}

int mask_decode(const uint8_t *b, size_t len, int64_t max_pixels, struct mask *mask, struct error *error)
{
    struct image_info size;
    if (probe(b, len, max_pixels, &size, error) < 0) return -1;
    struct png_source source = {.bytes = b, .len = len};
    png_structp png = png_source_open(&source);
    png_infop info = png_create_info_struct(png);
    uint8_t *volatile raw = NULL;
    png_bytep *volatile rows = NULL;
    if (setjmp(png_jmpbuf(png))) {
        free(raw);
        free((void *)rows);
        return png_source_failed(&source, png, info, error);
    }
    png_read_info(png, info);
    int colour = png_get_color_type(png, info), bits = png_get_bit_depth(png, info);
    if (check_kind(colour, bits, error) < 0) {
        png_destroy_read_struct(&png, &info, NULL);
        return -1;
    }
    png_set_packing(png); /* a byte for each pixel of less */
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    size_t w = (size_t)size.width, h = (size_t)size.height, bytes = bits == 16 ? 2 : 1;
    raw = mem_alloc(w * h, bytes);
    rows = mem_alloc(h, sizeof *rows);
    for (size_t y = 0; y < h; y++) rows[y] = raw + y * w * bytes;
    png_read_image(png, rows);
    png_read_end(png, NULL);
    png_destroy_read_struct(&png, &info, NULL);
    uint16_t *pixels = mem_alloc(w * h, sizeof *pixels);
    for (size_t i = 0; i < w * h; i++) pixels[i] = (uint16_t)(bytes == 2 ? raw[2 * i] << 8 | raw[2 * i + 1] : raw[i]);
    free(raw);
    free((void *)rows);
    *mask = (struct mask){size.width, size.height, bits, colour == PNG_COLOR_TYPE_PALETTE, pixels};
    return 0;
}

int mask_read(const char *path, int64_t max_pixels, struct mask *mask, struct error *error)
{
    struct fs_map file;
    if (fs_map(path, &file, error) < 0) return -1;
    int rc = mask_decode(file.bytes, file.len, max_pixels, mask, error);
    fs_unmap(&file);
    return rc < 0 ? error_prefix(error, "%s", path) : 0;
}

void mask_free(struct mask *mask)
{
    free(mask->pixels);
    *mask = (struct mask){0};
}

/* --- writing --- */

void mask_palette(uint8_t colours[256][3])
{
    memset(colours, 0, 256 * sizeof *colours);
    for (int i = 0; i < 256; i++)
        for (int bit = 0; bit < 8; bit++) colours[i][bit % 3] |= (uint8_t)((i >> bit & 1) << (7 - bit / 3));
}

static void push(png_structp png, png_bytep bytes, png_size_t count)
{
    str_append(png_get_io_ptr(png), bytes, count);
}

static void cannot_fail(png_structp png, png_const_charp text)
{
    (void)png;
    CHECK(false, "PNG: %s", text);
    abort();
}

void mask_encode(const struct mask *mask, uint8_t **bytes, size_t *len)
{
    struct str out = {0};
    uint8_t colours[256][3];
    png_color palette[256];
    mask_palette(colours);
    for (int i = 0; i < 256; i++) palette[i] = (png_color){colours[i][0], colours[i][1], colours[i][2]};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, cannot_fail, NULL);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(png, &out, push, NULL);
    png_set_IHDR(png, info, (png_uint_32)mask->width, (png_uint_32)mask->height, 8, PNG_COLOR_TYPE_PALETTE,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_PLTE(png, info, palette, 256);
    png_write_info(png, info);
    uint8_t *row = mem_alloc((size_t)mask->width, 1);
    for (int y = 0; y < mask->height; y++) {
        for (int x = 0; x < mask->width; x++) {
            uint16_t value = mask->pixels[(size_t)y * (size_t)mask->width + (size_t)x];
            CHECK(value < 256, "pixel %d %d is %d", x, y, value);
            row[x] = (uint8_t)value;
        }
        png_write_row(png, row);
    }
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    free(row);
    *len = out.len;
    *bytes = (uint8_t *)str_steal(&out);
}

int mask_write(const char *path, const struct mask *mask, struct error *error)
{
    uint8_t *bytes;
    size_t len;
    mask_encode(mask, &bytes, &len);
    int rc = fs_write(path, bytes, len, error);
    free(bytes);
    return rc;
}
