/* Losses of a detector, and the chain they form. */
#include "ops/detection.h"

#include "base/check.h"

enum { X, BEFORE };

struct loss {
    const int32_t *targets; /* focal, GIoU */
    const float *values;    /* GIoU: the true boxes; binary: the targets */
    float side, weight;
};

static const float *before_of(const struct call *c)
{
    return c->in[BEFORE] ? c->in[BEFORE]->data : NULL;
}

static int64_t rows_of(const struct call *c)
{
    return c->in[X]->rows / c->out->rows;
}

/* What came before has the same gradient. */
static void pass_on(struct tape *t, struct call *c)
{
    struct gradient g = tape_gradient(t, c->in[BEFORE]);
    const struct kernels *k = t->device->kernels;
    if (!g.data) return;
    if (g.accumulate)
        k->add(t->device, g.data, c->out->grad, c->out->rows);
    else
        k->copy(t->device, g.data, c->out->grad, (size_t)c->out->rows * sizeof(float));
}

static struct tensor *apply(struct tape *t, const struct op_def *op, struct tensor *before, struct tensor *x,
                            int64_t pictures, struct loss loss)
{
    CHECK(pictures > 0 && x->rows % pictures == 0, "%s: %ld rows of %ld pictures", op->name, (long)x->rows,
          (long)pictures);
    CHECK(!before || (before->rows == pictures && before->cols == 1 && before->wide), "%s: before [%ld, %ld]", op->name,
          (long)before->rows, (long)before->cols);
    struct tensor *in[OP_INPUTS] = {x, before};
    return tape_apply(t, op, in, pictures, 1, &loss, sizeof loss);
}

static void focal_forward(struct tape *t, struct call *c)
{
    const struct loss *a = c->attributes;
    t->device->kernels->focal_forward(t->device, c->out->data, before_of(c), c->in[X]->data, a->targets, c->out->rows,
                                      rows_of(c), c->in[X]->cols, a->weight);
}

static void focal_backward(struct tape *t, struct call *c)
{
    const struct loss *a = c->attributes;
    struct gradient dx = tape_gradient(t, c->in[X]);
    if (dx.data)
        t->device->kernels->focal_backward(t->device, dx.data, c->out->grad, c->in[X]->data, a->targets, c->out->rows,
                                           rows_of(c), c->in[X]->cols, a->weight, dx.accumulate);
    pass_on(t, c);
}

static const struct op_def op_focal_def = {
    .name = "focal", .wide = true, .forward = focal_forward, .backward = focal_backward};

struct tensor *op_focal(struct tape *t, struct tensor *before, struct tensor *x, const int32_t *targets,
                        int64_t pictures, float weight)
{
    return apply(t, &op_focal_def, before, x, pictures, (struct loss){.targets = targets, .weight = weight});
}

static void giou_forward(struct tape *t, struct call *c)
{
    const struct loss *a = c->attributes;
    t->device->kernels->giou_forward(t->device, c->out->data, before_of(c), c->in[X]->data, a->values, a->targets,
                                     c->out->rows, rows_of(c), a->side, a->weight);
}

static void giou_backward(struct tape *t, struct call *c)
{
    const struct loss *a = c->attributes;
    struct gradient dx = tape_gradient(t, c->in[X]);
    if (dx.data)
        t->device->kernels->giou_backward(t->device, dx.data, c->out->grad, c->in[X]->data, a->values, a->targets,
                                          c->out->rows, rows_of(c), a->side, a->weight, dx.accumulate);
    pass_on(t, c);
}

static const struct op_def op_giou_def = {
    .name = "giou", .wide = true, .forward = giou_forward, .backward = giou_backward};

struct tensor *op_giou(struct tape *t, struct tensor *before, struct tensor *x, const float *truths,
                       const int32_t *targets, int64_t pictures, float side, float weight)
{
    CHECK(x->cols == 4, "giou: %ld columns", (long)x->cols);
    struct loss loss = {.targets = targets, .values = truths, .side = side, .weight = weight};
    return apply(t, &op_giou_def, before, x, pictures, loss);
}

static void binary_forward(struct tape *t, struct call *c)
{
    const struct loss *a = c->attributes;
    t->device->kernels->binary_forward(t->device, c->out->data, before_of(c), c->in[X]->data, a->values, c->out->rows,
                                       rows_of(c), a->weight);
}

static void binary_backward(struct tape *t, struct call *c)
{
    const struct loss *a = c->attributes;
    struct gradient dx = tape_gradient(t, c->in[X]);
    if (dx.data)
        t->device->kernels->binary_backward(t->device, dx.data, c->out->grad, c->in[X]->data, a->values, c->out->rows,
                                            rows_of(c), a->weight, dx.accumulate);
    pass_on(t, c);
}

static const struct op_def op_binary_def = {
    .name = "binary", .wide = true, .forward = binary_forward, .backward = binary_backward};

struct tensor *op_binary(struct tape *t, struct tensor *before, struct tensor *x, const float *targets,
                         int64_t pictures, float weight)
{
    CHECK(x->cols == 1, "binary: %ld columns", (long)x->cols);
    return apply(t, &op_binary_def, before, x, pictures, (struct loss){.values = targets, .weight = weight});
}
