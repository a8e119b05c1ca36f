/* Crop, jitter, flip. */
#include "data/augment.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "data/resize.h"
#include "data/wide.h"

#define AT(field) offsetof(struct augment_settings, field)
/* clang-format off */
const struct option augment_options[] = {
    {OPTION_CHOICE, "aug", AT(kind), "pe", 0, 0, "pe|none", "random crop, jitter and flip, or the plain squash", OPTION_IDENTITY},
    {OPTION_REAL, "aug-scale-min", AT(scale_min), "0.08", 0.001, 1, NULL, "smallest area of a crop", OPTION_IDENTITY},
    {OPTION_REAL, "aug-scale-max", AT(scale_max), "1", 0.001, 1, NULL, "largest area of a crop", OPTION_IDENTITY},
    {OPTION_REAL, "aug-ratio-min", AT(ratio_min), "0.75", 0.01, 100, NULL, "smallest width / height of a crop", OPTION_IDENTITY},
    {OPTION_REAL, "aug-ratio-max", AT(ratio_max), "1.3333333333333333", 0.01, 100, NULL, "largest width / height of a crop", OPTION_IDENTITY},
    {OPTION_REAL, "aug-brightness", AT(brightness), "0.32", 0, 1, NULL, "brightness jitter", OPTION_IDENTITY},
    {OPTION_REAL, "aug-saturation", AT(saturation), "0.32", 0, 1, NULL, "saturation jitter", OPTION_IDENTITY},
    {OPTION_REAL, "aug-flip", AT(flip), "0.5", 0, 1, NULL, "probability of a horizontal flip", OPTION_IDENTITY},
    {0}};
/* clang-format on */

int augmentation_of(struct augmentation *augmentation, const struct augment_settings *c, struct error *error)
{
    bool plain = !strcmp(c->kind, "none");
    *augmentation = (struct augmentation){.scale_min = plain ? 1 : c->scale_min,
                                          .scale_max = plain ? 1 : c->scale_max,
                                          .ratio_min = c->ratio_min,
                                          .ratio_max = c->ratio_max,
                                          .brightness = plain ? 0 : c->brightness,
                                          .saturation = plain ? 0 : c->saturation,
                                          .flip = plain ? 0 : c->flip};
    if (augmentation->scale_min > augmentation->scale_max || c->ratio_min > c->ratio_max)
        return error_set(error, ERROR_USAGE, "--aug-scale-min and --aug-ratio-min must not exceed their maxima");
    return 0;
}

/* In place. */
static int cut_border(struct image *image, int border, struct error *error)
{
    int width = image->width - 2 * border, height = image->height - 2 * border;
    if (width < 1 || height < 1)
        return error_set(error, ERROR_FAILED, "%d x %d pixels leave nothing within a border of %d", image->width,
                         image->height, border);
    for (int y = 0; y < height; y++)
        memmove(image->pixels + (size_t)y * (size_t)width * 3,
                image->pixels + 3 * ((size_t)(y + border) * (size_t)image->width + (size_t)border), (size_t)width * 3);
    image->width = width;
    image->height = height;
    return 0;
}

int augment_evaluation(const uint8_t *bytes, size_t len, int64_t max_pixels, int border, int size, uint8_t *out,
                       struct error *error)
{
    struct image image;
    if (image_decode(bytes, len, max_pixels, &image, error) < 0) return -1;
    int rc = border ? cut_border(&image, border, error) : 0;
    if (rc == 0) resize_image(&image, out, size, size);
    image_free(&image);
    return rc;
}

struct box {
    int x, y, width, height;
};

/* torchvision's RandomResizedCrop.get_params. */
static struct box random_crop(struct rng *rng, int width, int height, const struct augmentation *a)
{
    double area = (double)width * height;
    for (int attempt = 0; attempt < 10; attempt++) {
        double target = area * rng_range(rng, a->scale_min, a->scale_max),
               ratio = exp(rng_range(rng, log(a->ratio_min), log(a->ratio_max)));
        int w = (int)lround(sqrt(target * ratio)), h = (int)lround(sqrt(target / ratio));
        if (w < 1 || h < 1 || w > width || h > height) continue;
        return (struct box){(int)rng_below(rng, (uint64_t)(width - w) + 1),
                            (int)rng_below(rng, (uint64_t)(height - h) + 1), w, h};
    }
    double ratio = (double)width / height;
    int w = width, h = height;
    if (ratio < a->ratio_min)
        h = (int)lround(w / a->ratio_min);
    else if (ratio > a->ratio_max)
        w = (int)lround(h * a->ratio_max);
    return (struct box){(width - w) / 2, (height - h) / 2, w, h};
}

/* The largest part of another shape. */
static struct box stretch(struct rng *rng, int width, int height, const struct augmentation *a)
{
    double ratio = exp(rng_range(rng, log(a->ratio_min), log(a->ratio_max)));
    int w = ratio < 1 ? (int)lround(width * ratio) : width, h = ratio > 1 ? (int)lround(height / ratio) : height;
    if (w < 1) w = 1;
    if (h < 1) h = 1;
    return (struct box){(int)rng_below(rng, (uint64_t)(width - w) + 1), (int)rng_below(rng, (uint64_t)(height - h) + 1),
                        w, h};
}

static inline int blend(int from, int to, int factor)
{
    int v = ((from << 16) + factor * (to - from) + (1 << 15)) >> 16;
    return v < 0 ? 0 : v > 255 ? 255 : v;
}

enum { LOT = 64 };

/* Brightness, then saturation, of LOT pixels held channel by channel: a loop the compiler turns into vectors. */
WIDE static void jitter_lot(int r[LOT], int g[LOT], int b[LOT], int bright, int colour)
{
    for (int i = 0; i < LOT; i++) {
        int x = blend(0, r[i], bright), y = blend(0, g[i], bright), z = blend(0, b[i], bright);
        int grey = (x * 19595 + y * 38470 + z * 7471 + 0x8000) >> 16;
        r[i] = blend(grey, x, colour);
        g[i] = blend(grey, y, colour);
        b[i] = blend(grey, z, colour);
    }
}

void augment_colours(struct rng *rng, double brightness, double saturation, uint8_t *pixels, int64_t count)
{
    int bright = (int)(65536 * rng_range(rng, 1 - brightness, 1 + brightness));
    int colour = (int)(65536 * rng_range(rng, 1 - saturation, 1 + saturation));
    int r[LOT] = {0}, g[LOT] = {0}, b[LOT] = {0};
    for (int64_t at = 0; at < count; at += LOT) {
        int n = count - at < LOT ? (int)(count - at) : LOT;
        uint8_t *p = pixels + 3 * at;
        for (int i = 0; i < n; i++) r[i] = p[3 * i], g[i] = p[3 * i + 1], b[i] = p[3 * i + 2];
        jitter_lot(r, g, b, bright, colour);
        for (int i = 0; i < n; i++)
            p[3 * i] = (uint8_t)r[i], p[3 * i + 1] = (uint8_t)g[i], p[3 * i + 2] = (uint8_t)b[i];
    }
}

void augment_mirror(uint8_t *pixels, int size)
{
    for (int y = 0; y < size; y++)
        for (int x = 0; x < size / 2; x++) {
            uint8_t *a = pixels + 3 * (y * size + x), *b = pixels + 3 * (y * size + size - 1 - x), keep[3];
            memcpy(keep, a, 3);
            memcpy(a, b, 3);
            memcpy(b, keep, 3);
        }
}

/* Decode what the crop needs and resample it. */
static int crop_and_resize(const uint8_t *bytes, size_t len, int64_t max_pixels, struct box box, int size, uint8_t *out,
                           struct error *error)
{
    int shorter = box.width < box.height ? box.width : box.height, scale = 1;
    while (scale < 8 && shorter / (2 * scale) >= size) scale *= 2;
    /* the triangle filter reaches one source pixel beyond the box on each side (more when it reduces) */
    int margin = (box.width > box.height ? box.width : box.height) / size + 2 * scale;
    struct image_region region = {.scale = scale};
    region.x = box.x > margin ? box.x - margin : 0;
    region.y = box.y > margin ? box.y - margin : 0;
    region.width = box.x + box.width + margin - region.x;
    region.height = box.y + box.height + margin - region.y;
    struct image image;
    if (image_decode_region(bytes, len, max_pixels, &region, &image, error) < 0) return -1;
    double s = region.scale, x0 = box.x / s - region.left, y0 = box.y / s - region.top;
    double x1 = fmin(x0 + box.width / s, image.width), y1 = fmin(y0 + box.height / s, image.height);
    resize_box(&image, x0, y0, x1, y1, out, size, size);
    image_free(&image);
    return 0;
}

/* The draws of one sample: of the same size, the same for all its pictures. */
struct draws {
    struct rng crop, colour;
    struct box box;
};

static struct draws draw(int width, int height, const struct augmentation *a, uint64_t seed, uint64_t epoch,
                         uint64_t sample)
{
    struct draws d = {
        rng_open(seed, RNG_CROP, epoch, sample), rng_open(seed, RNG_JITTER, epoch, sample), {0, 0, width, height}};
    if (a->scale_min < 1)
        d.box = random_crop(&d.crop, width, height, a);
    else if (a->stretch)
        d.box = stretch(&d.crop, width, height, a);
    return d;
}

struct augment_view augment_view_of(int width, int height, const struct augmentation *a, uint64_t seed, uint64_t epoch,
                                    uint64_t sample)
{
    struct draws d = draw(width, height, a, seed, epoch, sample);
    return (struct augment_view){d.box.x, d.box.y, d.box.width, d.box.height, rng_uniform(&d.crop) < a->flip};
}

static void finish(struct draws *d, const struct augmentation *a, int size, uint8_t *out)
{
    if (a->brightness > 0 || a->saturation > 0)
        augment_colours(&d->colour, a->brightness, a->saturation, out, (int64_t)size * size);
    if (rng_uniform(&d->crop) < a->flip) augment_mirror(out, size);
}

int augment_training(const uint8_t *bytes, size_t len, int64_t max_pixels, int size, const struct augmentation *a,
                     uint64_t seed, uint64_t epoch, uint64_t sample, uint8_t *out, struct error *error)
{
    struct image_info info;
    if (image_probe(bytes, len, &info, error) < 0) return -1;
    struct draws d = draw(info.width, info.height, a, seed, epoch, sample);
    if (crop_and_resize(bytes, len, max_pixels, d.box, size, out, error) < 0) return -1;
    finish(&d, a, size, out);
    return 0;
}

void augment_image(const struct image *image, int size, const struct augmentation *a, uint64_t seed, uint64_t epoch,
                   uint64_t sample, uint8_t *out)
{
    if (!a) {
        resize_image(image, out, size, size);
        return;
    }
    struct draws d = draw(image->width, image->height, a, seed, epoch, sample);
    resize_box(image, d.box.x, d.box.y, d.box.x + d.box.width, d.box.y + d.box.height, out, size, size);
    finish(&d, a, size, out);
}
