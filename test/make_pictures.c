/* Make test pictures: make_pictures FOLDER COUNT [SIZE].  Scenes of SIZE (48) pixels of coloured shapes as JPEG and
 * WebP with captions NAME.txt, drawn from the project's own encoder, so that tests need no data from outside. */
#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/rng.h"
#include "data/image.h"

static const char *const colours[] = {"red", "green", "blue", "yellow"}, *const shapes[] = {"square", "disc", "stripe"};
static const uint8_t paint[4][3] = {{220, 30, 30}, {30, 180, 60}, {40, 60, 220}, {230, 210, 40}};

static void draw(struct image *image, int colour, int shape, struct rng *rng)
{
    int unit = image->width / 48, cx = unit * (16 + (int)rng_below(rng, 16)),
        cy = unit * (16 + (int)rng_below(rng, 16)), r = unit * (8 + (int)rng_below(rng, 6));
    for (int y = 0; y < image->height; y++)
        for (int x = 0; x < image->width; x++) {
            uint8_t *p = image->pixels + 3 * (y * image->width + x);
            int dx = x - cx, dy = y - cy;
            int in = shape == 0 ? abs(dx) < r && abs(dy) < r : shape == 1 ? dx * dx + dy * dy < r * r : abs(dy) < r / 2;
            for (int c = 0; c < 3; c++) p[c] = (uint8_t)(in ? paint[colour][c] : 200 + (int)rng_below(rng, 56));
        }
}

int main(int argc, char **argv)
{
    struct error error = {0};
    int count = argc > 2 ? atoi(argv[2]) : 0, size = argc > 3 ? atoi(argv[3]) : 48;
    struct image image = {size, size, mem_alloc((size_t)size * (size_t)size, 3)};
    if (!count || size < 48 || fs_make_folders(argv[1], &error) < 0) return 1;
    for (int i = 0; i < count; i++) {
        struct rng rng = rng_open(5, RNG_TEST, (uint64_t)i, 0);
        int colour = (int)rng_below(&rng, 4), shape = (int)rng_below(&rng, 3);
        uint8_t *bytes;
        size_t len;
        char name[64], text[128], *path;
        draw(&image, colour, shape, &rng);
        if (image_encode(&image, i % 2 ? IMAGE_WEBP : IMAGE_JPEG, 90, &bytes, &len, &error) < 0) return 1;
        snprintf(name, sizeof name, "%04d.%s", i, i % 2 ? "webp" : "jpg");
        path = fs_join(argv[1], name);
        if (fs_write(path, bytes, len, &error) < 0) return 1;
        free(path);
        free(bytes);
        snprintf(name, sizeof name, "%04d.txt", i);
        int n = snprintf(text, sizeof text, "a %s %s\n%s in %s\n", colours[colour], shapes[shape], shapes[shape],
                         colours[colour]);
        path = fs_join(argv[1], name);
        if (fs_write(path, text, (size_t)n, &error) < 0) return 1;
        free(path);
    }
    free(image.pixels);
    return 0;
}
