/* The vision tower on pictures of any shape: plain loops in double say what its tokens are. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/towers.h"
#include "test/harness.h"

enum { PATCH = 8, WIDTH = 64, HEADS = 4, HEAD = WIDTH / HEADS, PAIRS = HEAD / 2, MLP = 128, LAYERS = 2, IMAGES = 2 };
enum { TOKENS = 64 }; /* of a picture at most */

static struct towers towers;
static struct device device;
static uint8_t pixels[IMAGES * TOKENS * PATCH * PATCH * 3];

static const float *weight(const char *format, int layer)
{
    char name[128];
    snprintf(name, sizeof name, format, layer);
    struct parameter *p = parameters_find(&towers.parameters, name);
    EXPECT(p != NULL, "no parameter %s", name);
    return p->values;
}

static void norm(const double *x, double *y, const float *scale, const float *shift)
{
    double mean = 0, squares = 0;
    for (int i = 0; i < WIDTH; i++) mean += x[i] / WIDTH;
    for (int i = 0; i < WIDTH; i++) squares += (x[i] - mean) * (x[i] - mean) / WIDTH;
    for (int i = 0; i < WIDTH; i++) y[i] = (x[i] - mean) / sqrt(squares + 1e-5) * (double)scale[i] + (double)shift[i];
}

/* y (+)= w x + b */
static void linear(const double *x, int in, double *y, int out, const float *w, const float *b, bool add)
{
    for (int o = 0; o < out; o++) {
        double sum = (double)b[o] + (add ? y[o] : 0);
        for (int i = 0; i < in; i++) sum += (double)w[o * in + i] * x[i];
        y[o] = sum;
    }
}

/* Entry i of the position of cell (y, x): the table of a square grid, seen as one of another shape. */
static double position(const float *table, int from, struct extent grid, int64_t y, int64_t x, int i)
{
    double at[2] = {((double)y + .5) * from / (double)grid.height - .5,
                    ((double)x + .5) * from / (double)grid.width - .5};
    int64_t low[2], high[2];
    for (int k = 0; k < 2; k++) {
        at[k] = fmin(fmax(at[k], 0), from - 1);
        low[k] = (int64_t)at[k];
        high[k] = low[k] + 1 < from ? low[k] + 1 : low[k];
        at[k] -= (double)low[k];
    }
    double sum = 0;
    for (int corner = 0; corner < 4; corner++) {
        int64_t row = corner & 2 ? high[0] : low[0], col = corner & 1 ? high[1] : low[1];
        double part = (corner & 2 ? at[0] : 1 - at[0]) * (corner & 1 ? at[1] : 1 - at[1]);
        sum += part * (double)table[(row * from + col) * WIDTH + i];
    }
    return sum;
}

/* What enters the first block: x [1 + cells, WIDTH]. */
static void embed(const uint8_t *picture, struct extent size, double *x)
{
    struct extent grid = extent_grid(size, PATCH);
    const float *conv = weight("visual.conv1.weight", 0), *class_token = weight("visual.class_embedding", 0);
    const float *table = weight("visual.positional_embedding", 0);
    int from = (int)(towers.config.vision.image_size / PATCH);
    for (int i = 0; i < WIDTH; i++) x[i] = (double)class_token[i] + (double)table[i];
    for (int64_t cell = 0; cell < extent_area(grid); cell++)
        for (int o = 0; o < WIDTH; o++) {
            int64_t gy = cell / grid.width, gx = cell % grid.width;
            double sum = position(table + WIDTH, from, grid, gy, gx, o);
            for (int c = 0; c < 3; c++)
                for (int y = 0; y < PATCH; y++)
                    for (int u = 0; u < PATCH; u++)
                        sum += (double)conv[((o * 3 + c) * PATCH + y) * PATCH + u] *
                               (picture[((gy * PATCH + y) * size.width + gx * PATCH + u) * 3 + c] / 127.5 - 1);
            x[(1 + cell) * WIDTH + o] = sum;
        }
    for (int64_t t = 0; t < 1 + extent_area(grid); t++)
        norm(x + t * WIDTH, x + t * WIDTH, weight("visual.ln_pre.weight", 0), weight("visual.ln_pre.bias", 0));
}

/* Turn q and k of a token: half the pairs of a head with its column, half with its row, both counted from 1. */
static void turn(double *qkv, int64_t token, struct extent grid)
{
    if (token == 0) return;
    for (int h = 0; h < 2 * HEADS; h++)
        for (int p = 0; p < PAIRS; p++) {
            int64_t index = 1 + (p < PAIRS / 2 ? (token - 1) % grid.width : (token - 1) / grid.width);
            double angle = (double)index * pow(10000, -(double)(p % (PAIRS / 2)) / (PAIRS / 2.));
            double *pair = qkv + h * HEAD + 2 * p, a = pair[0], b = pair[1];
            pair[0] = a * cos(angle) - b * sin(angle);
            pair[1] = b * cos(angle) + a * sin(angle);
        }
}

static void attend(const double *qkv, int64_t tokens, double *out)
{
    double score[TOKENS];
    for (int64_t t = 0; t < tokens; t++)
        for (int h = 0; h < HEADS; h++) {
            double total = 0;
            for (int64_t s = 0; s < tokens; s++) {
                double dot = 0;
                for (int i = 0; i < HEAD; i++)
                    dot += qkv[t * 3 * WIDTH + h * HEAD + i] * qkv[s * 3 * WIDTH + WIDTH + h * HEAD + i];
                total += score[s] = exp(dot / sqrt(HEAD));
            }
            for (int i = 0; i < HEAD; i++) {
                double sum = 0;
                for (int64_t s = 0; s < tokens; s++)
                    sum += score[s] / total * qkv[s * 3 * WIDTH + 2 * WIDTH + h * HEAD + i];
                out[t * WIDTH + h * HEAD + i] = sum;
            }
        }
}

static void block(double *x, int64_t tokens, struct extent grid, int n)
{
#define BLOCK "visual.transformer.resblocks.%d."
    static double y[WIDTH], qkv[TOKENS * 3 * WIDTH], mixed[TOKENS * WIDTH], hidden[MLP];
    for (int64_t t = 0; t < tokens; t++) {
        norm(x + t * WIDTH, y, weight(BLOCK "ln_1.weight", n), weight(BLOCK "ln_1.bias", n));
        linear(y, WIDTH, qkv + t * 3 * WIDTH, 3 * WIDTH, weight(BLOCK "attn.in_proj_weight", n),
               weight(BLOCK "attn.in_proj_bias", n), false);
        turn(qkv + t * 3 * WIDTH, t, grid);
    }
    attend(qkv, tokens, mixed);
    for (int64_t t = 0; t < tokens; t++) {
        linear(mixed + t * WIDTH, WIDTH, x + t * WIDTH, WIDTH, weight(BLOCK "attn.out_proj.weight", n),
               weight(BLOCK "attn.out_proj.bias", n), true);
        norm(x + t * WIDTH, y, weight(BLOCK "ln_2.weight", n), weight(BLOCK "ln_2.bias", n));
        linear(y, WIDTH, hidden, MLP, weight(BLOCK "mlp.c_fc.weight", n), weight(BLOCK "mlp.c_fc.bias", n), false);
        for (int i = 0; i < MLP; i++) hidden[i] *= 0.5 * (1 + erf(hidden[i] / sqrt(2)));
        linear(hidden, MLP, x + t * WIDTH, WIDTH, weight(BLOCK "mlp.c_proj.weight", n),
               weight(BLOCK "mlp.c_proj.bias", n), true);
    }
}

static void compare(int64_t height, int64_t width)
{
    struct extent size = {height, width}, grid = extent_grid(size, PATCH);
    int64_t tokens = 1 + extent_area(grid);
    static double x[TOKENS * WIDTH];
    static float want[IMAGES * TOKENS * WIDTH];
    char what[64];
    struct tape tape;
    for (int n = 0; n < IMAGES; n++) {
        embed(pixels + n * extent_area(size) * 3, size, x);
        for (int layer = 0; layer < LAYERS; layer++) block(x, tokens, grid, layer);
        for (int64_t i = 0; i < tokens * WIDTH; i++) want[n * tokens * WIDTH + i] = (float)x[i];
    }
    tape_init(&tape, &device);
    struct tensor *got = vision_tokens(&tape, &towers.vision, pixels, IMAGES, size, NULL, LAYERS);
    snprintf(what, sizeof what, "tokens of %ld x %ld", (long)width, (long)height);
    EXPECT(got->rows == IMAGES * tokens && got->cols == WIDTH, "%s: [%ld, %ld]", what, (long)got->rows,
           (long)got->cols);
    test_close(what, got->data, want, IMAGES * tokens * WIDTH, 1e-5);
    tape_free(&tape);
}

static void any_shape(void)
{
    struct model_config config;
    struct error error = {0};
    EXPECT(device_open(&device, "cpu", "fp32", NULL, 2, 0, &error) == 0 &&
               model_config_load(&config, "PE-Core-Test8-32", &error) == 0,
           "%s", error.text);
    towers_open(&towers, &config);
    towers_init(&towers, 5);
    towers_place(&towers, &device, false);
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 2654435761u >> 24);
    compare(32, 32); /* the position table as it is */
    compare(24, 72); /* on another grid, in another order than before, and as many cells in another shape */
    compare(72, 24);
    compare(40, 8);
    compare(24, 72);
    towers_close(&towers);
    device_close(&device);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv, (struct test[]){{"tokens_of_pictures_of_any_shape", any_shape}, {0}});
}
