/* Losses over pixels, and depth from bins.  A loss that belongs to a picture knows its slope when it is known: the
 * backward pass multiplies. */
#include "ops/dense.h"

#include "base/check.h"

static struct grid_view view_of(struct map from, struct extent to)
{
    return (struct grid_view){from.pictures, from.size, to};
}

static void check_map(const char *op, const struct tensor *x, struct map from)
{
    CHECK(x->rows == from.pictures * extent_area(from.size), "%s: %ld rows of %ld pictures of %ld x %ld", op,
          (long)x->rows, (long)from.pictures, (long)from.size.width, (long)from.size.height);
}

/* A loss of pictures [pictures, 1], with its slope where one will be asked for. */
struct picture_loss {
    struct grid_view view;
    const void *truth;
    int64_t ignored;
    float most, spread;
    void *slope; /* like in[0] */
};

static void *take_slope(struct tape *t, const struct call *c)
{
    return t->recording && c->in[0]->needs_grad ? tape_take_real(t, tensor_count(c->in[0])) : NULL;
}

/* dx (+)= slope * the gradient of its picture's loss. */
static void loss_backward(struct tape *t, struct call *c)
{
    const struct picture_loss *a = c->attributes;
    const struct kernels *k = t->device->kernels;
    struct tensor *x = c->in[0];
    struct gradient dx = tape_gradient(t, x);
    if (dx.data && dx.accumulate)
        k->branch_forward(t->device, dx.data, dx.data, a->slope, NULL, c->out->grad, x->rows, x->cols,
                          a->view.pictures);
    else if (dx.data) /* a gradient through DropPath alone is that product */
        k->branch_backward(t->device, dx.data, NULL, a->slope, a->slope, NULL, c->out->grad, x->rows, x->cols,
                           a->view.pictures, false);
}

static void pixel_forward(struct tape *t, struct call *c)
{
    struct picture_loss *a = c->attributes;
    a->slope = take_slope(t, c);
    t->device->kernels->pixel_loss(t->device, c->out->data, a->slope, c->in[0]->data, a->truth, a->view, c->in[0]->cols,
                                   a->ignored);
}

static const struct op_def op_pixel_loss_def = {
    .name = "pixel_loss", .saves = true, .wide = true, .forward = pixel_forward, .backward = loss_backward};

struct tensor *op_pixel_loss(struct tape *t, struct tensor *logits, struct map from, struct extent to,
                             const uint16_t *targets, int64_t ignored)
{
    check_map("pixel_loss", logits, from);
    struct picture_loss a = {.view = view_of(from, to), .truth = targets, .ignored = ignored};
    struct tensor *in[OP_INPUTS] = {logits};
    return tape_apply(t, &op_pixel_loss_def, in, from.pictures, 1, &a, sizeof a);
}

static void depth_forward(struct tape *t, struct call *c)
{
    struct picture_loss *a = c->attributes;
    a->slope = take_slope(t, c);
    t->device->kernels->depth_loss(t->device, c->out->data, a->slope, c->in[0]->data, a->truth, a->view, a->most,
                                   a->spread);
}

static const struct op_def op_depth_loss_def = {
    .name = "depth_loss", .saves = true, .wide = true, .forward = depth_forward, .backward = loss_backward};

struct tensor *op_depth_loss(struct tape *t, struct tensor *depth, struct map from, struct extent to,
                             const float *truth, float most, float spread)
{
    check_map("depth_loss", depth, from);
    CHECK(depth->cols == 1, "depth_loss: %ld columns", (long)depth->cols);
    struct picture_loss a = {.view = view_of(from, to), .truth = truth, .most = most, .spread = spread};
    struct tensor *in[OP_INPUTS] = {depth};
    return tape_apply(t, &op_depth_loss_def, in, from.pictures, 1, &a, sizeof a);
}

struct bins {
    struct grid_view view;
    float low, high;
};

static void bins_forward(struct tape *t, struct call *c)
{
    const struct bins *a = c->attributes;
    t->device->kernels->bins_forward(t->device, c->out->data, c->in[0]->data, a->view, c->in[0]->cols, a->low, a->high);
}

static void bins_backward(struct tape *t, struct call *c)
{
    const struct bins *a = c->attributes;
    struct gradient dx = tape_gradient(t, c->in[0]);
    if (dx.data)
        t->device->kernels->bins_backward(t->device, dx.data, c->out->grad, c->in[0]->data, a->view, c->in[0]->cols,
                                          a->low, a->high, dx.accumulate);
}

static const struct op_def op_bins_def = {.name = "bins", .forward = bins_forward, .backward = bins_backward};

struct tensor *op_bins(struct tape *t, struct tensor *logits, struct map from, struct extent to, float low, float high)
{
    check_map("bins", logits, from);
    CHECK(logits->cols > 1 && low < high, "bins: %ld from %g to %g", (long)logits->cols, (double)low, (double)high);
    struct bins a = {view_of(from, to), low, high};
    struct tensor *in[OP_INPUTS] = {logits};
    return tape_apply(t, &op_bins_def, in, from.pictures * extent_area(to), 1, &a, sizeof a);
}
