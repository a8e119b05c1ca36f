/* SAM 2.1's image path against transformers' (test/golden/sam2/, made by scripts/reference/sam2.py): pictures, stages
 * of the trunk with and without filled-up windows, maps, masks and qualities by every choice, both namings, tiles of
 * prompts, masks made at a coarse grid alone. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/sam2/picture.h"
#include "models/sam2/sam2.h"
#include "test/harness.h"

enum { SIZE = 128, SIDE = SIZE / 4, AREA = SIDE * SIDE, POINTS_MOST = 8 };

static const char *const weights = "test/golden/sam2/model.safetensors";

static const struct sam2_config padded = {"padded", SIZE, 8, 1, {1, 2, 2, 1}, {8, 4, 6, 3}, {4, -1, -1}, 4},
                                plain = {"plain", SIZE, 8, 1, {1, 2, 2, 1}, {8, 4, 4, 2}, {4, -1, -1}, 4};

struct trial {
    struct device device;
    struct tape tape;
    struct arena arena;
    struct safetensors want;
    struct sam2 sam;
    struct sam2_point points[POINTS_MOST];
    int64_t count;
    int compared; /* maps */
};

static float *vector(struct trial *t, const char *name, int64_t *count)
{
    float *out = test_vector(&t->arena, &t->want, name, count);
    EXPECT(out, "no vector %s", name);
    return out;
}

static bool trial_open(struct trial *t, const struct sam2_config *config, const char *path)
{
    struct error error = {0};
    char vectors[128];
    *t = (struct trial){0};
    arena_open(&t->arena, (size_t)1 << 28);
    snprintf(vectors, sizeof vectors, "test/golden/sam2/%s.safetensors", config->name);
    if (safetensors_open(&t->want, vectors, &error) < 0 ||
        device_open(&t->device, device_count() ? "cuda" : "cpu", "fp32", NULL, 2, 0, &error) < 0 ||
        sam2_open(&t->sam, &t->device, path, config, &error) < 0) {
        EXPECT(0, "%s", error.text);
        return false;
    }
    tape_init(&t->tape, &t->device);
    const float *xy = vector(t, "points", &t->count), *labels = vector(t, "labels", &t->count);
    for (int64_t i = 0; i < t->count; i++) t->points[i] = (struct sam2_point){xy[2 * i], xy[2 * i + 1], labels[i] == 0};
    return true;
}

static void trial_close(struct trial *t)
{
    sam2_close(&t->sam);
    tape_free(&t->tape);
    device_close(&t->device);
    safetensors_close(&t->want);
    arena_close(&t->arena);
}

/* The picture as bytes. */
static uint8_t *picture_of(struct trial *t, struct extent *size)
{
    int64_t count;
    const float *x = vector(t, "picture", &count);
    uint8_t *out = arena_take(&t->arena, (size_t)count, 1);
    for (int64_t i = 0; i < count; i++) out[i] = (uint8_t)x[i];
    *size = (struct extent){60, 150};
    return out;
}

static void picture_is_that_of_torch(void)
{
    struct trial t;
    struct extent size;
    int64_t count;
    if (!trial_open(&t, &padded, weights)) return;
    const uint8_t *pixels = picture_of(&t, &size);
    float *out = arena_take(&t.arena, 3 * SIZE * SIZE, sizeof *out),
          *some = arena_take(&t.arena, 3 * AREA, sizeof *some);
    sam2_picture(pixels, size, SIZE, out, 2);
    for (int64_t i = 0; i < AREA; i++) memcpy(some + 3 * i, out + 3 * (i / SIDE * 4 * SIZE + i % SIDE * 4), 12);
    printf("  pictures differ by %.2g\n", test_close("input", some, vector(&t, "input", &count), 3 * AREA, 1e-6));
    trial_close(&t);
}

/* --- maps --- */

/* One of the maps that are in the file: the plain one has those alone that windows change. */
static void compare_map(struct trial *t, const char *name, const struct tensor *x)
{
    int64_t count;
    if (!safetensors_find(&t->want, name)) return;
    const float *want = vector(t, name, &count);
    float *got = arena_take(&t->arena, (size_t)count, sizeof *got);
    EXPECT(count == tensor_count(x), "%s: %ld of %ld", name, (long)tensor_count(x), (long)count);
    test_from_device(&t->device, got, x->data, count, false);
    printf("  %s differs by %.2g\n", name, test_close(name, got, want, count, 1e-5));
    t->compared++;
}

static void take_stage(void *context, struct tape *tape, int stage, struct tensor *map)
{
    char name[16];
    (void)tape;
    snprintf(name, sizeof name, "stage.%d", stage);
    compare_map(context, name, map);
}

static void check_maps(const struct sam2_config *config, int maps)
{
    struct trial t;
    struct extent size;
    if (!trial_open(&t, config, weights)) return;
    const uint8_t *pixels = picture_of(&t, &size);
    float *out = arena_take(&t.arena, 3 * SIZE * SIZE, sizeof *out);
    sam2_picture(pixels, size, SIZE, out, 2);
    struct tensor input = {.rows = SIZE * SIZE, .cols = 3, .segment = -1, .slot = -1};
    input.data = test_to_device(&t.device, out, 3 * SIZE * SIZE, false);
    hiera_forward(&t.tape, &t.sam.hiera, &input, take_stage, &t);
    t.device.kernels->unmap(&t.device, input.data, 3 * SIZE * SIZE * sizeof *out);
    sam2_embed(&t.sam, &t.tape, pixels, size);
    compare_map(&t, "keys", t.sam.first.map);
    compare_map(&t, "fine.0", &t.sam.held[4]);
    compare_map(&t, "fine.1", &t.sam.held[5]);
    EXPECT(t.compared == maps, "%d maps compared", t.compared);
    trial_close(&t);
}

static void maps_with_padding(void)
{
    check_maps(&padded, 7);
}

static void maps_without_padding(void)
{
    check_maps(&plain, 3);
}

/* --- masks --- */

static int token_of(enum sam2_choice choice, const float *quality, float stable)
{
    if (choice == SAM2_STABLE) return (int)stable;
    if (choice == SAM2_SINGLE) return 0;
    return quality[1] >= quality[2] && quality[1] >= quality[3] ? 1 : quality[2] >= quality[3] ? 2 : 3;
}

/* Rows and qualities that `choice` should give. */
static void wanted(struct trial *t, enum sam2_choice choice, float *rows, float *qualities)
{
    int64_t count, each = sam2_masks_each(choice);
    const float *masks = vector(t, "masks", &count), *quality = vector(t, "qualities", &count),
                *stable = vector(t, "stable", &count);
    for (int64_t i = 0; i < t->count * each; i++) {
        int64_t p = i / each, token = choice == SAM2_ALL ? 1 + i % each : token_of(choice, quality + 4 * p, stable[p]);
        memcpy(rows + i * AREA, masks + (4 * p + token) * AREA, AREA * sizeof *rows);
        qualities[i] = quality[4 * p + token];
    }
}

static void check_masks(struct trial *t, enum sam2_choice choice)
{
    int64_t n = t->count * sam2_masks_each(choice);
    float *got = arena_take(&t->arena, (size_t)(n * AREA), 4), *want = arena_take(&t->arena, (size_t)(n * AREA), 4),
          *quality = arena_take(&t->arena, (size_t)n, 4), *want_quality = arena_take(&t->arena, (size_t)n, 4);
    wanted(t, choice, want, want_quality);
    sam2_masks(&t->sam, &t->tape, t->points, t->count, choice, SIDE, got, quality);
    printf("  masks differ by %.2g, qualities by %.2g\n", test_close("masks", got, want, n * AREA, 1e-4),
           test_close("qualities", quality, want_quality, n, 1e-4));
}

static void check_choices(const struct sam2_config *config, const char *path)
{
    struct trial t;
    struct extent size;
    if (!trial_open(&t, config, path)) return;
    const uint8_t *pixels = picture_of(&t, &size);
    sam2_embed(&t.sam, &t.tape, pixels, size);
    for (int choice = SAM2_STABLE; choice <= SAM2_ALL; choice++) check_masks(&t, (enum sam2_choice)choice);
    trial_close(&t);
}

static void masks_with_padding(void)
{
    check_choices(&padded, weights);
}

static void masks_without_padding(void)
{
    check_choices(&plain, weights);
}

static void masks_from_pt_in_metas_naming(void)
{
    check_choices(&padded, "test/golden/sam2/model.pt");
}

/* Pixel (y, x) of a mask resized to `to` pixels. */
static double resized(const float *mask, int64_t to, int64_t y, int64_t x)
{
    double at[2] = {((double)y + .5) * SIDE / (double)to - .5, ((double)x + .5) * SIDE / (double)to - .5}, sum = 0;
    for (int k = 0; k < 4; k++) {
        int64_t p[2];
        double w[2];
        for (int i = 0; i < 2; i++) {
            double place = at[i] < 0 ? 0 : at[i], part = place - floor(place);
            int upper = i ? k % 2 : k / 2;
            p[i] = (int64_t)place + upper < SIDE ? (int64_t)place + upper : SIDE - 1;
            w[i] = upper ? part : 1 - part;
        }
        sum += w[0] * w[1] * (double)mask[p[0] * SIDE + p[1]];
    }
    return sum;
}

/* At every grid, made at few pixels or from whole masks, in tiles of any number of prompts: the masks, resized. */
static void coarse_masks_are_resized_ones(void)
{
    struct trial t;
    struct extent size;
    if (!trial_open(&t, &padded, weights)) return;
    const uint8_t *pixels = picture_of(&t, &size);
    sam2_embed(&t.sam, &t.tape, pixels, size);
    const int64_t grids[] = {4, 7, 8, 13, 31, 32};
    const enum sam2_choice choices[] = {SAM2_SINGLE, SAM2_ALL, SAM2_STABLE};
    float *whole = arena_take(&t.arena, 3 * POINTS_MOST * AREA, 4),
          *want = arena_take(&t.arena, 3 * POINTS_MOST * AREA, 4),
          *got = arena_take(&t.arena, 3 * POINTS_MOST * AREA, 4);
    for (int i = 0; i < 18; i += device_count() ? 7 : 1) {
        int64_t to = grids[i % 6], n = t.count * sam2_masks_each(choices[i / 6]), area = to * to;
        t.sam.tile = t.sam.decoder.most;
        sam2_masks(&t.sam, &t.tape, t.points, t.count, choices[i / 6], SIDE, whole, NULL);
        for (int64_t k = 0; k < n * area; k++)
            want[k] = (float)resized(whole + k / area * AREA, to, k % area / to, k % to);
        t.sam.tile = 1 + i % 4;
        sam2_masks(&t.sam, &t.tape, t.points, t.count, choices[i / 6], to, got, NULL);
        test_close("coarse masks", got, want, n * area, 1e-6);
    }
    trial_close(&t);
}

static void same_bits_on_any_threads(void)
{
    struct trial t;
    struct extent size;
    float *first = NULL;
    for (int threads = 1; threads <= 3; threads++) {
        if (!trial_open(&t, &padded, weights)) return;
        const uint8_t *pixels = picture_of(&t, &size);
        struct error error = {0};
        struct device other;
        struct sam2 sam;
        EXPECT(device_open(&other, "cpu", "fp32", NULL, threads, 0, &error) == 0 &&
                   sam2_open(&sam, &other, weights, &padded, &error) == 0,
               "%s", error.text);
        struct tape tape;
        tape_init(&tape, &other);
        float *rows = mem_alloc((size_t)(t.count * AREA), sizeof *rows);
        sam.tile = threads + 1;
        sam2_embed(&sam, &tape, pixels, size);
        sam2_masks(&sam, &tape, t.points, t.count, SAM2_SINGLE, SIDE, rows, NULL);
        EXPECT(!first || !memcmp(first, rows, (size_t)(t.count * AREA) * sizeof *rows), "%d threads", threads);
        if (!first)
            first = rows;
        else
            free(rows);
        tape_free(&tape);
        sam2_close(&sam);
        device_close(&other);
        trial_close(&t);
    }
    free(first);
}

/* Parameters of the trunk, with what positions are made of in place of their table. */
static void check_size(const struct sam2_config *c, int64_t background, int64_t want)
{
    struct parameters p = {0};
    struct hiera h;
    hiera_register(&h, &p, c);
    int64_t made_of = (background * background + c->windows[0] * c->windows[0]) * c->width,
            count = parameters_elements(&p) - tensor_count(h.positions) + made_of;
    EXPECT(count == want, "%s has %ld parameters", c->name, (long)count);
    parameters_free(&p);
    free(h.blocks);
}

/* The published shapes; and what is none of them, or no SAM 2.1, is said. */
static void variants_are_told(void)
{
    static const int64_t blocks[][SAM2_STAGES] = {{1, 2, 7, 2}, {1, 2, 11, 2}, {2, 3, 16, 3}, {2, 6, 36, 4}},
                         widths[] = {96, 96, 112, 144};
    static const int64_t sizes[] = {26849472, 33947328, 68675712, 212149296}; /* as transformers counts them */
    static const char *const names[] = {"t", "s", "b+", "l"};
    for (int i = 0; i < 4; i++) {
        const struct sam2_config *c = sam2_config_find(widths[i], blocks[i]);
        EXPECT(c && !strcmp(c->name, names[i]), "%s: %s", names[i], c ? c->name : "none");
        if (c) check_size(c, i == 2 ? 14 : 7, sizes[i]);
    }
    EXPECT(!sam2_config_find(96, blocks[2]), "a variant that is none");
    static const struct {
        const char *path;
        const struct sam2_config *config;
        const char *says;
    } wrong[] = {
        {"test/golden/sam2/model.pt", NULL, "a trunk of width 8 with 1, 2, 2 and 1 blocks is none of SAM 2.1's"},
        {"test/golden/fcos/find.safetensors", &padded, "norm1.weight is missing"},
        {"test/golden/fcos/find.safetensors", NULL, "patch_embed.proj.weight is missing"},
    };
    struct device device;
    struct error error = {0};
    EXPECT(device_open(&device, "cpu", "fp32", NULL, 1, 0, &error) == 0, "%s", error.text);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct sam2 sam;
        struct error why = {0};
        EXPECT(sam2_open(&sam, &device, wrong[i].path, wrong[i].config, &why) < 0 && strstr(why.text, wrong[i].says),
               "%s", why.text);
    }
    struct sam2_config other = padded;
    other.width = 16;
    struct sam2 sam;
    EXPECT(sam2_open(&sam, &device, weights, &other, &error) < 0 && strstr(error.text, "the model needs [16, 147]"),
           "%s", error.text);
    device_close(&device);
}

int main(int argc, char **argv)
{
    static const struct test gpu[] = {{"sam2_maps_with_padding_cuda", maps_with_padding},
                                      {"sam2_masks_with_padding_cuda", masks_with_padding},
                                      {"sam2_coarse_masks_cuda", coarse_masks_are_resized_ones},
                                      {0}};
    static const struct test cpu[] = {{"sam2_picture_is_that_of_torch", picture_is_that_of_torch},
                                      {"sam2_maps_with_padding", maps_with_padding},
                                      {"sam2_maps_without_padding", maps_without_padding},
                                      {"sam2_masks_with_padding", masks_with_padding},
                                      {"sam2_masks_without_padding", masks_without_padding},
                                      {"sam2_masks_from_pt_in_metas_naming", masks_from_pt_in_metas_naming},
                                      {"sam2_coarse_masks_are_resized_ones", coarse_masks_are_resized_ones},
                                      {"sam2_variants_are_told", variants_are_told},
                                      {"sam2_same_bits_on_any_threads", same_bits_on_any_threads},
                                      {0}};
    return test_main(argc, argv, device_count() ? gpu : cpu);
}
