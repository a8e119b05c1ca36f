/* Levels from one map. */
#include "nn/pyramid.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "nn/init.h"

enum { SPREAD_WEIGHT, SPREAD_BIAS, SMOOTH }; /* SMOOTH: of the first three levels */
enum { IN, IN_SCALE, IN_SHIFT, OUT, OUT_SCALE, OUT_SHIFT, SMOOTH_PARAMETERS };
enum { SMOOTHED = 3, COARSE = SMOOTH + SMOOTHED * SMOOTH_PARAMETERS }; /* weight and bias of each of the others */

static const float norm_eps = 1e-6f;

void pyramid_extents(struct extent grid, struct extent levels[PYRAMID_LEVELS])
{
    levels[0] = (struct extent){2 * grid.height, 2 * grid.width};
    levels[1] = grid;
    levels[2] = convolution_extent(grid, 2, 2, 0);
    for (int i = SMOOTHED; i < PYRAMID_LEVELS; i++) levels[i] = convolution_extent(levels[i - 1], 3, 2, 1);
}

static struct named_shape matrix(int level, const char *name, int64_t rows, int64_t cols)
{
    struct named_shape s = {.ndim = 2, .shape = {rows, cols}};
    snprintf(s.name, sizeof s.name, "p%d_%s", level + 3, name);
    return s;
}

static struct named_shape vector(int level, const char *name, int64_t count)
{
    struct named_shape s = {.ndim = 1, .shape = {count}};
    snprintf(s.name, sizeof s.name, "p%d_%s", level + 3, name);
    return s;
}

void pyramid_parameters(struct named_shape list[PYRAMID_PARAMETERS], int64_t width, int64_t channels)
{
    list[SPREAD_WEIGHT] = matrix(0, "spread_weight", 4 * (width / 2), width);
    list[SPREAD_BIAS] = vector(0, "spread_bias", width / 2);
    for (int i = 0; i < SMOOTHED; i++) {
        struct named_shape *s = list + SMOOTH + i * SMOOTH_PARAMETERS;
        s[IN] = matrix(i, "in_weight", channels, i ? width : width / 2);
        s[IN_SCALE] = vector(i, "in_scale", channels);
        s[IN_SHIFT] = vector(i, "in_shift", channels);
        s[OUT] = matrix(i, "out_weight", channels, 9 * channels);
        s[OUT_SCALE] = vector(i, "out_scale", channels);
        s[OUT_SHIFT] = vector(i, "out_shift", channels);
    }
    for (int i = SMOOTHED; i < PYRAMID_LEVELS; i++) {
        list[COARSE + 2 * (i - SMOOTHED)] = matrix(i, "weight", channels, 9 * channels);
        list[COARSE + 2 * (i - SMOOTHED) + 1] = vector(i, "bias", channels);
    }
}

static void fill(struct parameter *p, float value)
{
    for (int64_t i = 0; i < tensor_count(&p->tensor); i++) p->values[i] = value;
}

void pyramid_draw(struct parameter *p, uint64_t seed)
{
    double rows = (double)p->tensor.rows, cols = (double)p->tensor.cols;
    bool spread = strstr(p->name, "spread"), last = p->name[1] - '3' >= SMOOTHED;
    if (str_ends_with(p->name, "_scale"))
        fill(p, 1);
    else if (spread) /* fan in, to PyTorch: the outputs of a cell */
        init_uniform(p, seed, 1 / sqrt(p->ndim == 2 ? rows : 4 * cols));
    else if (p->ndim == 2)
        init_uniform(p, seed, sqrt((last ? 3 : 1) / cols));
}

/* 1x1 -> norm -> 3x3 -> norm. */
static struct tensor *smooth(struct tape *t, struct tensor *const *p, struct tensor *x, struct map map)
{
    x = op_linear(t, x, (struct linear){.weight = p[IN]});
    x = op_norm_eps(t, x, p[IN_SCALE], p[IN_SHIFT], norm_eps);
    x = op_convolve(t, x, map, (struct convolution){.weight = p[OUT], .kernel = 3, .stride = 1, .padding = 1});
    return op_norm_eps(t, x, p[OUT_SCALE], p[OUT_SHIFT], norm_eps);
}

static struct tensor *spread(struct tape *t, struct tensor *const *p, struct tensor *x, struct map map)
{
    x = op_spread(t, op_linear(t, x, (struct linear){.weight = p[SPREAD_WEIGHT]}), map, 2);
    return op_branch(t, x, op_repeat(t, p[SPREAD_BIAS], x->rows), NULL, NULL, 1);
}

void pyramid_forward(struct tape *t, struct tensor *const *p, struct tensor *x, struct map map,
                     struct tensor *levels[PYRAMID_LEVELS])
{
    struct extent sizes[PYRAMID_LEVELS];
    pyramid_extents(map.size, sizes);
    for (int i = 0; i < SMOOTHED; i++) {
        tape_open_segment(t);
        struct tensor *y = i == 0 ? spread(t, p, x, map) : i == 1 ? x : op_max_pool(t, x, map, 2, 2);
        y = smooth(t, p + SMOOTH + i * SMOOTH_PARAMETERS, y, (struct map){map.pictures, sizes[i]});
        levels[i] = tape_close_segment(t, NULL, y);
    }
    for (int i = SMOOTHED; i < PYRAMID_LEVELS; i++) {
        struct tensor *const *own = p + COARSE + 2 * (i - SMOOTHED);
        struct convolution c = {.weight = own[0], .bias = own[1], .kernel = 3, .stride = 2, .padding = 1};
        tape_open_segment(t);
        struct tensor *y = i == SMOOTHED ? levels[i - 1] : op_relu(t, levels[i - 1]);
        levels[i] = tape_close_segment(t, NULL, op_convolve(t, y, (struct map){map.pictures, sizes[i - 1]}, c));
    }
}
