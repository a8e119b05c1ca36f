/* Teachers of places: their rows lie where the picture that is seen has its things, cut and mirrored as it is. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "aligner/teacher.h"
#include "base/fs.h"
#include "base/str.h"
#include "data/mask.h"
#include "data/npy.h"
#include "test/harness.h"

extern const struct teacher teacher_masks, teacher_file;

enum { WIDTH = 96, HEIGHT = 80, SIZE = 48, GRID = 6, CELLS = GRID * GRID };

static int thing_at(int x, int y)
{
    return x < 40 ? y < 50 ? 0 : 7 : y < 30 ? 7 : 300;
}

/* The picture, a colour for each thing, as a record with the key "p"; its map in the test's folder. */
static struct record make_picture(void)
{
    static const uint8_t colours[3][3] = {{200, 0, 0}, {0, 200, 0}, {0, 0, 200}};
    struct image image = {WIDTH, HEIGHT, malloc(WIDTH * HEIGHT * 3)};
    struct error error = {0};
    struct record r = {.media = RECORD_PNG, .metadata = "{\"key\":\"p\"}", .metadata_len = 11};
    uint8_t *bytes;
    for (int i = 0; i < WIDTH * HEIGHT; i++) {
        int thing = thing_at(i % WIDTH, i / WIDTH);
        memcpy(image.pixels + 3 * i, colours[thing == 0 ? 0 : thing == 7 ? 1 : 2], 3);
    }
    EXPECT(image_encode(&image, IMAGE_PNG, 0, &bytes, &r.len, &error) == 0, "%s", error.text);
    r.bytes = bytes;
    image_free(&image);
    return r;
}

/* A map of numbers below 256, by the writer there is: 300 becomes 30. */
static void write_map(const char *folder, int width)
{
    struct mask map = {.width = width, .height = HEIGHT, .pixels = malloc((size_t)width * HEIGHT * sizeof(uint16_t))};
    struct error error = {0};
    char *path = fs_join(folder, "p.png");
    for (int i = 0; i < width * HEIGHT; i++) {
        int thing = thing_at(i % width, i / width);
        map.pixels[i] = (uint16_t)(thing > 255 ? thing / 10 : thing);
    }
    EXPECT(mask_write(path, &map, &error) == 0, "%s", error.text);
    mask_free(&map);
    free(path);
}

/* Which of the three colours a pixel is nearest to. */
static int colour_of(const uint8_t *p)
{
    return p[0] >= p[1] && p[0] >= p[2] ? 0 : p[1] >= p[2] ? 1 : 2;
}

static double cosine(const float *a, const float *b, int64_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (int64_t i = 0; i < n; i++)
        ab += (double)a[i] * (double)b[i], aa += (double)a[i] * (double)a[i], bb += (double)b[i] * (double)b[i];
    return ab / sqrt(aa * bb);
}

/* Cosines of cells as the seen pixels themselves have it: one point a pixel. */
static void wanted_rows(const uint8_t *pixels, float *rows)
{
    double share[CELLS][3] = {{0}}, points[3] = {0};
    for (int i = 0; i < SIZE * SIZE; i++) {
        int colour = colour_of(pixels + 3 * i), cell = i / SIZE / (SIZE / GRID) * GRID + i % SIZE / (SIZE / GRID);
        share[cell][colour] += 1. / (SIZE / GRID * (SIZE / GRID));
        points[colour]++;
    }
    for (int c = 0; c < CELLS; c++)
        for (int k = 0; k < 3; k++) rows[3 * c + k] = (float)(sqrt(points[k]) * (2 * share[c][k] - 1));
}

static void follow(const struct augmentation *a, const char *what)
{
    struct record r = make_picture();
    struct error error = {0};
    struct pupil pupil = {.size = SIZE, .grid = GRID, .max_pixels = 1 << 20, .augmentation = a, .seed = 5};
    struct teacher_settings settings = {.masks = (char *)(uintptr_t)test_folder(), .points = SIZE};
    void *self = mem_zalloc(1, teacher_masks.bytes);
    uint8_t *pixels = malloc(SIZE * SIZE * 3);
    EXPECT(teacher_masks.open(self, &pupil, &settings, &error) == 0, "%s", error.text);
    int flipped = 0;
    for (uint64_t epoch = 0; epoch < 12; epoch++) {
        float want[CELLS * 3];
        EXPECT(augment_training(r.bytes, r.len, 1 << 20, SIZE, a, 5, epoch, 1, pixels, &error) == 0, "%s", error.text);
        wanted_rows(pixels, want);
        struct taught *got = teacher_masks.make(self, &pupil, 1, epoch, &r, &error);
        EXPECT(got, "%s", error.text);
        if (!got) break;
        double worst = 0;
        for (int i = 0; i < CELLS; i++)
            for (int j = 0; j < CELLS; j++) {
                double own = cosine(got->rows + i * got->columns, got->rows + j * got->columns, got->columns);
                worst = fmax(worst, fabs(own - cosine(want + 3 * i, want + 3 * j, 3)));
            }
        EXPECT(worst < 0.05, "%s, epoch %ld: cosines are %.3f apart", what, (long)epoch, worst);
        flipped += augment_view_of(WIDTH, HEIGHT, a, 5, epoch, 1).flipped;
        free(got);
    }
    EXPECT(flipped > 1 && flipped < 11, "%s: %d of 12 mirrored", what, flipped);
    free(pixels);
    free(self);
    free((void *)(uintptr_t)r.bytes);
}

static void masks_follow_the_picture(void)
{
    write_map(test_folder(), WIDTH);
    struct augmentation squash = {.scale_min = 1, .scale_max = 1, .ratio_min = 1, .ratio_max = 1, .flip = 0.5};
    struct augmentation stretch = {
        .scale_min = 1, .scale_max = 1, .ratio_min = 0.75, .ratio_max = 4. / 3, .flip = 0.5, .stretch = true};
    struct augmentation crop = {.scale_min = 0.2, .scale_max = 1, .ratio_min = 0.75, .ratio_max = 4. / 3, .flip = 0.5};
    follow(&squash, "squashed");
    follow(&stretch, "stretched");
    follow(&crop, "cut");
}

static void maps_must_fit(void)
{
    struct record r = make_picture();
    struct error error = {0};
    struct augmentation a = {.scale_min = 1, .scale_max = 1, .ratio_min = 1, .ratio_max = 1};
    struct pupil pupil = {.size = SIZE, .grid = GRID, .max_pixels = 1 << 20, .augmentation = &a};
    struct teacher_settings settings = {.masks = (char *)(uintptr_t)test_folder(), .points = 4};
    void *self = mem_zalloc(1, teacher_masks.bytes);
    write_map(test_folder(), WIDTH / 2);
    EXPECT(teacher_masks.open(self, &pupil, &settings, &error) == 0, "%s", error.text);
    EXPECT(!teacher_masks.make(self, &pupil, 1, 0, &r, &error) &&
               strstr(error.text, "p.png: 48 x 80, its picture is 96 x 80"),
           "%s", error.text);
    free(self);
    free((void *)(uintptr_t)r.bytes);
}

/* float32 [samples, CELLS, 2]: the row of sample n's cell c is n, c. */
static void write_rows(const char *path, int samples)
{
    struct error error = {0};
    char header[128];
    struct str file = {0};
    int len = snprintf(header, sizeof header, "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d, 2), }",
                       samples, CELLS);
    str_append(&file, "\x93NUMPY\x01\x00\x76\x00", 10);
    str_printf(&file, "%-117s\n", header);
    for (int i = 0; i < samples * CELLS; i++) {
        float row[2] = {(float)(i / CELLS), (float)(i % CELLS)};
        str_append(&file, (char *)row, sizeof row);
    }
    EXPECT(len < 117 && fs_write(path, file.data, file.len, &error) == 0, "%s", error.text);
    str_free(&file);
}

static void rows_of_a_file(void)
{
    struct record r = make_picture();
    struct error error = {0};
    struct collection data = {.samples = 3};
    struct augmentation flip = {.scale_min = 1,
                                .scale_max = 1,
                                .ratio_min = 1,
                                .ratio_max = 1,
                                .flip = 0.5,
                                .stretch = true},
                        cut = flip;
    struct pupil pupil = {.size = SIZE, .grid = GRID, .data = &data, .augmentation = &flip, .seed = 5};
    char *path = fs_join(test_folder(), "rows.npy");
    struct teacher_settings settings = {.rows = path};
    void *self = mem_zalloc(1, teacher_file.bytes);
    write_rows(path, 3);
    EXPECT(teacher_file.open(self, &pupil, &settings, &error) == 0, "%s", error.text);
    for (uint64_t epoch = 0; epoch < 6; epoch++) {
        struct taught *got = teacher_file.make(self, &pupil, 2, epoch, &r, &error);
        bool flipped = augment_view_of(WIDTH, HEIGHT, &flip, 5, epoch, 2).flipped;
        EXPECT(got && got->columns == 2, "%s", error.text);
        for (int i = 0; got && i < CELLS; i++) {
            int cell = flipped ? i / GRID * GRID + GRID - 1 - i % GRID : i;
            EXPECT(got->rows[2 * i] == 2 && got->rows[2 * i + 1] == (float)cell, "epoch %ld, cell %d: %g %g",
                   (long)epoch, i, (double)got->rows[2 * i], (double)got->rows[2 * i + 1]);
        }
        free(got);
    }
    teacher_file.close(self);
    cut.ratio_max = 1.5;
    pupil.augmentation = &cut;
    EXPECT(teacher_file.open(self, &pupil, &settings, &error) < 0 && strstr(error.text, "of whole pictures"), "%s",
           error.text);
    pupil.augmentation = &flip;
    error = (struct error){0};
    data.samples = 4;
    EXPECT(teacher_file.open(self, &pupil, &settings, &error) < 0 && strstr(error.text, "rows of 3 samples"), "%s",
           error.text);
    teacher_file.close(self);
    data.samples = 3;
    pupil.grid = 4;
    error = (struct error){0};
    EXPECT(teacher_file.open(self, &pupil, &settings, &error) < 0 && strstr(error.text, "36 cells a picture"), "%s",
           error.text);
    teacher_file.close(self);
    free(self);
    free(path);
    free((void *)(uintptr_t)r.bytes);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"masks_follow_the_picture", masks_follow_the_picture},
                                     {"maps_must_fit", maps_must_fit},
                                     {"rows_of_a_file", rows_of_a_file},
                                     {0}});
}
