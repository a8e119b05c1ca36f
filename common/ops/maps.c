/* Ops on maps: convolution, transposed convolution's second half, pooling, resampling, group norm, activations. */
#include "ops/maps.h"

#include "base/check.h"

static void check_map(const char *op, const struct tensor *x, struct map map)
{
    CHECK(x->rows == map.pictures * extent_area(map.size) && x->rows <= INT32_MAX,
          "%s: %ld rows, %ld maps of %ld x %ld", op, (long)x->rows, (long)map.pictures, (long)map.size.width,
          (long)map.size.height);
}

enum { X, WEIGHT, BIAS };

/* A kernel of one pixel, each of them: a linear layer. */
static bool pointwise(const struct convolve *a)
{
    return a->kernel == 1 && a->stride == 1 && !a->padding;
}

static void convolve_forward(struct tape *t, struct call *c)
{
    const struct convolve *a = c->attributes;
    struct device *d = t->device;
    const void *x = c->in[X]->data, *w = c->in[WEIGHT]->data, *b = c->in[BIAS] ? c->in[BIAS]->data : NULL;
    if (pointwise(a))
        d->kernels->linear_forward(d, c->out->data, NULL, x, w, b, NULL, c->out->rows, a->in, a->out,
                                   (struct linear_prepare){.kind = LINEAR_PLAIN});
    else
        d->kernels->convolve_forward(d, c->out->data, x, w, b, a);
}

static void convolve_backward(struct tape *t, struct call *c)
{
    const struct convolve *a = c->attributes;
    struct device *d = t->device;
    const struct kernels *k = d->kernels;
    struct gradient dw = tape_gradient(t, c->in[WEIGHT]), db = tape_gradient(t, c->in[BIAS]),
                    dx = tape_gradient(t, c->in[X]);
    const void *dy = c->out->grad, *x = c->in[X]->data, *w = c->in[WEIGHT]->data;
    CHECK(dw.data || !db.data, "convolve: a frozen weight with a bias that learns");
    if (dw.data && pointwise(a))
        k->linear_backward_weight(d, dw.data, db.data, dy, x, c->out->rows, a->in, a->out,
                                  (struct linear_prepare){.kind = LINEAR_PLAIN}, dw.accumulate, db.accumulate);
    else if (dw.data)
        k->convolve_backward_weight(d, dw.data, db.data, dy, x, a, dw.accumulate, db.accumulate);
    if (dx.data && pointwise(a))
        k->linear_backward_input(d, dx.data, dy, w, NULL, c->out->rows, a->in, a->out, dx.accumulate);
    else if (dx.data)
        k->convolve_backward_input(d, dx.data, dy, w, a, dx.accumulate);
}

static const struct op_def op_convolve_def = {
    .name = "convolve", .forward = convolve_forward, .backward = convolve_backward};

struct extent convolution_extent(struct extent from, int64_t kernel, int64_t stride, int64_t padding)
{
    CHECK(from.height + 2 * padding >= kernel && from.width + 2 * padding >= kernel,
          "a kernel of %ld over %ld x %ld, padding %ld", (long)kernel, (long)from.width, (long)from.height,
          (long)padding);
    return (struct extent){(from.height + 2 * padding - kernel) / stride + 1,
                           (from.width + 2 * padding - kernel) / stride + 1};
}

struct tensor *op_convolve(struct tape *t, struct tensor *x, struct map from, struct convolution c)
{
    check_map("convolve", x, from);
    CHECK(c.weight->cols == c.kernel * c.kernel * x->cols && (!c.bias || tensor_count(c.bias) == c.weight->rows),
          "convolve: weight [%ld, %ld], kernel %ld over %ld channels", (long)c.weight->rows, (long)c.weight->cols,
          (long)c.kernel, (long)x->cols);
    struct convolve a = {.pictures = from.pictures,
                         .from = from.size,
                         .to = convolution_extent(from.size, c.kernel, c.stride, c.padding),
                         .in = x->cols,
                         .out = c.weight->rows,
                         .kernel = c.kernel,
                         .stride = c.stride,
                         .padding = c.padding};
    struct tensor *in[OP_INPUTS] = {x, c.weight, c.bias};
    return tape_apply(t, &op_convolve_def, in, a.pictures * extent_area(a.to), a.out, &a, sizeof a);
}

struct change {
    struct map_change map;
    int64_t kernel, stride; /* of max_pool; of spread its factor is the kernel */
    bool corners;           /* of resize */
};

static struct tensor *apply_change(struct tape *t, const struct op_def *op, struct tensor *x, struct change a)
{
    struct tensor *in[OP_INPUTS] = {x};
    return tape_apply(t, op, in, a.map.pictures * extent_area(a.map.to), a.map.width, &a, sizeof a);
}

static void spread_forward(struct tape *t, struct call *c)
{
    const struct change *a = c->attributes;
    t->device->kernels->spread_forward(t->device, c->out->data, c->in[0]->data, &a->map, a->kernel);
}

static void spread_backward(struct tape *t, struct call *c)
{
    const struct change *a = c->attributes;
    struct gradient dx = tape_gradient(t, c->in[0]);
    t->device->kernels->spread_backward(t->device, dx.data, c->out->grad, &a->map, a->kernel, dx.accumulate);
}

static const struct op_def op_spread_def = {.name = "spread", .forward = spread_forward, .backward = spread_backward};

struct tensor *op_spread(struct tape *t, struct tensor *x, struct map from, int64_t factor)
{
    check_map("spread", x, from);
    CHECK(x->cols % (factor * factor) == 0, "spread: %ld columns, factor %ld", (long)x->cols, (long)factor);
    struct extent to = {from.size.height * factor, from.size.width * factor};
    struct change a = {.map = {from.pictures, from.size, to, x->cols / (factor * factor)}, .kernel = factor};
    return apply_change(t, &op_spread_def, x, a);
}

static void max_pool_forward(struct tape *t, struct call *c)
{
    const struct change *a = c->attributes;
    t->device->kernels->max_pool_forward(t->device, c->out->data, c->in[0]->data, &a->map, a->kernel, a->stride);
}

static void max_pool_backward(struct tape *t, struct call *c)
{
    const struct change *a = c->attributes;
    struct gradient dx = tape_gradient(t, c->in[0]);
    t->device->kernels->max_pool_backward(t->device, dx.data, c->out->grad, c->in[0]->data, &a->map, a->kernel,
                                          a->stride, dx.accumulate);
}

static const struct op_def op_max_pool_def = {
    .name = "max_pool", .forward = max_pool_forward, .backward = max_pool_backward};

struct tensor *op_max_pool(struct tape *t, struct tensor *x, struct map from, int64_t kernel, int64_t stride)
{
    check_map("max_pool", x, from);
    struct extent to = convolution_extent(from.size, kernel, stride, 0);
    struct change a = {.map = {from.pictures, from.size, to, x->cols}, .kernel = kernel, .stride = stride};
    return apply_change(t, &op_max_pool_def, x, a);
}

static void resize_forward(struct tape *t, struct call *c)
{
    const struct change *a = c->attributes;
    t->device->kernels->resize_forward(t->device, c->out->data, c->in[0]->data, &a->map, a->corners);
}

static void resize_backward(struct tape *t, struct call *c)
{
    const struct change *a = c->attributes;
    struct gradient dx = tape_gradient(t, c->in[0]);
    t->device->kernels->resize_backward(t->device, dx.data, c->out->grad, &a->map, a->corners, dx.accumulate);
}

static const struct op_def op_resize_def = {.name = "resize", .forward = resize_forward, .backward = resize_backward};

struct tensor *op_resize(struct tape *t, struct tensor *x, struct map from, struct extent to, bool align_corners)
{
    check_map("resize", x, from);
    return apply_change(t, &op_resize_def, x,
                        (struct change){.map = {from.pictures, from.size, to, x->cols}, .corners = align_corners});
}

struct group_norm {
    int64_t pictures, groups;
    float *mean, *rstd; /* [pictures, groups] */
};

static void group_norm_forward(struct tape *t, struct call *c)
{
    struct group_norm *a = c->attributes;
    struct tensor *x = c->in[0];
    a->mean = tape_take(t, a->pictures * a->groups);
    a->rstd = tape_take(t, a->pictures * a->groups);
    t->device->kernels->group_norm_forward(t->device, c->out->data, a->mean, a->rstd, x->data, c->in[1]->master,
                                           c->in[2]->master, a->pictures, x->rows / a->pictures, x->cols, a->groups);
}

static void group_norm_backward(struct tape *t, struct call *c)
{
    const struct group_norm *a = c->attributes;
    struct tensor *x = c->in[0];
    struct gradient dx = tape_gradient(t, x), ds = tape_gradient(t, c->in[1]), dh = tape_gradient(t, c->in[2]);
    t->device->kernels->group_norm_backward(t->device, dx.data, ds.data, dh.data, c->out->grad, x->data, a->mean,
                                            a->rstd, c->in[1]->master, a->pictures, x->rows / a->pictures, x->cols,
                                            a->groups, dx.accumulate, ds.accumulate, dh.accumulate);
}

static const struct op_def op_group_norm_def = {
    .name = "group_norm", .saves = true, .forward = group_norm_forward, .backward = group_norm_backward};

struct tensor *op_group_norm(struct tape *t, struct tensor *x, struct map from, int64_t groups, struct tensor *scale,
                             struct tensor *shift)
{
    check_map("group_norm", x, from);
    CHECK(x->cols % groups == 0 && tensor_count(scale) == x->cols && tensor_count(shift) == x->cols,
          "group_norm: %ld groups and a scale of %ld for %ld columns", (long)groups, (long)tensor_count(scale),
          (long)x->cols);
    struct group_norm a = {.pictures = from.pictures, .groups = groups};
    struct tensor *in[OP_INPUTS] = {x, scale, shift};
    return tape_apply(t, &op_group_norm_def, in, x->rows, x->cols, &a, sizeof a);
}

static void affine_forward(struct tape *t, struct call *c)
{
    t->device->kernels->affine_forward(t->device, c->out->data, c->in[0]->data, c->in[1]->master, c->in[2]->master,
                                       c->out->rows, c->out->cols);
}

static void affine_backward(struct tape *t, struct call *c)
{
    struct tensor *x = c->in[0];
    struct gradient dx = tape_gradient(t, x), ds = tape_gradient(t, c->in[1]), dh = tape_gradient(t, c->in[2]);
    t->device->kernels->affine_backward(t->device, dx.data, ds.data, dh.data, c->out->grad, x->data, c->in[1]->master,
                                        x->rows, x->cols, dx.accumulate, ds.accumulate, dh.accumulate);
}

static const struct op_def op_affine_def = {.name = "affine", .forward = affine_forward, .backward = affine_backward};

struct tensor *op_affine(struct tape *t, struct tensor *x, struct tensor *scale, struct tensor *shift)
{
    CHECK(tensor_count(scale) == x->cols && tensor_count(shift) == x->cols, "affine: scale of %ld for %ld columns",
          (long)tensor_count(scale), (long)x->cols);
    struct tensor *in[OP_INPUTS] = {x, scale, shift};
    return tape_apply(t, &op_affine_def, in, x->rows, x->cols, "", 0);
}

static void activation_forward(struct tape *t, struct call *c)
{
    t->device->kernels->activation_forward(t->device, c->out->data, c->in[0]->data,
                                           *(const enum activation *)c->attributes, tensor_count(c->out));
}

static void activation_backward(struct tape *t, struct call *c)
{
    struct gradient dx = tape_gradient(t, c->in[0]);
    t->device->kernels->activation_backward(t->device, dx.data, c->out->grad, c->in[0]->data,
                                            *(const enum activation *)c->attributes, tensor_count(c->out),
                                            dx.accumulate);
}

static const struct op_def op_activation_def = {
    .name = "activation", .forward = activation_forward, .backward = activation_backward};

static struct tensor *apply_activation(struct tape *t, struct tensor *x, enum activation kind)
{
    struct tensor *in[OP_INPUTS] = {x};
    return tape_apply(t, &op_activation_def, in, x->rows, x->cols, &kind, sizeof kind);
}

struct tensor *op_relu(struct tape *t, struct tensor *x)
{
    return apply_activation(t, x, ACTIVATION_RELU);
}

struct tensor *op_gelu(struct tape *t, struct tensor *x)
{
    return apply_activation(t, x, ACTIVATION_GELU);
}
