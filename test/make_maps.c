/* Make small pictures whose pixels have a class and a depth: make_maps FOLDER COUNT.  COUNT to learn from, half as many
 * to be examined, of several sizes, in ADE20K's layout (FOLDER/ade: 0 is other, 4 classes) and NYU's (FOLDER/depth:
 * 16-bit .png of millimetres, every third to learn from an .npy of metres).  Discs whose colour is their class and
 * whose depth is their size, over a floor that goes up. */
#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/str.h"
#include "data/image.h"
#include "data/mask.h"
#include "data/npy.h"

enum { DISCS = 3 };

struct scene {
    struct image image;
    struct mask mask;
    float *metres;
};

static void draw(struct scene *s, int number)
{
    struct rng rng = rng_open(5, RNG_TEST, (uint64_t)number, 0);
    int w = s->image.width, h = s->image.height, x[DISCS], y[DISCS], r[DISCS];
    for (int i = 0; i < DISCS; i++) {
        x[i] = (int)rng_below(&rng, (uint64_t)w);
        y[i] = (int)rng_below(&rng, (uint64_t)h);
        r[i] = 6 + (int)rng_below(&rng, 8);
    }
    for (int at = 0; at < w * h; at++) {
        int class = at / w < h / 5 ? 0 : 1; /* other, floor */
        s->metres[at] = class ? 1 + 8 * (1 - (float)(at / w) / (float)h) : 0;
        for (int i = 0; i < DISCS; i++) {
            int dx = at % w - x[i], dy = at / w - y[i];
            if (dx * dx + dy * dy >= r[i] * r[i]) continue;
            class = 2 + i;
            s->metres[at] = 20 / (float)r[i];
        }
        for (int c = 0; c < 3; c++)
            s->image.pixels[3 * at + c] = (uint8_t)(40 + (class * (c + 2) % 5) * 40 + (int)rng_below(&rng, 20));
        s->mask.pixels[at] = (uint16_t) class;
    }
}

/* folder/side/NAME, the folder made. */
static char *path_of(const char *folder, const char *layout, const char *side, const char *format, int number)
{
    struct error error = {0};
    struct str path = {0};
    str_printf(&path, "%s/%s/%s", folder, layout, side);
    fs_make_folders(path.data, &error);
    str_putc(&path, '/');
    str_printf(&path, format, number);
    return str_steal(&path);
}

/* 16-bit grey, a thousand to the metre. */
static int write_depth(const char *path, const struct scene *s, struct error *error)
{
    png_image png = {.version = PNG_IMAGE_VERSION,
                     .width = (png_uint_32)s->image.width,
                     .height = (png_uint_32)s->image.height,
                     .format = PNG_FORMAT_LINEAR_Y};
    size_t area = (size_t)s->image.width * (size_t)s->image.height;
    uint16_t *grey = mem_alloc(area, sizeof *grey);
    for (size_t i = 0; i < area; i++) grey[i] = (uint16_t)lroundf(1000 * s->metres[i]);
    int written = png_image_write_to_file(&png, path, 0, grey, 0, NULL);
    free(grey);
    return written ? 0 : error_set(error, ERROR_FAILED, "%s: %s", path, png.message);
}

static int write_all(const struct scene *s, const char *folder, bool train, int number)
{
    struct error error = {0};
    const char *side = train ? "training" : "validation", *half = train ? "train" : "test";
    char *paths[] = {path_of(folder, "ade/images", side, "%04d.jpg", number),
                     path_of(folder, "ade/annotations", side, "%04d.png", number),
                     path_of(folder, "depth", half, "rgb_%04d.jpg", number),
                     path_of(folder, "depth", half,
                             train && number % 3 == 1 ? "sync_depth_%04d.npy" : "sync_depth_%04d.png", number)};
    uint8_t *bytes;
    size_t len;
    int rc = image_encode(&s->image, IMAGE_JPEG, 95, &bytes, &len, &error);
    for (int i = 0; i < 4 && rc == 0; i += 2) rc = fs_write(paths[i], bytes, len, &error);
    if (rc == 0) rc = mask_write(paths[1], &s->mask, &error);
    if (rc == 0)
        rc = train && number % 3 == 1 ? npy_write(paths[3], s->metres, s->image.height, s->image.width, &error)
                                      : write_depth(paths[3], s, &error);
    if (rc < 0) fprintf(stderr, "%s\n", error.text);
    free(bytes);
    for (int i = 0; i < 4; i++) free(paths[i]);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc != 3) return fprintf(stderr, "make_maps FOLDER COUNT\n"), 2;
    int count = atoi(argv[2]), rc = 0;
    for (int i = 0; i < count + count / 2 && rc == 0; i++) {
        struct scene s = {.image = {.width = 48 + 8 * (i % 3), .height = 40 + 16 * (i % 2)}};
        size_t area = (size_t)(s.image.width * s.image.height);
        s.mask = (struct mask){.width = s.image.width, .height = s.image.height, .pixels = mem_alloc(area, 2)};
        s.image.pixels = mem_alloc(area, 3);
        s.metres = mem_alloc(area, sizeof *s.metres);
        draw(&s, i);
        rc = write_all(&s, argv[1], i < count, i);
        image_free(&s.image);
        mask_free(&s.mask);
        free(s.metres);
    }
    return rc < 0;
}
