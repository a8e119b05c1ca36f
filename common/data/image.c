/* Formats told apart, orientation, and the PNG and WebP codecs; JPEG is in jpeg.c. */
#include "data/image.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <webp/decode.h>
#include <webp/encode.h>

#include "base/memory.h"
#include "data/jpeg.h"
#include "data/png_source.h"

enum { MAX_SIDE = 1 << 20 };

static enum image_format format_of(const uint8_t *b, size_t len)
{
    if (len >= 3 && b[0] == 0xff && b[1] == 0xd8 && b[2] == 0xff) return IMAGE_JPEG;
    if (len >= 8 && !memcmp(b, "\x89PNG\r\n\x1a\n", 8)) return IMAGE_PNG;
    if (len >= 12 && !memcmp(b, "RIFF", 4) && !memcmp(b + 8, "WEBP", 4)) return IMAGE_WEBP;
    return IMAGE_UNKNOWN;
}

static int refuse_unknown(const uint8_t *b, size_t len, struct error *error)
{
    size_t i = 0;
    while (i < len && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t')) i++;
    if (!len) return error_set(error, ERROR_FAILED, "empty file");
    if (i < len && b[i] == '<') return error_set(error, ERROR_FAILED, "HTML or XML, not a picture");
    if (len >= 3 && !memcmp(b, "GIF", 3)) return error_set(error, ERROR_FAILED, "GIF is not supported");
    return error_set(error, ERROR_FAILED, "neither JPEG, PNG nor WebP");
}

static uint32_t read_u32(const uint8_t *p, bool little, int bytes)
{
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++) value |= (uint32_t)p[i] << 8 * (little ? i : bytes - 1 - i);
    return value;
}

/* The orientation tag (0x0112) of the first directory of a TIFF header, 1 when there is none. */
int exif_orientation(const uint8_t *tiff, size_t len)
{
    if (len < 14 || (memcmp(tiff, "II*", 4) && memcmp(tiff, "MM\0*", 4))) return 1;
    bool little = tiff[0] == 'I';
    size_t at = read_u32(tiff + 4, little, 4);
    if (at > len - 2) return 1;
    uint32_t count = read_u32(tiff + at, little, 2);
    for (uint32_t i = 0; i < count && at + 2 + 12 * (i + 1) <= len; i++) {
        const uint8_t *entry = tiff + at + 2 + 12 * i;
        if (read_u32(entry, little, 2) != 0x0112) continue;
        uint32_t value = read_u32(entry + 8, little, 2);
        return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

static int png_orientation(const uint8_t *b, size_t len)
{
    for (size_t at = 8; at + 12 <= len;) {
        uint32_t size = read_u32(b + at, false, 4);
        if (size > len - at - 12) return 1;
        if (!memcmp(b + at + 4, "eXIf", 4)) return exif_orientation(b + at + 8, size);
        if (!memcmp(b + at + 4, "IDAT", 4)) return 1;
        at += 12 + (size_t)size;
    }
    return 1;
}

static int webp_orientation(const uint8_t *b, size_t len)
{
    for (size_t at = 12; at + 8 <= len;) {
        uint32_t size = read_u32(b + at + 4, true, 4);
        if (size > len - at - 8) return 1;
        if (!memcmp(b + at, "EXIF", 4)) {
            const uint8_t *tiff = b + at + 8;
            return size > 6 && !memcmp(tiff, "Exif\0", 6) ? exif_orientation(tiff + 6, size - 6)
                                                          : exif_orientation(tiff, size);
        }
        at += 8 + (size_t)size + (size & 1);
    }
    return 1;
}

bool image_is_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (!strcasecmp(dot, ".jpg") || !strcasecmp(dot, ".jpeg") || !strcasecmp(dot, ".png") ||
                   !strcasecmp(dot, ".webp"));
}

int image_probe(const uint8_t *b, size_t len, struct image_info *info, struct error *error)
{
    struct image_info out = {.format = format_of(b, len), .orientation = 1};
    if (out.format == IMAGE_UNKNOWN) return refuse_unknown(b, len, error);
    if (out.format == IMAGE_JPEG) {
        if (jpeg_probe(b, len, &out, error) < 0) return -1;
    } else if (out.format == IMAGE_PNG) {
        if (len < 33 || memcmp(b + 12, "IHDR", 4)) return error_set(error, ERROR_FAILED, "PNG: cut short");
        out.width = (int)(read_u32(b + 16, false, 4) & 0x7fffffff);
        out.height = (int)(read_u32(b + 20, false, 4) & 0x7fffffff);
        out.orientation = png_orientation(b, len);
    } else {
        if (!WebPGetInfo(b, len, &out.width, &out.height))
            return error_set(error, ERROR_FAILED, "WebP: damaged or cut short");
        out.orientation = webp_orientation(b, len);
    }
    if (out.width < 1 || out.height < 1 || out.width > MAX_SIDE || out.height > MAX_SIDE)
        return error_set(error, ERROR_FAILED, "%d x %d is no usable size", out.width, out.height);
    if (out.orientation >= 5) {
        int width = out.width;
        out.width = out.height;
        out.height = width;
    }
    *info = out;
    return 0;
}

void image_free(struct image *image)
{
    free(image->pixels);
    *image = (struct image){0};
}

void image_orient(struct image *image, int orientation)
{
    if (orientation <= 1) return;
    int w = image->width, h = image->height;
    bool swap = orientation >= 5;
    int nw = swap ? h : w, nh = swap ? w : h;
    uint8_t *turned = mem_alloc((size_t)nw * (size_t)nh, 3);
    for (int y = 0; y < nh; y++)
        for (int x = 0; x < nw; x++) {
            int sx = swap ? y : x, sy = swap ? x : y;
            if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8) sx = w - 1 - sx;
            if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7) sy = h - 1 - sy;
            memcpy(turned + ((size_t)y * (size_t)nw + (size_t)x) * 3,
                   image->pixels + ((size_t)sy * (size_t)w + (size_t)sx) * 3, 3);
        }
    free(image->pixels);
    *image = (struct image){nw, nh, turned};
}

static void over_white(const uint8_t *rgba, size_t pixels, uint8_t *rgb)
{
    for (size_t i = 0; i < pixels; i++)
        for (int c = 0; c < 3; c++) {
            unsigned v = rgba[4 * i + (size_t)c] * rgba[4 * i + 3] + 255u * (255u - rgba[4 * i + 3]) + 127;
            rgb[3 * i + (size_t)c] = (uint8_t)(v / 255);
        }
}

static int decode_png(const uint8_t *b, size_t len, struct image *image, struct error *error)
{
    struct png_source source = {.bytes = b, .len = len};
    png_structp png = png_source_open(&source);
    png_infop info = png_create_info_struct(png);
    uint8_t *volatile rgba = NULL;
    png_bytep *volatile rows = NULL;
    if (setjmp(png_jmpbuf(png))) {
        free(rgba);
        free((void *)rows);
        return png_source_failed(&source, png, info, error);
    }
    png_read_info(png, info);
    png_set_expand(png); /* palette, low bit depths, tRNS */
    png_set_scale_16(png);
    png_set_gray_to_rgb(png);
    png_set_add_alpha(png, 255, PNG_FILLER_AFTER);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    size_t w = png_get_image_width(png, info), h = png_get_image_height(png, info);
    rgba = mem_alloc(w * h, 4);
    rows = mem_alloc(h, sizeof *rows);
    for (size_t y = 0; y < h; y++) rows[y] = rgba + y * w * 4;
    png_read_image(png, rows);
    png_destroy_read_struct(&png, &info, NULL);
    *image = (struct image){(int)w, (int)h, mem_alloc(w * h, 3)};
    over_white(rgba, w * h, image->pixels);
    free(rgba);
    free((void *)rows);
    return 0;
}

static int decode_webp(const uint8_t *b, size_t len, struct image *image, struct error *error)
{
    WebPBitstreamFeatures f;
    if (WebPGetFeatures(b, len, &f) != VP8_STATUS_OK)
        return error_set(error, ERROR_FAILED, "WebP: damaged or cut short");
    if (f.has_animation) return error_set(error, ERROR_FAILED, "WebP: animations are not supported");
    size_t pixels = (size_t)f.width * (size_t)f.height;
    uint8_t *rgb = mem_alloc(pixels, 3), *rgba = NULL;
    const uint8_t *done;
    if (f.has_alpha) {
        rgba = mem_alloc(pixels, 4);
        done = WebPDecodeRGBAInto(b, len, rgba, pixels * 4, f.width * 4);
        if (done) over_white(rgba, pixels, rgb);
    } else
        done = WebPDecodeRGBInto(b, len, rgb, pixels * 3, f.width * 3);
    free(rgba);
    if (!done) {
        free(rgb);
        return error_set(error, ERROR_FAILED, "WebP: damaged or cut short");
    }
    *image = (struct image){f.width, f.height, rgb};
    return 0;
}

static int probe_within(const uint8_t *b, size_t len, int64_t max_pixels, struct image_info *info, struct error *error)
{
    if (image_probe(b, len, info, error) < 0) return -1;
    if ((int64_t)info->width * info->height > max_pixels)
        return error_set(error, ERROR_FAILED, "%d x %d is over the limit of %ld pixels", info->width, info->height,
                         (long)max_pixels);
    return 0;
}

int image_decode(const uint8_t *b, size_t len, int64_t max_pixels, struct image *image, struct error *error)
{
    struct image_info info;
    struct image out;
    if (probe_within(b, len, max_pixels, &info, error) < 0) return -1;
    int rc = info.format == IMAGE_JPEG  ? jpeg_decode(b, len, NULL, &out, error)
             : info.format == IMAGE_PNG ? decode_png(b, len, &out, error)
                                        : decode_webp(b, len, &out, error);
    if (rc < 0) return -1;
    image_orient(&out, info.orientation);
    *image = out;
    return 0;
}

int image_decode_region(const uint8_t *b, size_t len, int64_t max_pixels, struct image_region *region,
                        struct image *image, struct error *error)
{
    struct image_info info;
    if (probe_within(b, len, max_pixels, &info, error) < 0) return -1;
    if (info.format == IMAGE_JPEG && info.orientation == 1) return jpeg_decode(b, len, region, image, error);
    region->scale = 1;
    region->left = region->top = 0;
    return image_decode(b, len, max_pixels, image, error);
}

static int encode_webp(const struct image *image, int quality, uint8_t **bytes, size_t *len, struct error *error)
{
    WebPConfig config;
    WebPPicture picture;
    WebPMemoryWriter writer;
    if (!WebPConfigPreset(&config, WEBP_PRESET_DEFAULT, (float)quality) || !WebPPictureInit(&picture))
        return error_set(error, ERROR_FAILED, "WebP: wrong library version");
    config.method = 1;
    picture.width = image->width;
    picture.height = image->height;
    WebPMemoryWriterInit(&writer);
    picture.writer = WebPMemoryWrite;
    picture.custom_ptr = &writer;
    int ok = WebPPictureImportRGB(&picture, image->pixels, image->width * 3) && WebPEncode(&config, &picture);
    int code = picture.error_code;
    WebPPictureFree(&picture);
    if (!ok) {
        WebPMemoryWriterClear(&writer);
        return error_set(error, ERROR_FAILED, "WebP: cannot encode %d x %d (code %d)", image->width, image->height,
                         code);
    }
    *bytes = writer.mem;
    *len = writer.size;
    return 0;
}

static int encode_png(const struct image *image, uint8_t **bytes, size_t *len, struct error *error)
{
    png_image png = {.version = PNG_IMAGE_VERSION,
                     .width = (png_uint_32)image->width,
                     .height = (png_uint_32)image->height,
                     .format = PNG_FORMAT_RGB};
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png);
    uint8_t *out = mem_alloc(size, 1);
    if (!png_image_write_to_memory(&png, out, &size, 0, image->pixels, 0, NULL)) {
        free(out);
        return error_set(error, ERROR_FAILED, "PNG: cannot encode %d x %d: %s", image->width, image->height,
                         png.message);
    }
    *bytes = mem_realloc(out, size, 1);
    *len = size;
    return 0;
}

int image_encode(const struct image *image, enum image_format format, int quality, uint8_t **bytes, size_t *len,
                 struct error *error)
{
    return format == IMAGE_WEBP  ? encode_webp(image, quality, bytes, len, error)
           : format == IMAGE_PNG ? encode_png(image, bytes, len, error)
                                 : jpeg_encode(image, quality, bytes, len, error);
}
