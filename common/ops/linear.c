/* Linear layers.  The input is prepared (layer norm or GELU) inside the product, so neither output is stored: the
 * backward pass prepares again from x. */
#include "base/check.h"
#include "ops/ops.h"

enum { X, WEIGHT, BIAS, RESIDUAL, SCALE, SHIFT };

struct attributes {
    bool gelu, gelu_output;
    float *mean, *rstd;
    void *kept;                    /* of the norm, where the table keeps inputs */
    void *gelu_of_output;          /* likewise, for the next layer */
    const struct attributes *from; /* the layer that made x, for GELU; NULL when no op did */
};

static struct linear_prepare preparation(const struct call *c)
{
    const struct attributes *a = c->attributes;
    if (a->gelu) return (struct linear_prepare){.kind = LINEAR_GELU, .kept = a->from ? a->from->gelu_of_output : NULL};
    if (!c->in[SCALE]) return (struct linear_prepare){.kind = LINEAR_PLAIN};
    return (struct linear_prepare){LINEAR_NORM, a->mean, a->rstd, c->in[SCALE]->master, c->in[SHIFT]->master, a->kept};
}

static void forward(struct tape *t, struct call *c)
{
    struct attributes *a = c->attributes;
    struct device *d = t->device;
    struct tensor *x = c->in[X];
    if (c->in[WEIGHT]->packed) {
        d->kernels->linear_packed(d, c->out->data, x->data, c->in[WEIGHT]->packing, c->in[WEIGHT]->packed,
                                  c->in[RESIDUAL] ? c->in[RESIDUAL]->data : NULL, x->rows, x->cols, c->out->cols);
        return;
    }
    if (c->in[SCALE]) {
        a->mean = tape_take(t, x->rows);
        a->rstd = tape_take(t, x->rows);
        a->kept = d->kernels->keeps_inputs ? tape_take_real(t, tensor_count(x)) : NULL;
    }
    a->gelu_of_output = a->gelu_output && d->kernels->keeps_inputs ? tape_take_real(t, tensor_count(c->out)) : NULL;
    d->kernels->linear_forward(d, c->out->data, a->gelu_of_output, x->data, c->in[WEIGHT]->data,
                               c->in[BIAS] ? c->in[BIAS]->data : NULL, c->in[RESIDUAL] ? c->in[RESIDUAL]->data : NULL,
                               x->rows, x->cols, c->out->cols, preparation(c));
}

static void backward(struct tape *t, struct call *c)
{
    struct device *d = t->device;
    const struct kernels *k = d->kernels;
    const struct attributes *a = c->attributes;
    struct tensor *x = c->in[X], *w = c->in[WEIGHT];
    const void *dy = c->out->grad;
    int64_t rows = x->rows, in = x->cols, out = c->out->cols;

    struct gradient dw = tape_gradient(t, w), db = tape_gradient(t, c->in[BIAS]);
    if (dw.data)
        k->linear_backward_weight(d, dw.data, db.data, dy, x->data, rows, in, out, preparation(c), dw.accumulate,
                                  db.accumulate);
    if (c->in[SCALE]) {
        struct gradient dx = tape_gradient(t, x), ds = tape_gradient(t, c->in[SCALE]),
                        dh = tape_gradient(t, c->in[SHIFT]);
        size_t mark = arena_mark(&t->grads);
        void *dn = tape_borrow(t, rows * in, k->real_bytes);
        k->linear_backward_input(d, dn, dy, w->data, NULL, rows, in, out, false);
        k->norm_backward(d, dx.data, ds.data, dh.data, dn, x->data, a->mean, a->rstd, c->in[SCALE]->master, rows, in,
                         dx.accumulate, ds.accumulate, dh.accumulate);
        arena_release(&t->grads, mark);
    } else {
        struct gradient dx = tape_gradient(t, x);
        CHECK(!a->gelu || !dx.accumulate, "the input of a GELU linear feeds another op");
        if (dx.data)
            k->linear_backward_input(d, dx.data, dy, w->data, a->gelu ? x->data : NULL, rows, in, out, dx.accumulate);
    }
    tape_pass_gradient(t, c->out, c->in[RESIDUAL]);
}

static const struct op_def op_linear_plain = {.name = "linear", .forward = forward, .backward = backward};
static const struct op_def op_linear_norm = {
    .name = "norm_linear", .saves = true, .forward = forward, .backward = backward};

struct tensor *op_linear(struct tape *t, struct tensor *x, struct linear l)
{
    int64_t out = l.weight->rows;
    CHECK(l.weight->cols == x->cols, "linear: weight [%ld, %ld] times x [%ld, %ld]", (long)out, (long)l.weight->cols,
          (long)x->rows, (long)x->cols);
    CHECK(!l.bias || tensor_count(l.bias) == out, "linear: bias of %ld for %ld outputs", (long)tensor_count(l.bias),
          (long)out);
    CHECK(!l.residual || (l.residual->rows == x->rows && l.residual->cols == out), "linear: residual [%ld, %ld]",
          (long)l.residual->rows, (long)l.residual->cols);
    CHECK(!l.norm_scale == !l.norm_shift && !(l.norm_scale && l.gelu_input), "linear: norm and GELU");
    CHECK(!l.weight->packed || !(t->recording || l.bias || l.norm_scale || l.gelu_input || l.gelu_output),
          "linear: more than a product of packed weights");
    CHECK(!l.gelu_output || !l.residual, "linear: a residual and GELU output");
    struct attributes a = {.gelu = l.gelu_input, .gelu_output = l.gelu_output};
    if (l.gelu_input && x->notes) {
        a.from = x->notes;
        CHECK(a.from->gelu_output, "linear: GELU of a layer that did not know");
    }
    struct tensor *in[OP_INPUTS] = {x, l.weight, l.bias, l.residual, l.norm_scale, l.norm_shift};
    return tape_apply(t, l.norm_scale ? &op_linear_norm : &op_linear_plain, in, x->rows, out, &a, sizeof a);
}

static void project_forward(struct tape *t, struct call *c)
{
    struct tensor *x = c->in[X], *w = c->in[WEIGHT];
    t->device->kernels->matmul(t->device, c->out->data, false, w->cols, x->data, x->cols, false, w->data, w->cols, true,
                               x->rows, w->cols, x->cols, false);
}

static void project_backward(struct tape *t, struct call *c)
{
    struct tensor *x = c->in[X], *w = c->in[WEIGHT];
    struct gradient dw = tape_gradient(t, w), dx = tape_gradient(t, x);
    const void *dy = c->out->grad;
    if (dw.data)
        t->device->kernels->matmul(t->device, dw.data, true, w->cols, x->data, x->cols, true, dy, w->cols, true,
                                   x->cols, w->cols, x->rows, dw.accumulate);
    if (dx.data)
        t->device->kernels->matmul(t->device, dx.data, false, x->cols, dy, w->cols, false, w->data, w->cols, false,
                                   x->rows, x->cols, w->cols, dx.accumulate);
}

static const struct op_def op_project_def = {
    .name = "project", .forward = project_forward, .backward = project_backward};

struct tensor *op_project(struct tape *t, struct tensor *x, struct tensor *w)
{
    CHECK(w->rows == x->cols, "project: x [%ld, %ld] times w [%ld, %ld]", (long)x->rows, (long)x->cols, (long)w->rows,
          (long)w->cols);
    struct tensor *in[OP_INPUTS] = {x, w};
    return tape_apply(t, &op_project_def, in, x->rows, w->cols, "", 0);
}
