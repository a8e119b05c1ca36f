/* pe-evaluator depth --head dpt: a dense prediction transformer's decoder (Ranftl et al. 2021) as DINOv2 has it, over
 * one layer taken four times, as PE's paper does.  C: columns of the layer, F: --dpt-channels.
 *
 *   cell | class token -> W, GELU (without one: the cell)    four times, each with weights of its own:
 *     -> W to C/8, C/4, C/2, C -> transposed convolution x 4, x 2, as it is, 3 x 3 convolution of stride 2
 *     -> 3 x 3 to F -> level 0 .. 3
 *   from level 3 to 0:  y = up(R2(y + R1(level))), of level 3 up(R2(level));  R(x) = x + conv(ReLU(conv(ReLU(x))))
 *     up: bilinear x 2 (corners aligned), W + b
 *   -> 3 x 3, ReLU -> 3 x 3 to F/2 -> x 2 -> 3 x 3 to 32, ReLU -> W + b, ReLU, + 1 mm: metres at 16 times the grid
 *
 * Weights U(+-1 / sqrt(fan in)), biases 0, the last one 1 (a metre), so that no map starts dead.  Recipe of MMDepth's
 * DINOv2: AdamW at 1e-4, decay 0.01, one cycle, SigLoss; 20 epochs are PE's. */
#include "base/str.h"
#include "evaluator/heads/depth.h"
#include "nn/init.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LEVELS = 4, NARROW = 32 };
#define LEAST 0.001f

#define AT(field) offsetof(struct depth_settings, field)
/* clang-format off */
static const struct option own_options[] = {
    {OPTION_GROUP, "head", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_BOOL, "class-token", AT(class_token), "true", 0, 0, NULL, "beside each cell stands the class token, where the encoder has one", OPTION_IDENTITY},
    {OPTION_INT, "dpt-channels", AT(channels), "256", 2, 4096, NULL, "of the levels that are fused", OPTION_IDENTITY},
    {OPTION_INT, "loss-warmup", AT(warming), "100", 0, 1e9, NULL, "first steps, whose loss is that of the mean depth alone", OPTION_IDENTITY},
    {0}};
static const struct option options[] = {
    {OPTION_TABLE, .offset = TRAINING_SELF, .table = heads_base_options},
    DENSE_ROWS,
    {OPTION_DEFAULT, "batch-size", .fallback = "8"},
    {OPTION_TABLE, .offset = HEADS_OWN, .table = dense_depths_options},
    {OPTION_TABLE, .offset = HEADS_OWN, .table = own_options},
    {OPTION_TABLE, .offset = 0, .table = training_options},
    {OPTION_TABLE, .offset = 0, .table = schedule_options},
    {OPTION_DEFAULT, "lr-schedule", .fallback = "one-cycle"},
    {OPTION_DEFAULT, "global-batch-size", .fallback = "16"},
    {OPTION_DEFAULT, "opt", .fallback = "adamw"},
    {OPTION_DEFAULT, "lr", .fallback = "1e-4"},
    {OPTION_DEFAULT, "warmup", .fallback = "1500"},
    {OPTION_DEFAULT, "wd", .fallback = "0.01"},
    {OPTION_DEFAULT, "beta2", .fallback = "0.999"},
    {OPTION_DEFAULT, "eps", .fallback = "1e-8"},
    {OPTION_DEFAULT, "grad-clip-norm", .fallback = "0"},
    {OPTION_DEFAULT, "name", .fallback = NULL},
    {OPTION_DEFAULT, "resume", .fallback = "latest"},
    {0}};
/* clang-format on */

static bool has_pairs(const struct heads *h)
{
    return h->feature == FEATURE_PAIRS;
}

static int64_t columns_of(const struct heads *h, const struct head *head) /* C */
{
    return has_pairs(h) ? head->width / 2 : head->width;
}

static int64_t level_columns(int64_t columns, int level)
{
    int64_t n = columns >> (LEVELS - 1 - level);
    return n > 0 ? n : 1;
}

/* --- parameters, in the order in which the forward pass takes them --- */

struct registration {
    struct heads *h;
    struct head *head;
    const char *prefix;
};

static void add_one(const struct registration *r, const char *part, const char *name, int64_t rows, int64_t cols)
{
    char full[128];
    snprintf(full, sizeof full, "%s_%s", part, name);
    int64_t shape[2] = {rows, cols};
    heads_add(r->h, r->head, r->prefix, full, rows ? 2 : 1, rows ? shape : &cols);
}

static void add_pair(const struct registration *r, const char *part, int64_t out, int64_t in)
{
    add_one(r, part, "weight", out, in);
    add_one(r, part, "bias", 0, out);
}

/* A constant row: frozen. */
static void add_constant(const struct registration *r, const char *part, const char *name, int64_t count)
{
    add_one(r, part, name, 0, count);
    parameter_freeze(r->head->parameters[r->head->count - 1], true);
}

static void add_level(const struct registration *r, int level)
{
    int64_t columns = columns_of(r->h, r->head), n = level_columns(columns, level);
    char part[64];
    snprintf(part, sizeof part, "project%d", level);
    if (has_pairs(r->h)) add_pair(r, part, columns, 2 * columns);
    snprintf(part, sizeof part, "reassemble%d", level);
    add_pair(r, part, n, columns);
    snprintf(part, sizeof part, "rescale%d", level);
    if (level < 2) { /* its bias is that of all pixels: y * 1 + bias */
        add_one(r, part, "weight", (level == 0 ? 16 : 4) * n, n);
        add_constant(r, part, "ones", n);
        add_one(r, part, "bias", 0, n);
    } else if (level == 3)
        add_pair(r, part, n, 9 * n);
    snprintf(part, sizeof part, "level%d", level);
    add_one(r, part, "weight", depth_of(r->h)->channels, 9 * n);
}

static void add_fusion(const struct registration *r, int level)
{
    int64_t f = depth_of(r->h)->channels;
    char part[64];
    for (int unit = level == LEVELS - 1; unit < 2; unit++)
        for (int k = 0; k < 2; k++) {
            snprintf(part, sizeof part, "fusion%d_unit%d_%d", level, unit, k);
            add_one(r, part, "weight", f, 9 * f);
        }
    snprintf(part, sizeof part, "fusion%d_project", level);
    add_pair(r, part, f, f);
}

static void add(struct heads *h, struct head *head, const char *prefix)
{
    struct registration r = {h, head, prefix};
    int64_t f = depth_of(h)->channels;
    dense_head_add(h, head, prefix);
    for (int level = 0; level < LEVELS; level++) add_level(&r, level);
    for (int level = LEVELS - 1; level >= 0; level--) add_fusion(&r, level);
    add_pair(&r, "head_project", f, 9 * f);
    add_pair(&r, "head_half", f / 2, 9 * f);
    add_pair(&r, "head_narrow", NARROW, 9 * (f / 2));
    add_pair(&r, "head_out", 1, NARROW);
    add_constant(&r, "head_out", "ones", 1);
    add_constant(&r, "head_out", "least", 1);
}

static void fill(struct parameter *p, float value)
{
    for (int64_t i = 0; i < tensor_count(&p->tensor); i++) p->values[i] = value;
}

static void draw(struct parameter *p, int64_t width, uint64_t seed)
{
    (void)width;
    if (dense_head_draw(p)) return;
    if (str_ends_with(p->name, "_ones") || !strcmp(p->name, "head_out_bias")) fill(p, 1);
    if (str_ends_with(p->name, "_least")) fill(p, LEAST);
    if (p->ndim == 2) init_uniform(p, seed, 1 / sqrt((double)p->tensor.cols));
}

/* --- the forward pass, in an open segment --- */

struct dpt {
    struct tape *t;
    const struct head *head;
    int next; /* parameter */
    bool pairs;
};

static struct tensor *take(struct dpt *d)
{
    return head_tensor(d->head, d->next++);
}

/* Maps as they grow. */
struct grown {
    struct tensor *x;
    struct map map;
};

static struct tensor *linear(struct dpt *d, struct tensor *x, bool biased)
{
    struct linear l = {.weight = take(d)};
    if (biased) l.bias = take(d);
    return op_linear(d->t, x, l);
}

static struct grown convolve(struct dpt *d, struct grown g, int64_t stride, bool biased)
{
    struct convolution c = {.weight = take(d), .kernel = 3, .stride = stride, .padding = 1};
    if (biased) c.bias = take(d);
    return (struct grown){op_convolve(d->t, g.x, g.map, c),
                          {g.map.pictures, convolution_extent(g.map.size, c.kernel, stride, c.padding)}};
}

static struct grown resize(struct dpt *d, struct grown g, struct extent to, bool corners)
{
    return (struct grown){op_resize(d->t, g.x, g.map, to, corners), {g.map.pictures, to}};
}

static struct grown twice(struct dpt *d, struct grown g)
{
    return resize(d, g, (struct extent){2 * g.map.size.height, 2 * g.map.size.width}, true);
}

static struct grown spread(struct dpt *d, struct grown g, int64_t factor)
{
    g.x = op_spread(d->t, linear(d, g.x, false), g.map, factor);
    struct tensor *ones = take(d), *bias = take(d);
    g.x = op_affine(d->t, g.x, ones, bias);
    g.map.size = (struct extent){factor * g.map.size.height, factor * g.map.size.width};
    return g;
}

static struct grown level_of(struct dpt *d, struct grown g, int level)
{
    if (d->pairs) g.x = op_gelu(d->t, linear(d, g.x, true));
    g.x = linear(d, g.x, true);
    if (level < 2) g = spread(d, g, level == 0 ? 4 : 2);
    if (level == 3) g = convolve(d, g, 2, true);
    return convolve(d, g, 1, false);
}

static struct grown residual(struct dpt *d, struct grown g)
{
    struct grown y = {op_relu(d->t, g.x), g.map};
    y = convolve(d, y, 1, false);
    y.x = op_relu(d->t, y.x);
    y = convolve(d, y, 1, false);
    y.x = op_branch(d->t, g.x, y.x, NULL, NULL, 1);
    return y;
}

/* Metres of pixels. */
static struct grown decode(struct dpt *d, struct tensor *x, struct map map)
{
    struct grown levels[LEVELS], y = {0};
    for (int level = 0; level < LEVELS; level++) levels[level] = level_of(d, (struct grown){x, map}, level);
    for (int level = LEVELS - 1; level >= 0; level--) {
        struct grown skip = levels[level];
        if (y.x) { /* a grid of odd size: the deeper map is the larger by one */
            if (!extent_same(skip.map.size, y.map.size)) skip = resize(d, skip, y.map.size, false);
            skip = residual(d, skip);
            skip.x = op_branch(d->t, y.x, skip.x, NULL, NULL, 1);
        }
        y = twice(d, residual(d, skip));
        y.x = linear(d, y.x, true);
    }
    y = convolve(d, y, 1, true);
    y.x = op_relu(d->t, y.x);
    y = convolve(d, twice(d, convolve(d, y, 1, true)), 1, true);
    y.x = op_relu(d->t, linear(d, op_relu(d->t, y.x), true));
    struct tensor *ones = take(d), *least = take(d);
    y.x = op_affine(d->t, y.x, ones, least);
    return y;
}

static struct grown metres(struct heads *h, struct tape *t, const struct head *head, struct tensor *x,
                           const struct lesson *lesson)
{
    struct dpt d = {t, head, dense_head_first(h), has_pairs(h)};
    tape_open_segment(t);
    return decode(&d, dense_head_input(h, t, head, x), dense_map(h, lesson));
}

static struct tensor *loss(struct heads *h, struct tape *t, const struct head *head, struct tensor *x,
                           const struct lesson *lesson)
{
    struct grown y = metres(h, t, head, x, lesson);
    return tape_close_segment(t, NULL, depth_head_loss(h, t, y.x, y.map, lesson));
}

static struct tensor *output(struct heads *h, struct tape *t, const struct head *head, struct tensor *x,
                             const struct lesson *lesson)
{
    return tape_close_segment(t, NULL, metres(h, t, head, x, lesson).x);
}

const struct head_kind head_depth_dpt = {
    .name = "depth --head dpt",
    .summary = "a DPT decoder over a layer's grid; 20 epochs when neither --epochs nor --steps says more",
    .task = "depth_dpt",
    .options = options,
    .epochs = 20,
    .bytes = sizeof(struct depth_settings),
    .subject = &subject_depths,
    .feature = depth_feature,
    .add = add,
    .draw = draw,
    .loss = loss,
    .output = output};
