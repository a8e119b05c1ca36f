/* Heads over pixels from inside: pictures and truth are cut together, windows cover a picture, batch norm gathers what
 * PyTorch's would, schedules are those of the recipes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/str.h"
#include "evaluator/heads/dense.h"
#include "optim/schedule.h"
#include "test/harness.h"

extern const struct head_kind head_segment;
enum { SIZE = 32, TRAIN = 12 };

static const struct world world = {.size = 1, .node_ranks = 1};

static char *maps(void)
{
    static char *folder;
    const char *build = getenv("BUILD");
    if (folder) return folder;
    folder = fs_join(test_folder(), "maps");
    EXPECT(test_shell(NULL, "%s/test/make_maps %s %d", build ? build : "build/release", folder, TRAIN) == 0, "no maps");
    return folder;
}

static struct dense_settings settings(void)
{
    return (struct dense_settings){.augment = "dense",
                                   .resize_min = 0.5,
                                   .resize_max = 2,
                                   .flip = 0.5,
                                   .classes = 4,
                                   .ignored = 255,
                                   .short_side = SIZE,
                                   .stride = 12,
                                   .reduce = true};
}

static struct dense open_set(const struct dense_settings *c)
{
    struct error e = {0};
    struct dense x = {.settings = c, .task = &dense_labels, .size = SIZE, .max_pixels = 1000000, .seed = 3};
    char *folder = fs_join(maps(), "ade");
    EXPECT(dense_list_ade(&x.train, folder, true, &e) == 0 && dense_measure(&x.train, &world, &e) == 0, "%s", e.text);
    EXPECT(x.train.count == TRAIN, "%ld pictures", (long)x.train.count);
    free(folder);
    return x;
}

/* The class whose colour (make_maps) a pixel has, or nearly. */
static int class_of(const uint8_t *pixel)
{
    int best = 0, least = 1 << 20;
    for (int class = 0; class < 5; class ++) {
        int off = 0;
        for (int c = 0; c < 3; c++) off += abs(pixel[c] - (50 + (class * (c + 2) % 5) * 40));
        if (off < least) least = off, best = class;
    }
    return best;
}

static void picture_and_truth_are_cut_together(void)
{
    struct dense_settings c = settings();
    struct dense x = open_set(&c);
    struct error e = {0};
    static uint8_t pixels[2][SIZE * SIZE * 3];
    static uint16_t targets[2][SIZE * SIZE];
    int64_t agree = 0, scored = 0, padded = 0, moved = 0;
    for (int64_t i = 0; i < TRAIN; i++)
        for (uint64_t epoch = 0; epoch < 4; epoch++) {
            for (int k = 0; k < 2; k++)
                EXPECT(dense_make_taught(&x, i, epoch, pixels[k], targets[k], &e) == 1, "%s", e.text);
            EXPECT(!memcmp(pixels[0], pixels[1], sizeof pixels[0]) &&
                       !memcmp(targets[0], targets[1], sizeof targets[0]),
                   "picture %ld of epoch %ld is not the same twice", (long)i, (long)epoch);
            EXPECT(dense_make_taught(&x, i, epoch + 9, pixels[1], targets[1], &e) == 1, "%s", e.text);
            moved += memcmp(pixels[0], pixels[1], sizeof pixels[0]) != 0;
            for (int at = 0; at < SIZE * SIZE; at++) {
                if (targets[0][at] == DENSE_NONE) {
                    padded++;
                    continue;
                }
                scored++;
                agree += class_of(pixels[0] + 3 * at) == targets[0][at] + 1;
            }
        }
    EXPECT((double)agree > 0.9 * (double)scored, "%ld of %ld pixels have their class's colour", (long)agree,
           (long)scored);
    EXPECT(padded > 0 && moved == 4 * TRAIN, "%ld pixels beyond a picture; %ld cuts that differ", (long)padded,
           (long)moved);
    dense_set_close(&x.train);
}

/* mmsegmentation's positions, as its numbers are for 512 x 683: ceil((size - crop) / stride) + 1. */
static void windows_cover_a_picture(void)
{
    struct dense_settings c = settings();
    struct dense x = {.settings = &c, .task = &dense_labels, .size = 512};
    c.short_side = 512;
    c.stride = 341;
    struct dense_views v = dense_views_of(&x, (struct extent){300, 400});
    EXPECT(v.canvas.height == 512 && v.canvas.width == 683 && v.rows == 1 && v.columns == 2, "%ld x %ld windows",
           (long)v.rows, (long)v.columns);
    EXPECT(dense_corner(&x, &v, 0).width == 0 && dense_corner(&x, &v, 1).width == 171, "the last is shifted in");
    v = dense_views_of(&x, (struct extent){400, 400});
    EXPECT(v.rows == 1 && v.columns == 1, "one window");
    c.short_side = 1024;
    v = dense_views_of(&x, (struct extent){400, 400});
    EXPECT(v.rows == 3 && v.columns == 3 && dense_corner(&x, &v, 8).height == 512, "%ld x %ld windows", (long)v.rows,
           (long)v.columns);
}

/* A vector of a run's last checkpoint; NULL: not there. */
static float *weight(struct arena *arena, const char *run, const char *name, int64_t *count)
{
    struct error e = {0};
    struct safetensors file;
    struct str path = {0};
    str_printf(&path, "%s/%s.run/checkpoints/latest/model.safetensors", test_folder(), run);
    EXPECT(safetensors_open(&file, path.data, &e) == 0, "%s", e.text);
    float *out = test_vector(arena, &file, name, count);
    EXPECT(out, "%s: no %s", path.data, name);
    safetensors_close(&file);
    str_free(&path);
    return out;
}

static void segment(const char *norm)
{
    enum { WORDS = 64 };
    char *argv[WORDS], *rest = NULL;
    struct str all = {0};
    struct error e = {0};
    int argc = 0;
    str_printf(&all,
               "--weights init:2 --model PE-Core-Test8-32 --threads 1 --train-data %s/ade --data %s/ade --classes 4 "
               "--reduce-zero-label --output %s/%s.json --steps 1 --global-batch-size 6 --slices 3 --norm-samples 6 "
               "--warmup 0 --norm %s",
               maps(), maps(), test_folder(), norm, norm);
    for (char *word = strtok_r(all.data, " ", &rest); word && argc < WORDS; word = strtok_r(NULL, " ", &rest))
        argv[argc++] = word;
    EXPECT(heads_run(&head_segment, &world, argc, argv, &e) == 0, "%s", e.text);
    str_free(&all);
}

/* After a step, the running figures are a tenth of the batch's, which --norm data measures on the same samples. */
static void batch_norm_gathers_its_figures(void)
{
    struct arena arena;
    int64_t width = 0;
    arena_open(&arena, 1 << 24);
    segment("data");
    segment("batch");
    const float *mean = weight(&arena, "data", "layers.1.mean", &width),
                *scale = weight(&arena, "data", "layers.1.scale", &width),
                *running = weight(&arena, "batch", "layers.1.running_mean", &width),
                *variance = weight(&arena, "batch", "layers.1.running_variance", &width);
    double rows = 6 * 16; /* a grid of 4 x 4 */
    for (int64_t i = 0; mean && scale && running && variance && i < width; i++) {
        double v = 1 / ((double)scale[i] * (double)scale[i]) - 1e-6;
        EXPECT(fabs((double)running[i] - 0.1 * (double)mean[i]) < 1e-6, "mean %ld: %g", (long)i, (double)running[i]);
        EXPECT(fabs((double)variance[i] - (0.9 + 0.1 * v * rows / (rows - 1))) < 1e-5 * (1 + v), "variance %ld: %g",
               (long)i, (double)variance[i]);
    }
    arena_close(&arena);
}

static void schedules_of_the_recipes(void)
{
    EXPECT(schedule_rate_of("poly", 1, 0, 9, 10, 110) == 1 &&
               fabs(schedule_rate_of("poly", 1, 0, 60, 10, 110) - .5) < 1e-12,
           "poly");
    EXPECT(fabs(schedule_rate_of("steps", 1, 0, 4, 10, 270) - .5) < 1e-12 &&
               fabs(schedule_rate_of("steps", 1, 0, 239, 10, 270) - 1) < 1e-12 &&
               fabs(schedule_rate_of("steps", 1, 0, 240, 10, 270) - .1) < 1e-12 &&
               fabs(schedule_rate_of("steps", 1, 0, 260, 10, 270) - .01) < 1e-12,
           "steps");
    EXPECT(fabs(schedule_rate_of("one-cycle", 1, 0, 0, 10, 110) - .04) < 1e-12 &&
               fabs(schedule_rate_of("one-cycle", 1, 0, 10, 10, 110) - 1) < 1e-12 &&
               fabs(schedule_rate_of("one-cycle", 1, 0, 110, 10, 110) - 4e-4) < 1e-12,
           "one-cycle");
    EXPECT(schedule_rate_of(NULL, 1, 0, 55, 10, 100) == schedule_rate(1, 0, 55, 10, 100), "cosine where none is named");
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"picture_and_truth_are_cut_together", picture_and_truth_are_cut_together},
                                     {"windows_cover_a_picture", windows_cover_a_picture},
                                     {"batch_norm_gathers_its_figures", batch_norm_gathers_its_figures},
                                     {"schedules_of_the_recipes", schedules_of_the_recipes},
                                     {0}});
}
