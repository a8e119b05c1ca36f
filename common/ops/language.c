/* What language models are made of besides linear layers, norms and attention, and what classifiers end with: the gated
 * activation, the loss, the logits of the next token or of the classes. */
#include "base/check.h"
#include "ops/ops.h"

static void gate_forward(struct tape *t, struct call *c)
{
    t->device->kernels->gate_forward(t->device, c->out->data, c->in[0]->data, c->out->rows, c->out->cols);
}

static void gate_backward(struct tape *t, struct call *c)
{
    struct gradient dx = tape_gradient(t, c->in[0]);
    CHECK(!dx.accumulate, "the input of a gate feeds another op");
    t->device->kernels->gate_backward(t->device, dx.data, c->out->grad, c->in[0]->data, c->out->rows, c->out->cols);
}

static const struct op_def op_gate_def = {.name = "gate", .forward = gate_forward, .backward = gate_backward};

struct tensor *op_gate(struct tape *t, struct tensor *x)
{
    CHECK(x->cols % 2 == 0, "gate: %ld columns", (long)x->cols);
    struct tensor *in[OP_INPUTS] = {x};
    return tape_apply(t, &op_gate_def, in, x->rows, x->cols / 2, "", 0);
}

/* Logits exist for a strip of rows at a time; the backward pass makes them again. */
enum { STRIP_FLOATS = 1 << 23 };

struct loss {
    const int32_t *targets;
    float *lse;
};

static int64_t strip_rows(const struct call *c)
{
    int64_t rows = STRIP_FLOATS / c->in[1]->rows;
    return rows < 1 ? 1 : rows < c->in[0]->rows ? rows : c->in[0]->rows;
}

static void *rows_from(const struct tape *t, void *x, int64_t row, int64_t cols)
{
    return (char *)x + (size_t)(row * cols) * t->device->kernels->real_bytes;
}

static void logits_of(struct tape *t, const struct call *c, float *logits, int64_t first, int64_t rows)
{
    const struct tensor *x = c->in[0], *w = c->in[1], *bias = c->in[2];
    t->device->kernels->matmul(t->device, logits, true, w->rows, rows_from(t, x->data, first, x->cols), x->cols, false,
                               w->data, w->cols, false, rows, w->rows, x->cols, false);
    if (bias) t->device->kernels->add_row(t->device, logits, bias->master, rows, w->rows);
}

static void loss_forward(struct tape *t, struct call *c)
{
    struct loss *a = c->attributes;
    int64_t rows = c->in[0]->rows, strip = strip_rows(c);
    a->lse = tape_take(t, rows);
    size_t mark = arena_mark(&t->grads);
    float *logits = tape_borrow(t, strip * c->in[1]->rows, sizeof *logits);
    for (int64_t r = 0; r < rows; r += strip) {
        int64_t n = rows - r < strip ? rows - r : strip;
        logits_of(t, c, logits, r, n);
        t->device->kernels->softmax_loss(t->device, (float *)c->out->data + r, a->lse + r, logits, a->targets + r, n,
                                         c->in[1]->rows);
    }
    arena_release(&t->grads, mark);
}

static void loss_backward(struct tape *t, struct call *c)
{
    const struct loss *a = c->attributes;
    const struct kernels *k = t->device->kernels;
    struct tensor *x = c->in[0], *w = c->in[1];
    int64_t rows = x->rows, strip = strip_rows(c);
    struct gradient dx = tape_gradient(t, x), dw = tape_gradient(t, w), db = tape_gradient(t, c->in[2]);
    size_t mark = arena_mark(&t->grads);
    float *logits = tape_borrow(t, strip * w->rows, sizeof *logits);
    void *slope = k->real_bytes == sizeof *logits ? logits : tape_borrow(t, strip * w->rows, k->real_bytes);
    for (int64_t r = 0; r < rows; r += strip) {
        int64_t n = rows - r < strip ? rows - r : strip;
        logits_of(t, c, logits, r, n);
        k->softmax_gradient(t->device, slope, logits, a->lse + r, a->targets + r, (const float *)c->out->grad + r, n,
                            w->rows);
        if (dx.data)
            k->matmul(t->device, rows_from(t, dx.data, r, x->cols), false, x->cols, slope, w->rows, false, w->data,
                      w->cols, true, n, x->cols, w->rows, dx.accumulate);
        if (dw.data)
            k->matmul(t->device, dw.data, true, w->cols, slope, w->rows, true, rows_from(t, x->data, r, x->cols),
                      x->cols, true, w->rows, w->cols, n, dw.accumulate || r > 0);
        if (db.data) k->sum_rows(t->device, db.data, slope, n, w->rows, db.accumulate || r > 0);
    }
    arena_release(&t->grads, mark);
}

static const struct op_def op_loss_def = {
    .name = "loss", .saves = true, .wide = true, .forward = loss_forward, .backward = loss_backward};

static void check_shapes(const char *op, const struct tensor *x, const struct tensor *weight, const struct tensor *bias)
{
    CHECK(x->cols == weight->cols && (!bias || tensor_count(bias) == weight->rows),
          "%s: x [%ld, %ld], weight [%ld, %ld], bias of %ld", op, (long)x->rows, (long)x->cols, (long)weight->rows,
          (long)weight->cols, bias ? (long)tensor_count(bias) : 0);
}

struct tensor *op_loss(struct tape *t, struct tensor *x, struct tensor *weight, struct tensor *bias,
                       const int32_t *targets)
{
    check_shapes("loss", x, weight, bias);
    struct loss a = {.targets = targets};
    struct tensor *in[OP_INPUTS] = {x, weight, bias};
    return tape_apply(t, &op_loss_def, in, x->rows, 1, &a, sizeof a);
}

static void logits_forward(struct tape *t, struct call *c)
{
    struct tensor *x = c->in[0], *w = c->in[1];
    if (w->packed)
        t->device->kernels->linear_packed(t->device, c->out->data, x->data, w->packing, w->packed, NULL, x->rows,
                                          x->cols, w->rows);
    else
        logits_of(t, c, c->out->data, 0, x->rows);
}

static const struct op_def op_logits_def = {.name = "logits", .wide = true, .forward = logits_forward};

struct tensor *op_logits(struct tape *t, struct tensor *x, struct tensor *weight, struct tensor *bias)
{
    check_shapes("logits", x, weight, bias);
    CHECK(!bias || !weight->packed, "logits: a bias and packed weights");
    struct tensor *in[OP_INPUTS] = {x, weight, bias};
    return tape_apply(t, &op_logits_def, in, x->rows, weight->rows, "", 0);
}
