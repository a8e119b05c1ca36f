/* Taps: the rows of any layers from one pass are those of a pass that ends there, recorded or not; they may be seeded;
 * they cost no memory that grows with the layers.  Encoders: what stands for a picture. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/towers.h"
#include "models/encoder.h"
#include "test/harness.h"

enum { LAYERS = 5, MOST = 7, MANY = 1100, SIZE = 32 };

struct tower {
    struct device device;
    struct towers towers;
    struct tape tape;
    uint8_t *pixels; /* on the device */
    int64_t tokens, width;
};

static void tower_open(struct tower *t, int64_t layers, bool class_token)
{
    struct error error = {0};
    struct model_config config;
    uint8_t host[MOST * SIZE * SIZE * 3];
    *t = (struct tower){0};
    EXPECT(device_open(&t->device, "cpu", "fp32", NULL, 2, 0, &error) == 0 &&
               model_config_load(&config, "PE-Core-Test8-32", &error) == 0,
           "%s", error.text);
    config.vision.layers = layers;
    config.vision.class_token = class_token;
    towers_open(&t->towers, &config);
    towers_init(&t->towers, 3);
    towers_place(&t->towers, &t->device, true);
    tape_init(&t->tape, &t->device);
    for (size_t i = 0; i < sizeof host; i++) host[i] = (uint8_t)(i * 2654435761u >> 24);
    t->pixels = t->device.kernels->map(&t->device, sizeof host);
    t->device.kernels->upload(&t->device, t->pixels, host, sizeof host);
    t->device.kernels->wait(&t->device);
    t->tokens = SIZE / 8 * SIZE / 8 + class_token;
    t->width = config.vision.width;
}

static void tower_close(struct tower *t)
{
    t->device.kernels->unmap(&t->device, t->pixels, MOST * SIZE * SIZE * 3);
    tape_free(&t->tape);
    towers_close(&t->towers);
    device_close(&t->device);
}

static struct pictures pictures(const struct tower *t, int64_t images)
{
    return (struct pictures){.pixels = t->pixels, .count = images, .size = extent_square(SIZE), .samples = images};
}

/* A taker that keeps a copy of each layer it gets, and the tensor. */
struct copies {
    const struct tower *tower;
    float *rows[LAYERS + 1];
    struct tensor *tensors[LAYERS + 1];
    int64_t last;
    int calls;
};

static void copy_rows(void *self, struct tape *tape, int64_t layer, struct tensor *rows)
{
    struct copies *c = self;
    EXPECT(layer > c->last, "layer %ld after %ld", (long)layer, (long)c->last);
    c->last = layer;
    c->calls++;
    c->tensors[layer] = rows;
    c->rows[layer] = mem_realloc(c->rows[layer], (size_t)tensor_count(rows), sizeof(float));
    memcpy(c->rows[layer], rows->data, (size_t)tensor_count(rows) * sizeof(float));
    vision_mean(tape, (struct vision *)&c->tower->towers.vision, rows,
                rows->rows / c->tower->tokens); /* and compute something on the branch */
}

static void compare(struct tower *t, int64_t images, const bool *wanted, int64_t highest, bool recording,
                    bool recompute)
{
    size_t bytes = (size_t)(images * t->tokens * t->width) * sizeof(float);
    struct copies c = {.tower = t, .last = -1};
    struct taps taps = {.layers = highest, .wanted = wanted, .take = copy_rows, .self = &c};
    int want = 0;
    tape_reset(&t->tape);
    t->tape.recording = recording;
    t->tape.recompute = recompute;
    struct tensor *top =
        vision_tapped(&t->tape, &t->towers.vision, t->pixels, images, extent_square(SIZE), NULL, highest, &taps);
    if (wanted[highest]) EXPECT(!memcmp(top->data, c.rows[highest], bytes), "the top of %ld", (long)highest);
    for (int64_t layer = 0; layer <= highest && recording; layer++)
        if (wanted[layer])
            EXPECT(!memcmp(c.tensors[layer]->data, c.rows[layer], bytes), "layer %ld is gone after the pass",
                   (long)layer);
    for (int64_t layer = 0; layer <= highest; layer++) {
        if (!wanted[layer]) continue;
        want++;
        tape_reset(&t->tape);
        t->tape.recording = false;
        struct tensor *alone =
            vision_tokens(&t->tape, &t->towers.vision, t->pixels, images, extent_square(SIZE), NULL, layer);
        EXPECT(c.rows[layer] && !memcmp(alone->data, c.rows[layer], bytes),
               "layer %ld of %ld images, recording %d, recompute %d", (long)layer, (long)images, recording, recompute);
    }
    EXPECT(c.calls == want, "%d taps of %d", c.calls, want);
    for (int i = 0; i <= LAYERS; i++) free(c.rows[i]);
}

static void rows_of_any_layers(void)
{
    static const bool all[LAYERS + 1] = {true, true, true, true, true, true},
                                   some[LAYERS + 1] = {false, true, false, true, false, false};
    static const int64_t images[] = {1, 3, MOST};
    struct tower t;
    tower_open(&t, LAYERS, true);
    for (size_t i = 0; i < sizeof images / sizeof *images; i++)
        for (int mode = 0; mode < 3; mode++) {
            compare(&t, images[i], all, LAYERS, mode > 0, mode == 2);
            compare(&t, images[i], some, 4, mode > 0, mode == 2);
        }
    tower_close(&t);
}

static void take_mean(void *self, struct tape *tape, int64_t layer, struct tensor *rows)
{
    struct tower *t = self;
    (void)layer;
    vision_mean(tape, &t->towers.vision, rows, MOST);
    vision_pool(tape, &t->towers.vision, rows, MOST, NULL, MOST);
}

static size_t scratch_of(int64_t layers, bool tapped)
{
    struct tower t;
    tower_open(&t, layers, true);
    bool *wanted = mem_alloc((size_t)layers + 1, sizeof *wanted);
    for (int64_t i = 0; i <= layers; i++) wanted[i] = tapped;
    struct taps taps = {.layers = layers, .wanted = wanted, .take = take_mean, .self = &t};
    vision_tapped(&t.tape, &t.towers.vision, t.pixels, MOST, extent_square(SIZE), NULL, layers, &taps);
    size_t peak = tape_peak(&t.tape);
    free(wanted);
    tower_close(&t);
    return peak;
}

static void memory_does_not_grow(void)
{
    size_t plain = scratch_of(4, false), tapped = scratch_of(4, true), deep = scratch_of(24, true);
    EXPECT(scratch_of(24, false) == plain, "untapped: %zu bytes, %zu with 24 layers", plain, scratch_of(24, false));
    EXPECT(deep == tapped, "tapped: %zu bytes, %zu with 24 layers", tapped, deep);
    EXPECT(tapped <= 2 * plain, "tapped: %zu bytes, untapped %zu", tapped, plain);
}

/* --- seeds --- */

static void seeded(struct tower *t, int which, bool recompute, float *gradients)
{
    static const bool wanted[LAYERS + 1] = {false, false, true};
    int64_t count = MOST * t->tokens * t->width;
    struct copies c = {.tower = t, .last = -1};
    struct taps taps = {.layers = LAYERS, .wanted = wanted, .take = copy_rows, .self = &c};
    float *seed = mem_alloc((size_t)count, sizeof *seed);
    for (int64_t i = 0; i < count; i++) seed[i] = (float)sin((double)i * 0.7) / 64;
    memset(gradients, 0, (size_t)t->towers.parameters.total * sizeof *gradients);
    parameters_aim(&t->towers.parameters, gradients);
    tape_reset(&t->tape);
    t->tape.recording = true;
    t->tape.recompute = recompute;
    struct tensor *top =
        vision_tapped(&t->tape, &t->towers.vision, t->pixels, MOST, extent_square(SIZE), NULL, LAYERS, &taps);
    if (which & 1) tape_seed(&t->tape, top, seed);
    if (which & 2) tape_seed(&t->tape, c.tensors[2], seed);
    tape_backward(&t->tape, 0, t->tape.segment_count);
    parameters_settle(&t->towers.parameters);
    for (int i = 0; i <= LAYERS; i++) free(c.rows[i]);
    free(seed);
}

static void seeds_add_up(void)
{
    struct tower t;
    tower_open(&t, LAYERS, true);
    int64_t n = t.towers.parameters.total;
    float *top = mem_alloc((size_t)(4 * n), sizeof *top), *middle = top + n, *both = middle + n, *again = both + n;
    seeded(&t, 1, false, top);
    seeded(&t, 2, false, middle);
    seeded(&t, 3, false, both);
    seeded(&t, 3, true, again);
    double largest = 0;
    for (int64_t i = 0; i < n; i++) largest = fmax(largest, fabs((double)middle[i])), top[i] += middle[i];
    EXPECT(largest > 0, "no gradient came from the middle");
    test_close("gradient", both, top, n, 1e-5);
    EXPECT(!memcmp(both, again, (size_t)n * sizeof *both), "recomputation changes the gradient");
    free(top);
    tower_close(&t);
}

/* A step of several passes, of few pictures and of many, or of other shapes: the first pass' rows and angles are still
 * read when its turn to go back comes. */
struct pass {
    int64_t images;
    struct extent size;
};

static void backward_of(struct tower *t, const uint8_t *pixels, const struct pass *list, int passes, float *gradients)
{
    struct tensor *top[2];
    float *seed = mem_alloc((size_t)(MANY * t->width), sizeof *seed);
    for (int64_t i = 0; i < MANY * t->width; i++) seed[i] = (float)cos((double)i) / 64;
    memset(gradients, 0, (size_t)t->towers.parameters.total * sizeof *gradients);
    parameters_aim(&t->towers.parameters, gradients);
    tape_reset(&t->tape);
    t->tape.recording = true;
    for (int i = 0; i < passes; i++) {
        struct tensor *tokens =
            vision_tokens(&t->tape, &t->towers.vision, pixels, list[i].images, list[i].size, NULL, 1);
        top[i] = vision_pooled(&t->tape, &t->towers.vision, tokens, list[i].images);
    }
    for (int i = 0; i < passes; i++) tape_seed(&t->tape, top[i], seed);
    tape_backward(&t->tape, 0, t->tape.segment_count);
    parameters_settle(&t->towers.parameters);
    free(seed);
}

static void passes_together(const struct pass list[2])
{
    struct tower t;
    tower_open(&t, 1, true);
    int64_t n = t.towers.parameters.total;
    float *few = mem_alloc((size_t)(3 * n), sizeof *few), *many = few + n, *both = many + n;
    uint8_t *pixels = mem_map((size_t)MANY * SIZE * SIZE * 3, 1);
    for (size_t i = 0; i < (size_t)MANY * SIZE * SIZE * 3; i++) pixels[i] = (uint8_t)(i * 2654435761u >> 24);
    backward_of(&t, pixels, list, 2, both);
    backward_of(&t, pixels, list, 1, few);
    backward_of(&t, pixels, list + 1, 1, many);
    for (int64_t i = 0; i < n; i++) few[i] += many[i];
    test_close("gradient", both, few, n, 1e-5);
    mem_unmap(pixels, (size_t)MANY * SIZE * SIZE * 3, 1);
    free(few);
    tower_close(&t);
}

static void passes_of_different_sizes(void)
{
    passes_together((struct pass[]){{1, {SIZE, SIZE}}, {MANY, {SIZE, SIZE}}});
}

static void passes_of_different_shapes(void)
{
    passes_together((struct pass[]){{3, {SIZE, SIZE}}, {2, {16, 40}}});
    passes_together((struct pass[]){{2, {16, 40}}, {3, {40, 16}}});
}

/* --- encoders --- */

struct features {
    struct tower *tower;
    struct encoder encoder;
    const struct pictures *pictures;
    float *of[LAYERS + 1][FEATURES];
};

static void take_features(void *self, struct tape *tape, int64_t layer, struct tensor *rows)
{
    struct features *f = self;
    for (int feature = 0; feature < FEATURES; feature++) {
        int64_t columns = f->encoder.columns(f->encoder.self, layer, feature);
        if (!columns) continue;
        struct tensor *x = f->encoder.feature(f->encoder.self, tape, rows, f->pictures, feature);
        EXPECT(x->cols == columns, "feature %d has %ld columns of %ld", feature, (long)x->cols, (long)columns);
        f->of[layer][feature] = mem_alloc((size_t)tensor_count(x), sizeof(float));
        memcpy(f->of[layer][feature], x->data, (size_t)tensor_count(x) * sizeof(float));
    }
}

/* The grid's rows, and each beside its picture's class token. */
static void check_grid(const struct features *f, int layer, bool class_token)
{
    const struct tower *t = f->tower;
    const float *tokens = f->of[layer][FEATURE_TOKENS], *grid = f->of[layer][FEATURE_GRID],
                *pairs = f->of[layer][FEATURE_PAIRS];
    int64_t cells = t->tokens - class_token, w = t->width;
    bool same = grid && !pairs == !class_token;
    for (int64_t i = 0; i < f->pictures->count * cells && same; i++) {
        const float *picture = tokens + i / cells * t->tokens * w, *cell = picture + (class_token + i % cells) * w;
        same = !memcmp(grid + i * w, cell, (size_t)w * sizeof *cell);
        if (pairs)
            same = same && !memcmp(pairs + 2 * i * w, cell, (size_t)w * sizeof *cell) &&
                   !memcmp(pairs + (2 * i + 1) * w, picture, (size_t)w * sizeof *cell);
    }
    EXPECT(same, "grid of layer %d", layer);
}

static void check_features(bool class_token)
{
    struct tower t;
    tower_open(&t, LAYERS, class_token);
    struct pictures p = pictures(&t, 3);
    struct features f = {.tower = &t, .encoder = encoder_of_vision(&t.towers.vision, LAYERS), .pictures = &p};
    static const bool all[LAYERS + 1] = {true, true, true, true, true, true};
    struct taps taps = {.layers = LAYERS, .wanted = all, .take = take_features, .self = &f};
    f.encoder.forward(f.encoder.self, &t.tape, &p, &taps);
    struct layer_shape shape = f.encoder.shape(f.encoder.self, LAYERS);
    EXPECT(encoder_rows(&shape, extent_square(SIZE)) == t.tokens && shape.lead == class_token && shape.stride == 8,
           "%ld rows", (long)encoder_rows(&shape, extent_square(SIZE)));
    for (int layer = 0; layer <= LAYERS; layer++) {
        float mean[3 * 1024] = {0}, *tokens = f.of[layer][FEATURE_TOKENS];
        for (int64_t i = 0; i < p.count; i++) {
            for (int64_t r = class_token; r < t.tokens; r++)
                for (int64_t k = 0; k < t.width; k++)
                    mean[i * t.width + k] += tokens[(i * t.tokens + r) * t.width + k] / (float)(t.tokens - class_token);
            if (class_token)
                EXPECT(!memcmp(f.of[layer][FEATURE_CLASS] + i * t.width, tokens + i * t.tokens * t.width,
                               (size_t)t.width * sizeof(float)),
                       "class token");
        }
        check_grid(&f, layer, class_token);
        test_close("mean", f.of[layer][FEATURE_MEAN], mean, p.count * t.width, 1e-6);
        EXPECT(!f.of[layer][FEATURE_CLASS] == !class_token && f.of[layer][FEATURE_POOLED], "features of layer %d",
               layer);
    }
    tape_reset(&t.tape);
    struct tensor *embedding = towers_image(&t.tape, &t.towers, p);
    EXPECT(!memcmp(embedding->data, f.of[LAYERS][FEATURE_EMBEDDING], (size_t)tensor_count(embedding) * sizeof(float)),
           "the embedding");
    for (int layer = 0; layer <= LAYERS; layer++)
        for (int feature = 0; feature < FEATURES; feature++) free(f.of[layer][feature]);
    tower_close(&t);
}

static void features_of_encoders(void)
{
    check_features(true);
    check_features(false);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"rows_of_any_layers", rows_of_any_layers},
                                     {"memory_does_not_grow_with_layers", memory_does_not_grow},
                                     {"seeds_of_taps_add_up", seeds_add_up},
                                     {"passes_of_different_sizes", passes_of_different_sizes},
                                     {"passes_of_different_shapes", passes_of_different_shapes},
                                     {"features_of_encoders", features_of_encoders},
                                     {0}});
}
