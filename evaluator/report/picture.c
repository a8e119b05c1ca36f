/* Scaling and inlining. */
#include "evaluator/report/picture.h"

#include <stdlib.h>

#include "base/fs.h"
#include "base/memory.h"
#include "data/resize.h"
#include "evaluator/metrics/pairs.h"
#include "evaluator/report/html.h"

enum { QUALITY = 82 };

void picture_fit(struct image *image, int side)
{
    int longer = image->width > image->height ? image->width : image->height;
    if (longer <= side) return;
    int width = (int)((int64_t)image->width * side / longer), height = (int)((int64_t)image->height * side / longer);
    struct image out = {width > 0 ? width : 1, height > 0 ? height : 1, NULL};
    out.pixels = mem_alloc((size_t)out.width * (size_t)out.height, 3);
    resize_image(image, out.pixels, out.width, out.height);
    image_free(image);
    *image = out;
}

int picture_read(const char *path, int side, struct image *image, struct error *error)
{
    struct fs_map file;
    if (fs_map(path, &file, error) < 0) return -1;
    int rc = image_decode(file.bytes, file.len, PAIRS_MOST_PIXELS, image, error);
    fs_unmap(&file);
    if (rc < 0) return error_prefix(error, "%s", path);
    picture_fit(image, side);
    return 0;
}

int picture_sample(const struct collection *data, int64_t sample, int side, struct image *image, struct error *error)
{
    enum { FRAMES = 3 };
    char rule[] = "span";
    struct media_settings settings = {
        .frames = FRAMES, .max_pixels = PAIRS_MOST_PIXELS, .frame_rule = rule, .video_seconds = 60};
    struct media_options options = media_options_of(&settings);
    struct record record = {0};
    struct image pictures[FRAMES];
    double seconds[FRAMES];
    if (collection_read(data, sample, &record, error) < 0) return -1;
    int count = media_pictures(&record, &options, pictures, seconds, error);
    record_release(&record);
    for (int i = 0; i < count; i++)
        if (i != count / 2) image_free(&pictures[i]);
    if (count <= 0) return -1;
    *image = pictures[count / 2];
    picture_fit(image, side);
    return 0;
}

int picture_uri(struct str *out, const struct image *image, enum picture_kind kind, struct error *error)
{
    enum image_format format = kind == PICTURE_FLAT ? IMAGE_PNG : IMAGE_WEBP;
    uint8_t *bytes;
    size_t len;
    if (image_encode(image, format, QUALITY, &bytes, &len, error) < 0) return -1;
    str_puts(out, kind == PICTURE_FLAT ? "data:image/png;base64," : "data:image/webp;base64,");
    html_base64(out, bytes, len);
    free(bytes);
    return 0;
}

int picture_put(struct str *out, const struct image *image, enum picture_kind kind, const char *text,
                struct error *error)
{
    str_printf(out, "<img%s width=\"%d\" height=\"%d\"", kind == PICTURE_FLAT ? " class=\"flat\"" : "", image->width,
               image->height);
    html_put(out, " alt=\"", text, "\"");
    html_put(out, " title=\"", text, "\" src=\"");
    int rc = picture_uri(out, image, kind, error);
    str_puts(out, "\">");
    return rc;
}
