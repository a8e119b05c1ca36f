/* JPEG through libjpeg-turbo's own interface, which can decode scaled and cropped and knows CMYK. */
#include "data/jpeg.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "base/memory.h"

struct handler {
    struct jpeg_error_mgr base;
    jmp_buf back;
    char text[JMSG_LENGTH_MAX];
};

static void fail(j_common_ptr info)
{
    struct handler *h = (struct handler *)info->err;
    info->err->format_message(info, h->text);
    longjmp(h->back, 1);
}

static void quiet(j_common_ptr info)
{
    (void)info;
}

/* Warnings: data that ends early is an error for us, other oddities are fine. */
static void warn(j_common_ptr info, int level)
{
    if (level < 0) {
        info->err->num_warnings++;
        char text[JMSG_LENGTH_MAX];
        info->err->format_message(info, text);
        if (strstr(text, "Premature end")) fail(info);
    }
}

static void prepare(struct jpeg_decompress_struct *in, struct handler *h)
{
    in->err = jpeg_std_error(&h->base);
    h->base.error_exit = fail;
    h->base.output_message = quiet;
    h->base.emit_message = warn;
}

int jpeg_probe(const uint8_t *bytes, size_t len, struct image_info *info, struct error *error)
{
    struct jpeg_decompress_struct in;
    struct handler h;
    prepare(&in, &h);
    if (setjmp(h.back)) {
        jpeg_destroy_decompress(&in);
        return error_set(error, ERROR_FAILED, "JPEG: %s", h.text);
    }
    jpeg_create_decompress(&in);
    jpeg_mem_src(&in, bytes, len);
    jpeg_save_markers(&in, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(&in, TRUE);
    info->width = (int)in.image_width;
    info->height = (int)in.image_height;
    for (jpeg_saved_marker_ptr m = in.marker_list; m; m = m->next)
        if (m->marker == JPEG_APP0 + 1 && m->data_length > 6 && !memcmp(m->data, "Exif\0", 6)) {
            info->orientation = exif_orientation(m->data + 6, m->data_length - 6);
            break;
        }
    jpeg_destroy_decompress(&in);
    return 0;
}

/* Inverted CMYK as Adobe writes it -> RGB, with PIL's rounding. */
static void from_cmyk(const uint8_t *cmyk, int count, bool inverted, uint8_t *rgb)
{
    for (int i = 0; i < count; i++) {
        int k = inverted ? cmyk[4 * i + 3] : 255 - cmyk[4 * i + 3];
        for (int c = 0; c < 3; c++) {
            int ink = inverted ? 255 - cmyk[4 * i + c] : cmyk[4 * i + c], t = ink * k + 128;
            int v = k - ((t + (t >> 8)) >> 8);
            rgb[3 * i + c] = (uint8_t)(v < 0 ? 0 : v);
        }
    }
}

/* Choose the rows and columns to decode; returns the first row and the number of rows. */
static void crop(struct jpeg_decompress_struct *in, struct image_region *r, JDIMENSION *top, JDIMENSION *rows)
{
    int s = r->scale;
    JDIMENSION left = (JDIMENSION)(r->x / s), right = (JDIMENSION)((r->x + r->width + s - 1) / s) + 2;
    if (right > in->output_width) right = in->output_width;
    if (left >= 2) left -= 2; /* neighbours for the smoothing of chroma at the edge */
    JDIMENSION width = right - left;
    if (left > 0 || width < in->output_width) jpeg_crop_scanline(in, &left, &width);
    *top = (JDIMENSION)(r->y / s);
    JDIMENSION bottom = (JDIMENSION)((r->y + r->height + s - 1) / s);
    if (bottom > in->output_height) bottom = in->output_height;
    *rows = bottom - *top;
    r->left = (int)left;
    r->top = (int)*top;
}

int jpeg_decode(const uint8_t *bytes, size_t len, struct image_region *region, struct image *image, struct error *error)
{
    struct jpeg_decompress_struct in;
    struct handler h;
    uint8_t *volatile pixels = NULL, *volatile line = NULL;
    prepare(&in, &h);
    if (setjmp(h.back)) {
        jpeg_destroy_decompress(&in);
        free(pixels);
        free(line);
        return error_set(error, ERROR_FAILED, "JPEG: %s", h.text);
    }
    jpeg_create_decompress(&in);
    jpeg_mem_src(&in, bytes, len);
    jpeg_read_header(&in, TRUE);
    bool four = in.jpeg_color_space == JCS_CMYK || in.jpeg_color_space == JCS_YCCK;
    in.out_color_space = four ? JCS_CMYK : JCS_RGB;
    if (region) { /* training pictures: the last bit of chroma is not worth its time */
        in.scale_num = 1;
        in.scale_denom = (unsigned)region->scale;
        in.do_fancy_upsampling = FALSE;
        in.dct_method = JDCT_IFAST;
    }
    jpeg_start_decompress(&in);
    JDIMENSION top = 0, rows = in.output_height;
    if (region) crop(&in, region, &top, &rows);
    size_t width = in.output_width;
    pixels = mem_alloc(width * rows, 3);
    if (four) line = mem_alloc(width, 4);
    if (top) jpeg_skip_scanlines(&in, top);
    for (JDIMENSION y = 0; y < rows; y++) {
        JSAMPROW row = four ? line : pixels + y * width * 3;
        jpeg_read_scanlines(&in, &row, 1);
        if (four) from_cmyk(line, (int)width, in.saw_Adobe_marker, pixels + y * width * 3);
    }
    if (top + rows < in.output_height)
        jpeg_abort_decompress(&in); /* the rest is not wanted */
    else
        jpeg_finish_decompress(&in);
    jpeg_destroy_decompress(&in);
    free(line);
    *image = (struct image){(int)width, (int)rows, pixels};
    return 0;
}

int jpeg_encode(const struct image *image, int quality, uint8_t **bytes, size_t *len, struct error *error)
{
    struct jpeg_compress_struct out;
    struct handler h;
    unsigned char *volatile buffer = NULL;
    unsigned long size = 0;
    unsigned char *volatile *at = &buffer;
    out.err = jpeg_std_error(&h.base);
    h.base.error_exit = fail;
    h.base.output_message = quiet;
    if (setjmp(h.back)) {
        jpeg_destroy_compress(&out);
        free(buffer);
        return error_set(error, ERROR_FAILED, "JPEG: %s", h.text);
    }
    jpeg_create_compress(&out);
    jpeg_mem_dest(&out, (unsigned char **)at, &size);
    out.image_width = (JDIMENSION)image->width;
    out.image_height = (JDIMENSION)image->height;
    out.input_components = 3;
    out.in_color_space = JCS_RGB;
    jpeg_set_defaults(&out);
    jpeg_set_quality(&out, quality, TRUE);
    jpeg_start_compress(&out, TRUE);
    while (out.next_scanline < out.image_height) {
        JSAMPROW row = image->pixels + (size_t)out.next_scanline * (size_t)image->width * 3;
        jpeg_write_scanlines(&out, &row, 1);
    }
    jpeg_finish_compress(&out);
    jpeg_destroy_compress(&out);
    *bytes = buffer;
    *len = size;
    return 0;
}
