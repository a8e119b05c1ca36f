/* Towers on the levels of the pyramid. */
#include "nn/fcos.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"
#include "nn/init.h"
#include "ops/detection.h"

/* Of a convolution of a tower; and behind both towers, weight and bias of each output. */
enum { WEIGHT, BIAS, SCALE, SHIFT, CONV_PARAMETERS };
enum { CLASSES, BOXES, TOWERS, CENTRE = TOWERS, OUTPUTS };

static const char *const names[OUTPUTS] = {"classes", "boxes", "centre"};

/* --- parameters --- */

static struct named_shape *put(struct named_shape *s, int output, int64_t conv, const char *name, int64_t rows,
                               int64_t cols)
{
    *s = (struct named_shape){.ndim = cols ? 2 : 1, .shape = {rows, cols}};
    if (conv < 0)
        snprintf(s->name, sizeof s->name, "%s_%s", names[output], name);
    else
        snprintf(s->name, sizeof s->name, "%s_%ld_%s", names[output], (long)conv, name);
    return s + 1;
}

int fcos_parameters(const struct fcos *f, struct named_shape *list)
{
    const int64_t outs[OUTPUTS] = {f->classes, 4, 1};
    int count = PYRAMID_PARAMETERS + TOWERS * (int)f->convs * CONV_PARAMETERS + 2 * OUTPUTS;
    if (!list) return count;
    pyramid_parameters(list, f->width, f->channels);
    struct named_shape *s = list + PYRAMID_PARAMETERS;
    for (int tower = 0; tower < TOWERS; tower++)
        for (int64_t i = 0; i < f->convs; i++) {
            s = put(s, tower, i, "weight", f->channels, 9 * f->channels);
            s = put(s, tower, i, "bias", f->channels, 0);
            s = put(s, tower, i, "scale", f->channels, 0);
            s = put(s, tower, i, "shift", f->channels, 0);
        }
    for (int output = 0; output < OUTPUTS; output++) {
        s = put(s, output, -1, "weight", outs[output], 9 * f->channels);
        s = put(s, output, -1, "bias", outs[output], 0);
    }
    return count;
}

void fcos_draw(struct parameter *p, uint64_t seed)
{
    bool scale = str_ends_with(p->name, "_scale"), prior = !strcmp(p->name, "classes_bias");
    if (p->name[0] == 'p') {
        pyramid_draw(p, seed);
        return;
    }
    if (p->ndim == 2) init_normal(p, seed, 0.01);
    for (int64_t i = 0; i < tensor_count(&p->tensor) && (scale || prior); i++)
        p->values[i] = scale ? 1 : (float)-log((1 - 0.01) / 0.01);
}

static struct tensor *const *tower_of(const struct fcos *f, struct tensor *const *p, int tower)
{
    return p + PYRAMID_PARAMETERS + tower * f->convs * CONV_PARAMETERS;
}

/* --- forward --- */

static struct tensor *convolve(struct tape *t, struct tensor *x, struct map map, struct tensor *weight,
                               struct tensor *bias)
{
    struct convolution c = {.weight = weight, .bias = bias, .kernel = 3, .stride = 1, .padding = 1};
    return op_convolve(t, x, map, c);
}

static struct tensor *climb(struct tape *t, const struct fcos *f, struct tensor *const *p, struct tensor *x,
                            struct map map)
{
    for (int64_t i = 0; i < f->convs; i++, p += CONV_PARAMETERS) {
        x = convolve(t, x, map, p[WEIGHT], p[BIAS]);
        x = op_relu(t, op_group_norm(t, x, map, FCOS_GROUPS, p[SCALE], p[SHIFT]));
    }
    return x;
}

static struct tensor *output(struct tape *t, const struct fcos *f, struct tensor *const *p, struct tensor *x,
                             struct map map, int which)
{
    struct tensor *const *own = tower_of(f, p, TOWERS) + 2 * which;
    return convolve(t, x, map, own[0], own[1]);
}

static struct tensor *distances_of(struct tape *t, const struct fcos *f, struct tensor *const *p, struct tensor *x,
                                   struct map map)
{
    return op_relu(t, output(t, f, p, x, map, BOXES));
}

/* The map of the encoder, and its levels. */
static struct map open_levels(const struct fcos *f, int64_t pictures, struct cell_level levels[PYRAMID_LEVELS])
{
    struct map map = {pictures, extent_grid(f->size, f->patch)};
    CHECK(f->channels % FCOS_GROUPS == 0, "%ld channels in %d groups", (long)f->channels, FCOS_GROUPS);
    cells_levels(f->size, f->patch, levels);
    return map;
}

struct tensor *fcos_loss(struct tape *t, const struct fcos *f, struct tensor *const *p, struct tensor *x,
                         int64_t pictures, const struct fcos_truth *truth, float weight)
{
    struct cell_level levels[PYRAMID_LEVELS];
    struct tensor *maps[PYRAMID_LEVELS], *sum = NULL;
    pyramid_forward(t, p, x, open_levels(f, pictures, levels), maps);
    for (int i = 0; i < PYRAMID_LEVELS; i++) {
        struct map map = {pictures, levels[i].grid};
        int64_t first = pictures * levels[i].first;
        const int32_t *classes = truth->classes + first;
        tape_open_segment(t);
        struct tensor *y = climb(t, f, tower_of(f, p, CLASSES), maps[i], map);
        y = op_focal(t, sum, output(t, f, p, y, map, CLASSES), classes, pictures, weight);
        sum = tape_close_segment(t, NULL, y);
        tape_open_segment(t);
        y = climb(t, f, tower_of(f, p, BOXES), maps[i], map);
        struct tensor *boxes = op_giou(t, sum, distances_of(t, f, p, y, map), truth->distances + 4 * first, classes,
                                       pictures, levels[i].side, weight);
        y = op_binary(t, boxes, output(t, f, p, y, map, CENTRE), truth->centreness + first, pictures, weight);
        sum = tape_close_segment(t, NULL, y);
    }
    return sum;
}

void fcos_predict(struct tape *t, const struct fcos *f, struct tensor *const *p, struct tensor *x, int64_t pictures,
                  void (*take)(void *context, int level, const struct tensor *logits, const struct tensor *distances,
                               const struct tensor *centreness),
                  void *context)
{
    struct cell_level levels[PYRAMID_LEVELS];
    struct tensor *maps[PYRAMID_LEVELS];
    CHECK(!t->recording, "predictions are not recorded");
    pyramid_forward(t, p, x, open_levels(f, pictures, levels), maps);
    for (int i = 0; i < PYRAMID_LEVELS; i++) {
        struct map map = {pictures, levels[i].grid};
        struct tape_branch branch = tape_branch(t);
        tape_open_segment(t);
        struct tensor *y = climb(t, f, tower_of(f, p, CLASSES), maps[i], map);
        struct tensor *logits = tape_close_segment(t, NULL, output(t, f, p, y, map, CLASSES));
        tape_open_segment(t);
        y = climb(t, f, tower_of(f, p, BOXES), maps[i], map);
        struct tensor *centreness = output(t, f, p, y, map, CENTRE), *distances = distances_of(t, f, p, y, map);
        tape_close_segment(t, NULL, distances);
        take(context, i, logits, distances, centreness);
        tape_join(t, branch);
    }
}
