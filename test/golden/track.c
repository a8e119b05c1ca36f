/* Labels carried through a video against the arithmetic of DINO's script (test/golden/track/, made by
 * scripts/reference/track.py): soft maps, and masks to the pixel. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/mask.h"
#include "serve/propagation.h"
#include "serve/soft_masks.h"
#include "test/harness.h"

struct golden {
    struct arena arena;
    struct safetensors vectors;
    struct mask masks; /* of all frames, one below the other, the given one first */
    struct extent grid, size;
    struct propagation_settings settings;
    int64_t patch, cols, labels, frames;
    float *features, *soft;
};

static bool golden_open(struct golden *g, const char *name)
{
    struct error error = {0};
    char path[256];
    int64_t n, all;
    *g = (struct golden){.labels = 4};
    arena_open(&g->arena, (size_t)1 << 32);
    snprintf(path, sizeof path, "test/golden/track/%s.safetensors", name);
    int rc = safetensors_open(&g->vectors, path, &error);
    snprintf(path, sizeof path, "test/golden/track/%s.png", name);
    if (rc == 0) rc = mask_read(path, 10000000, &g->masks, &error);
    EXPECT(rc == 0, "%s", error.text);
    if (rc < 0) return false;
    const float *s = test_vector(&g->arena, &g->vectors, "settings", &n);
    g->features = test_vector(&g->arena, &g->vectors, "features", &all);
    g->soft = test_vector(&g->arena, &g->vectors, "soft", &n);
    g->grid = (struct extent){(int64_t)s[0], (int64_t)s[1]};
    g->patch = (int64_t)s[2];
    g->settings = (struct propagation_settings){(int64_t)s[3], (int64_t)s[4], (int64_t)s[5], (double)s[6]};
    g->frames = n / (extent_area(g->grid) * g->labels) + 1;
    g->cols = all / (g->frames * extent_area(g->grid));
    g->size = (struct extent){g->masks.height / g->frames, g->masks.width};
    return true;
}

static void golden_close(struct golden *g)
{
    mask_free(&g->masks);
    safetensors_close(&g->vectors);
    arena_close(&g->arena);
}

static void compare_mask(struct golden *g, const char *name, int64_t frame, const float *soft, int threads)
{
    uint16_t *mask = arena_take(&g->arena, (size_t)extent_area(g->size), sizeof *mask);
    const uint16_t *want = g->masks.pixels + frame * extent_area(g->size);
    int64_t wrong = 0;
    soft_to_mask(soft, g->grid, g->labels, g->patch, mask, g->size, threads);
    for (int64_t i = 0; i < extent_area(g->size); i++) wrong += mask[i] != want[i];
    EXPECT(wrong == 0, "%s: %ld pixels of frame %ld", name, (long)wrong, (long)frame);
}

static void follow(const char *name, int threads, float *all)
{
    struct golden g;
    struct device device;
    struct error error = {0};
    char what[64];
    if (!golden_open(&g, name)) return;
    EXPECT(device_open(&device, "cpu", "fp32", NULL, threads, 0, &error) == 0, "%s", error.text);
    int64_t cells = extent_area(g.grid), count = cells * g.labels;
    float *labels = arena_take(&g.arena, (size_t)count, sizeof *labels);
    struct propagation *p = propagation_open(&device, &g.settings, g.grid, g.cols, g.labels);
    soft_from_mask(g.masks.pixels, g.size, labels, g.grid, g.labels);
    propagation_begin(p, g.features + cells * g.cols, labels); /* begun again: nothing is left of it */
    propagation_next(p, g.features);
    propagation_begin(p, g.features, labels);
    double worst = 0;
    for (int64_t f = 1; f < g.frames; f++) {
        const float *soft = propagation_next(p, g.features + f * cells * g.cols);
        snprintf(what, sizeof what, "%s: soft maps of frame %ld", name, (long)f);
        worst = fmax(worst, test_close(what, soft, g.soft + (f - 1) * count, count, 1e-5));
        compare_mask(&g, name, f, soft, threads);
        memcpy(all + (f - 1) * count, soft, (size_t)count * sizeof *soft);
    }
    printf("  %s, %d threads: soft maps differ by %.2g\n", name, threads, worst);
    propagation_close(p);
    device_close(&device);
    golden_close(&g);
}

static void as_the_reference(void)
{
    static const char *const names[] = {"wide", "high", "long"};
    enum { MOST = 10000 };
    static float one[MOST], other[MOST];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int threads = 1; threads <= 5; threads += 2) {
            follow(names[i], threads, threads == 1 ? one : other);
            EXPECT(threads == 1 || !memcmp(one, other, sizeof one), "%s: other bits from %d threads", names[i],
                   threads);
        }
}

int main(int argc, char **argv)
{
    return test_main(argc, argv, (struct test[]){{"labels_carried_as_the_reference", as_the_reference}, {0}});
}
