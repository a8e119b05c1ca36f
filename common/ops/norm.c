/* Layer norm as an op of its own (ln_pre, ln_post, ln_final), RMS norm, L2 normalisation, columns made standard, and
 * the cosine of rows. */
#include "base/check.h"
#include "ops/ops.h"

struct saved {
    float *mean, *rstd, eps;
};

static void norm_forward(struct tape *t, struct call *c)
{
    struct saved *s = c->attributes;
    struct device *d = t->device;
    struct tensor *x = c->in[0];
    s->mean = tape_take(t, x->rows);
    s->rstd = tape_take(t, x->rows);
    d->kernels->norm_forward(d, c->out->data, s->mean, s->rstd, x->data, c->in[1]->master, c->in[2]->master, x->rows,
                             x->cols, s->eps);
}

static void norm_backward(struct tape *t, struct call *c)
{
    struct saved *s = c->attributes;
    struct tensor *x = c->in[0];
    struct gradient dx = tape_gradient(t, x), ds = tape_gradient(t, c->in[1]), dh = tape_gradient(t, c->in[2]);
    t->device->kernels->norm_backward(t->device, dx.data, ds.data, dh.data, c->out->grad, x->data, s->mean, s->rstd,
                                      c->in[1]->master, x->rows, x->cols, dx.accumulate, ds.accumulate, dh.accumulate);
}

static const struct op_def op_norm_def = {
    .name = "norm", .saves = true, .forward = norm_forward, .backward = norm_backward};

struct tensor *op_norm_eps(struct tape *t, struct tensor *x, struct tensor *scale, struct tensor *shift, float eps)
{
    CHECK(tensor_count(scale) == x->cols && tensor_count(shift) == x->cols, "norm: scale of %ld for %ld columns",
          (long)tensor_count(scale), (long)x->cols);
    struct tensor *in[OP_INPUTS] = {x, scale, shift};
    struct saved saved = {.eps = eps};
    return tape_apply(t, &op_norm_def, in, x->rows, x->cols, &saved, sizeof saved);
}

struct tensor *op_norm(struct tape *t, struct tensor *x, struct tensor *scale, struct tensor *shift)
{
    return op_norm_eps(t, x, scale, shift, 1e-5f);
}

struct rms {
    float *rstd, eps;
};

static void rms_forward(struct tape *t, struct call *c)
{
    struct rms *s = c->attributes;
    struct tensor *x = c->in[0];
    s->rstd = tape_take(t, x->rows);
    t->device->kernels->rms_forward(t->device, c->out->data, s->rstd, x->data, c->in[1]->master, x->rows, x->cols,
                                    s->eps);
}

static void rms_backward(struct tape *t, struct call *c)
{
    const struct rms *s = c->attributes;
    struct tensor *x = c->in[0];
    struct gradient dx = tape_gradient(t, x), ds = tape_gradient(t, c->in[1]);
    t->device->kernels->rms_backward(t->device, dx.data, ds.data, c->out->grad, x->data, s->rstd, c->in[1]->master,
                                     x->rows, x->cols, dx.accumulate, ds.accumulate);
}

static const struct op_def op_rms_def = {
    .name = "rms", .saves = true, .forward = rms_forward, .backward = rms_backward};

struct tensor *op_rms(struct tape *t, struct tensor *x, struct tensor *scale, float eps)
{
    CHECK(tensor_count(scale) == x->cols, "rms: scale of %ld for %ld columns", (long)tensor_count(scale),
          (long)x->cols);
    struct tensor *in[OP_INPUTS] = {x, scale};
    struct rms a = {.eps = eps};
    return tape_apply(t, &op_rms_def, in, x->rows, x->cols, &a, sizeof a);
}

static void normalize_forward(struct tape *t, struct call *c)
{
    struct saved *s = c->attributes;
    struct tensor *x = c->in[0];
    s->mean = tape_take(t, x->rows);
    t->device->kernels->normalize_forward(t->device, c->out->data, s->mean, x->data, x->rows, x->cols);
}

static void normalize_backward(struct tape *t, struct call *c)
{
    struct saved *s = c->attributes;
    struct gradient dx = tape_gradient(t, c->in[0]);
    t->device->kernels->normalize_backward(t->device, dx.data, c->out->grad, c->out->data, s->mean, c->out->rows,
                                           c->out->cols, dx.accumulate);
}

static const struct op_def op_normalize_def = {
    .name = "normalize", .saves = true, .wide = true, .forward = normalize_forward, .backward = normalize_backward};

struct tensor *op_normalize(struct tape *t, struct tensor *x)
{
    struct tensor *in[OP_INPUTS] = {x};
    struct saved saved = {0};
    return tape_apply(t, &op_normalize_def, in, x->rows, x->cols, &saved, sizeof saved);
}

static void standardize_forward(struct tape *t, struct call *c)
{
    struct tensor *x = c->in[0];
    t->device->kernels->standardize(t->device, c->out->data, x->data, c->in[1]->master, c->in[2]->master, x->rows,
                                    x->cols);
}

static const struct op_def op_standardize_def = {.name = "standardize", .forward = standardize_forward};

struct tensor *op_standardize(struct tape *t, struct tensor *x, struct tensor *mean, struct tensor *scale)
{
    CHECK(tensor_count(mean) == x->cols && tensor_count(scale) == x->cols, "standardize: %ld and %ld for %ld columns",
          (long)tensor_count(mean), (long)tensor_count(scale), (long)x->cols);
    struct tensor *in[OP_INPUTS] = {x, mean, scale};
    return tape_apply(t, &op_standardize_def, in, x->rows, x->cols, "", 0);
}

static void cosine_forward(struct tape *t, struct call *c)
{
    struct tensor *x = c->in[0], *y = *(struct tensor **)c->attributes;
    t->device->kernels->cosine_forward(t->device, c->out->data, x->data, y->data, x->rows, x->cols);
}

static void cosine_backward(struct tape *t, struct call *c)
{
    struct tensor *x = c->in[0], *y = *(struct tensor **)c->attributes;
    struct gradient dx = tape_gradient(t, x);
    t->device->kernels->cosine_backward(t->device, dx.data, x->data, y->data, c->out->grad, x->rows, x->cols,
                                        dx.accumulate);
}

static const struct op_def op_cosine_def = {
    .name = "cosine", .wide = true, .forward = cosine_forward, .backward = cosine_backward};

struct tensor *op_cosine(struct tape *t, struct tensor *x, struct tensor *target)
{
    CHECK(x->rows == target->rows && x->cols == target->cols, "cosine: [%ld, %ld] with [%ld, %ld]", (long)x->rows,
          (long)x->cols, (long)target->rows, (long)target->cols);
    struct tensor *in[OP_INPUTS] = {x};
    return tape_apply(t, &op_cosine_def, in, x->rows, 1, &target, sizeof target);
}
