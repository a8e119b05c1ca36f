/* Make a small DAVIS folder: make_sequences FOLDER [LARGER].  Discs of their own texture that move over another, in
 * videos of several shapes (sides LARGER (1) times as long), with the mask of each frame and a list of their names. */
#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/str.h"
#include "data/image.h"
#include "data/mask.h"

static const struct {
    const char *name;
    int width, height, frames, objects;
} videos[] = {{"ant", 160, 96, 9, 2}, {"bee", 96, 160, 6, 1}, {"cat", 128, 128, 12, 3}, {"dog", 160, 96, 5, 2}};

/* A texture of squares, `kind` 0 for the background, fixed to what it is on. */
static void paint(uint8_t *pixel, uint64_t video, int kind, int x, int y)
{
    struct rng rng = rng_open(video, RNG_TEST, (uint64_t)(kind * 10000 + (y + 1000) / 6), (uint64_t)(x + 1000) / 6);
    for (int c = 0; c < 3; c++) pixel[c] = (uint8_t)(30 + 60 * ((kind + c) % 3) + (int)rng_below(&rng, 70));
}

static void draw(struct image *image, struct mask *mask, uint64_t video, int objects, int larger, int frame)
{
    for (int y = 0; y < image->height; y++)
        for (int x = 0; x < image->width; x++) {
            int64_t at = (int64_t)y * image->width + x;
            int u = x / larger, v = y / larger, number = 0, dx = u, dy = v;
            for (int i = 1; i <= objects; i++) { /* the higher is in front */
                int left = 24 + 26 * i + (i % 2 ? 3 : -2) * frame, top = 30 + 14 * i + (i % 2 ? 1 : 2) * frame;
                if ((u - left) * (u - left) + (v - top) * (v - top) < (14 - i) * (14 - i))
                    number = i, dx = u - left, dy = v - top;
            }
            paint(image->pixels + 3 * at, video, number, dx, dy);
            mask->pixels[at] = (uint16_t)number;
        }
}

/* FOLDER/kind/480p/name/00000.ending, its folder made. */
static char *path_of(const char *folder, const char *kind, const char *name, int frame, const char *ending)
{
    struct error error = {0};
    struct str path = {0};
    str_printf(&path, "%s/%s/480p/%s", folder, kind, name);
    fs_make_folders(path.data, &error);
    str_printf(&path, "/%05d.%s", frame, ending);
    return str_steal(&path);
}

static int write_frame(const char *folder, const char *name, int frame, const struct image *image,
                       const struct mask *mask)
{
    struct error error = {0};
    char *picture = path_of(folder, "JPEGImages", name, frame, "jpg");
    char *numbers = path_of(folder, "Annotations", name, frame, "png");
    uint8_t *bytes;
    size_t len;
    int rc = image_encode(image, IMAGE_JPEG, 95, &bytes, &len, &error);
    if (rc == 0) rc = fs_write(picture, bytes, len, &error);
    if (rc == 0) rc = mask_write(numbers, mask, &error);
    free(bytes);
    free(picture);
    free(numbers);
    return rc;
}

int main(int argc, char **argv)
{
    struct error error = {0};
    struct str list = {0};
    int larger = argc > 2 ? atoi(argv[2]) : 1, rc = 0;
    if (argc < 2 || larger < 1) return 2;
    for (size_t i = 0; i < sizeof videos / sizeof *videos; i++) {
        int width = videos[i].width * larger, height = videos[i].height * larger;
        size_t pixels = (size_t)width * (size_t)height;
        struct image image = {width, height, mem_alloc(pixels, 3)};
        struct mask mask = {.width = width, .height = height, .pixels = mem_alloc(pixels, sizeof *mask.pixels)};
        for (int frame = 0; frame < videos[i].frames && rc == 0; frame++) {
            draw(&image, &mask, i, videos[i].objects, larger, frame);
            rc = write_frame(argv[1], videos[i].name, frame, &image, &mask);
        }
        str_printf(&list, "%s\n", videos[i].name);
        image_free(&image);
        mask_free(&mask);
    }
    char *sets = fs_join(argv[1], "ImageSets/2017"), *val = fs_join(sets, "val.txt");
    if (rc == 0) rc = fs_make_folders(sets, &error);
    if (rc == 0) rc = fs_write(val, list.data, list.len, &error);
    free(sets);
    free(val);
    str_free(&list);
    return rc < 0;
}
