/* Make small pictures with boxes in COCO's layout: make_boxes FOLDER COUNT.  COUNT to learn from (instances_train2017),
 * half as many to be examined (instances_val2017), of several sizes.  Rectangles whose colour is their category, over
 * noise; category ids have gaps and stand in no order; every fifth picture has no box, every third a crowd as well, and
 * one a box that is flat. */
#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/str.h"
#include "data/image.h"

enum { KINDS = 3, BOXES = 3 };
static const int ids[KINDS] = {12, 3, 7};
static const char *const names[KINDS] = {"red", "green", "blue"};

struct lists {
    struct str images, annotations;
    int64_t id;
};

static void annotate(struct lists *l, int image, int kind, int x, int y, int width, int height, bool crowd)
{
    str_printf(&l->annotations,
               "%s\n{\"id\": %ld, \"image_id\": %d, \"category_id\": %d, \"bbox\": [%d, %d, %d, %d], \"area\": %d, "
               "\"iscrowd\": %d}",
               l->annotations.len ? "," : "", (long)++l->id, image, ids[kind], x, y, width, height, width * height,
               crowd);
}

static void fill(const struct image *image, int x, int y, int width, int height, int kind, struct rng *rng)
{
    for (int at = 0; at < width * height; at++) {
        uint8_t *p = image->pixels + 3 * ((y + at / width) * image->width + x + at % width);
        for (int c = 0; c < 3; c++) p[c] = (uint8_t)((c == kind ? 200 : 20) + (int)rng_below(rng, 30));
    }
}

static void draw(struct image *image, int number, struct lists *l)
{
    struct rng rng = rng_open(6, RNG_TEST, (uint64_t)number, 0);
    for (int i = 0; i < 3 * image->width * image->height; i++)
        image->pixels[i] = (uint8_t)(90 + (int)rng_below(&rng, 60));
    for (int i = 0; i < BOXES && number % 5; i++) {
        int width = 8 + (int)rng_below(&rng, 16), height = 8 + (int)rng_below(&rng, 16),
            x = (int)rng_below(&rng, (uint64_t)(image->width - width)),
            y = (int)rng_below(&rng, (uint64_t)(image->height - height)), kind = (int)rng_below(&rng, KINDS);
        fill(image, x, y, width, height, kind, &rng);
        annotate(l, number + 1, kind, x, y, width, height, false);
    }
    if (number % 3 == 0) annotate(l, number + 1, 1, 0, 0, image->width, 10, true);
    if (number == 1) annotate(l, number + 1, 2, 5, 5, 0, 9, false);
}

static int write_picture(const char *folder, const char *split, int number, struct lists *l)
{
    struct error error = {0};
    struct str path = {0};
    struct image image = {.width = 48 + 8 * (number % 3), .height = 40 + 16 * (number % 2)};
    uint8_t *bytes = NULL;
    size_t len;
    image.pixels = mem_alloc((size_t)(image.width * image.height), 3);
    draw(&image, number, l);
    str_printf(&path, "%s/%s/%04d.jpg", folder, split, number);
    int rc = image_encode(&image, IMAGE_JPEG, 95, &bytes, &len, &error);
    if (rc == 0) rc = fs_write(path.data, bytes, len, &error);
    if (rc < 0) fprintf(stderr, "%s\n", error.text);
    str_printf(&l->images, "%s\n{\"id\": %d, \"file_name\": \"%04d.jpg\", \"width\": %d, \"height\": %d}",
               l->images.len ? "," : "", number + 1, number, image.width, image.height);
    image_free(&image);
    str_free(&path);
    free(bytes);
    return rc;
}

static int write_split(const char *folder, const char *split, int first, int end)
{
    struct error error = {0};
    struct lists l = {0};
    struct str out = {0}, path = {0};
    char *pictures = fs_join(folder, split), *annotations = fs_join(folder, "annotations");
    int rc = fs_make_folders(pictures, &error) < 0 || fs_make_folders(annotations, &error) < 0;
    for (int i = first; i < end && rc == 0; i++) rc = write_picture(folder, split, i, &l);
    str_printf(&out, "{\"images\": [%s],\n\"annotations\": [%s],\n\"categories\": [", l.images.data,
               l.annotations.data);
    for (int i = 0; i < KINDS; i++)
        str_printf(&out, "%s{\"id\": %d, \"name\": \"%s\"}", i ? ", " : "", ids[i], names[i]);
    str_puts(&out, "]}\n");
    str_printf(&path, "%s/instances_%s.json", annotations, split);
    if (rc == 0) rc = fs_write(path.data, out.data, out.len, &error);
    str_free(&l.images);
    str_free(&l.annotations);
    str_free(&out);
    str_free(&path);
    free(pictures);
    free(annotations);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc != 3) return fprintf(stderr, "make_boxes FOLDER COUNT\n"), 2;
    int count = atoi(argv[2]);
    return write_split(argv[1], "train2017", 0, count) < 0 || write_split(argv[1], "val2017", count, count * 3 / 2) < 0;
}
