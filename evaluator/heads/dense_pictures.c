/* Crops to learn from, and views to be examined. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "data/resize.h"
#include "evaluator/heads/dense.h"

enum { GREY = 128 }; /* what lies outside a picture: 0 to an encoder, nearly */

static int decode(const struct dense *x, const struct dense_pair *pair, struct image *image, struct error *error)
{
    struct fs_map file;
    if (fs_map(pair->picture, &file, error) < 0) return -1;
    int rc = image_decode(file.bytes, file.len, x->max_pixels, image, error);
    fs_unmap(&file);
    return rc < 0 ? error_prefix(error, "%s", pair->picture) : 0;
}

/* --- to learn from --- */

/* The picture scaled to `seen`, of which [top, top + height) x [left, left + width) is cut; never beyond it. */
struct cut {
    struct extent seen;
    int64_t top, left, height, width;
};

/* The pixel of a picture, `from` of an axis, at place i of it scaled to `seen`. */
static int64_t nearest(int64_t i, int64_t from, int64_t seen)
{
    int64_t at = (int64_t)(((double)i + .5) * (double)from / (double)seen);
    return at < from ? at : from - 1;
}

/* Does one class fill over three quarters of the cut?  mmsegmentation then draws another (cat_max_ratio). */
static bool is_dull(const struct cut *c, struct extent size, const uint16_t *classes)
{
    enum { ALL = 65536 };
    int32_t *count = mem_zalloc(ALL, sizeof *count), sum = 0, most = 0, kinds = 0;
    for (int64_t y = 0; y < c->height; y++)
        for (int64_t x = 0; x < c->width; x++) {
            int64_t row = nearest(c->top + y, size.height, c->seen.height);
            uint16_t of = classes[row * size.width + nearest(c->left + x, size.width, c->seen.width)];
            if (of == DENSE_NONE) continue;
            kinds += count[of]++ == 0;
            most = count[of] > most ? count[of] : most;
            sum++;
        }
    free(count);
    return kinds < 2 || (double)most >= 0.75 * (double)sum;
}

static struct cut draw_cut(const struct dense *x, struct extent size, const void *truth, struct rng *rng)
{
    enum { TRIES = 10 };
    const struct dense_settings *c = x->settings;
    bool plain = !strcmp(c->augment, "none");
    double scale = plain ? 1 : rng_range(rng, c->resize_min, c->resize_max), side = scale * (double)x->size;
    double shorter = (double)(size.height < size.width ? size.height : size.width);
    struct cut cut = {.seen = {lround(side), lround(side)}};
    if (!x->task->squashed)
        cut.seen =
            (struct extent){lround(side / shorter * (double)size.height), lround(side / shorter * (double)size.width)};
    cut.seen.height = cut.seen.height < 1 ? 1 : cut.seen.height;
    cut.seen.width = cut.seen.width < 1 ? 1 : cut.seen.width;
    cut.height = cut.seen.height < x->size ? cut.seen.height : x->size;
    cut.width = cut.seen.width < x->size ? cut.seen.width : x->size;
    for (int i = 0; i < TRIES; i++) {
        cut.top = plain ? (cut.seen.height - cut.height) / 2
                        : (int64_t)rng_below(rng, (uint64_t)(cut.seen.height - cut.height) + 1);
        cut.left = plain ? (cut.seen.width - cut.width) / 2
                         : (int64_t)rng_below(rng, (uint64_t)(cut.seen.width - cut.width) + 1);
        if (plain || x->task->squashed || !is_dull(&cut, size, truth)) break;
    }
    return cut;
}

static void cut_pixels(const struct dense *x, const struct image *image, const struct cut *c, uint8_t *out)
{
    double down = (double)image->height / (double)c->seen.height, right = (double)image->width / (double)c->seen.width;
    double x0 = (double)c->left * right, y0 = (double)c->top * down;
    uint8_t *cut = mem_alloc((size_t)(c->height * c->width), 3);
    resize_box(image, x0, y0, fmin(x0 + (double)c->width * right, image->width),
               fmin(y0 + (double)c->height * down, image->height), cut, (int)c->width, (int)c->height);
    memset(out, GREY, (size_t)(x->size * x->size * 3));
    for (int64_t y = 0; y < c->height; y++) memcpy(out + y * x->size * 3, cut + y * c->width * 3, (size_t)c->width * 3);
    free(cut);
}

/* The pixels of truth nearest to those of the cut. */
static void cut_targets(const struct dense *x, struct extent size, const unsigned char *truth, const struct cut *c,
                        unsigned char *out)
{
    size_t bytes = x->task->target_bytes;
    for (int64_t at = 0; at < x->size * x->size; at++) {
        int64_t y = at / x->size, column = at % x->size;
        const void *from = x->task->none;
        if (y < c->height && column < c->width)
            from = truth + (size_t)(nearest(c->top + y, size.height, c->seen.height) * size.width +
                                    nearest(c->left + column, size.width, c->seen.width)) *
                               bytes;
        memcpy(out + (size_t)at * bytes, from, bytes);
    }
}

static void mirror(unsigned char *pixels, int64_t size, size_t bytes)
{
    unsigned char keep[8];
    for (int64_t y = 0; y < size; y++)
        for (int64_t i = 0; i < size / 2; i++) {
            unsigned char *a = pixels + (size_t)(y * size + i) * bytes,
                          *b = pixels + (size_t)(y * size + size - 1 - i) * bytes;
            memcpy(keep, a, bytes);
            memcpy(a, b, bytes);
            memcpy(b, keep, bytes);
        }
}

int64_t dense_make_taught(void *self, int64_t sample, uint64_t epoch, uint8_t *pixels, void *target,
                          struct error *error)
{
    const struct dense *x = self;
    const struct dense_settings *c = x->settings;
    const struct dense_pair *pair = &x->train.list[sample];
    struct image image;
    void *truth;
    if (decode(x, pair, &image, error) < 0) return -1;
    if (x->task->read(x, pair, &truth, error) < 0) {
        image_free(&image);
        return -1;
    }
    struct rng rng = rng_open(x->seed, RNG_CROP, epoch, (uint64_t)sample),
               colours = rng_open(x->seed, RNG_JITTER, epoch, (uint64_t)sample);
    struct cut cut = draw_cut(x, pair->size, truth, &rng);
    cut_pixels(x, &image, &cut, pixels);
    cut_targets(x, pair->size, truth, &cut, target);
    if (strcmp(c->augment, "none") && rng_uniform(&rng) < c->flip) {
        mirror(pixels, x->size, 3);
        mirror(target, x->size, x->task->target_bytes);
    }
    if (strcmp(c->augment, "none") && (c->brightness > 0 || c->saturation > 0))
        augment_colours(&colours, c->brightness, c->saturation, pixels, x->size * x->size);
    image_free(&image);
    free(truth);
    return 1;
}

/* --- to be examined --- */

static int64_t windows(int64_t length, int64_t size, int64_t stride)
{
    return (length - size + stride - 1) / stride + 1;
}

struct dense_views dense_views_of(const struct dense *x, struct extent picture)
{
    const struct dense_settings *c = x->settings;
    if (x->task->squashed) return (struct dense_views){extent_square(x->size), 1, 1 + c->mirror};
    double shorter = (double)(picture.height < picture.width ? picture.height : picture.width);
    double scale = (double)c->short_side / shorter;
    struct dense_views v = {.canvas = {lround(scale * (double)picture.height), lround(scale * (double)picture.width)}};
    v.rows = windows(v.canvas.height, x->size, c->stride);
    v.columns = windows(v.canvas.width, x->size, c->stride);
    return v;
}

struct extent dense_corner(const struct dense *x, const struct dense_views *v, int64_t view)
{
    int64_t y = view / v->columns * x->settings->stride, left = view % v->columns * x->settings->stride;
    if (x->task->squashed) return (struct extent){0, 0};
    return (struct extent){y < v->canvas.height - x->size ? y : v->canvas.height - x->size,
                           left < v->canvas.width - x->size ? left : v->canvas.width - x->size};
}

int64_t dense_make_views(void *self, int64_t sample, uint64_t epoch, uint8_t *pixels, void *target, struct error *error)
{
    const struct dense *x = self;
    const struct dense_pair *pair = &x->viewed->list[sample];
    struct dense_views v = dense_views_of(x, pair->size);
    struct image image;
    int64_t row = x->size * 3;
    (void)epoch, (void)target;
    if (decode(x, pair, &image, error) < 0) return -1;
    uint8_t *canvas = mem_alloc((size_t)extent_area(v.canvas), 3);
    resize_image(&image, canvas, (int)v.canvas.width, (int)v.canvas.height);
    image_free(&image);
    for (int64_t view = 0; view < v.rows * v.columns; view++) {
        struct extent at = dense_corner(x, &v, view);
        uint8_t *to = pixels + view * x->size * row;
        for (int64_t y = 0; y < x->size; y++)
            memcpy(to + y * row, canvas + ((at.height + y) * v.canvas.width + at.width) * 3, (size_t)row);
        if (x->task->squashed && view) mirror(to, x->size, 3);
    }
    free(canvas);
    return v.rows * v.columns;
}
