/* Ops that make or move rows: patches, image tokens, text embeddings, gather, repeat, position grids. */
#include <string.h>

#include "base/check.h"
#include "ops/ops.h"

struct patches {
    const uint8_t *pixels;
    int64_t images, size, patch;
};

static void patches_forward(struct tape *t, struct call *c)
{
    const struct patches *a = c->attributes;
    t->device->kernels->patches(t->device, c->out->data, a->pixels, a->images, a->size, a->patch);
}

static const struct op_def op_patches_def = {.name = "patches", .forward = patches_forward};

struct tensor *op_patches(struct tape *t, const uint8_t *pixels, int64_t images, int64_t size, int64_t patch)
{
    CHECK(size % patch == 0, "patches: size %ld, patch %ld", (long)size, (long)patch);
    struct patches a = {pixels, images, size, patch};
    struct tensor *in[OP_INPUTS] = {0};
    return tape_apply(t, &op_patches_def, in, images * (size / patch) * (size / patch), 3 * patch * patch, &a, sizeof a);
}

struct tokens {
    const uint8_t *hidden;
    int64_t images;
};

static void tokens_forward(struct tape *t, struct call *c)
{
    const struct tokens *a = c->attributes;
    t->device->kernels->tokens_forward(t->device, c->out->data, c->in[0]->data, c->in[1] ? c->in[1]->data : NULL, c->in[2]->data,
                                       a->hidden, a->images, c->in[0]->rows / a->images, c->out->cols);
}

static void tokens_backward(struct tape *t, struct call *c)
{
    const struct tokens *a = c->attributes;
    struct gradient dp = tape_gradient(t, c->in[0]), dc = tape_gradient(t, c->in[1]), dpos = tape_gradient(t, c->in[2]);
    CHECK(!dp.accumulate, "tokens: the patches feed another op");
    /* A frozen input still gets a place to write to: the kernel fills all three. */
    int64_t width = c->out->cols;
    if (!dp.data) dp.data = arena_take(&t->grads, (size_t)tensor_count(c->in[0]), sizeof(float));
    if (c->in[1] && !dc.data) dc.data = arena_take(&t->grads, (size_t)width, sizeof(float));
    if (!dpos.data) dpos.data = arena_take(&t->grads, (size_t)tensor_count(c->in[2]), sizeof(float));
    t->device->kernels->tokens_backward(t->device, dp.data, dc.data, dpos.data, c->out->grad, a->hidden, a->images,
                                        c->in[0]->rows / a->images, width, dc.accumulate, dpos.accumulate);
}

static const struct op_def op_tokens_def = {.name = "tokens", .forward = tokens_forward, .backward = tokens_backward};

struct tensor *op_tokens(struct tape *t, struct tensor *patches, struct tensor *class_token, struct tensor *positions,
                         const uint8_t *hidden, int64_t images)
{
    int64_t tokens = patches->rows / images + (class_token != NULL);
    CHECK(patches->rows % images == 0 && positions->rows == tokens && positions->cols == patches->cols,
          "tokens: %ld patch rows, %ld images, positions [%ld, %ld]", (long)patches->rows, (long)images, (long)positions->rows,
          (long)positions->cols);
    struct tokens a = {hidden, images};
    struct tensor *in[OP_INPUTS] = {patches, class_token, positions};
    return tape_apply(t, &op_tokens_def, in, images * tokens, patches->cols, &a, sizeof a);
}

struct grid {
    int64_t from, to;
};

static void grid_forward(struct tape *t, struct call *c)
{
    const struct grid *g = c->attributes;
    int64_t width = c->out->cols, first = c->in[0]->rows - g->from * g->from;
    memcpy(c->out->data, c->in[0]->data, (size_t)(first * width) * sizeof(float));
    t->device->kernels->grid_resize(t->device, c->out->data + first * width, c->in[0]->data + first * width, g->to, g->from, width);
}

static void grid_backward(struct tape *t, struct call *c)
{
    const struct grid *g = c->attributes;
    int64_t width = c->out->cols, first = c->in[0]->rows - g->from * g->from;
    struct gradient dx = tape_gradient(t, c->in[0]);
    for (int64_t i = 0; i < first * width; i++) dx.data[i] = dx.accumulate ? dx.data[i] + c->out->grad[i] : c->out->grad[i];
    t->device->kernels->grid_resize_backward(t->device, dx.data + first * width, c->out->grad + first * width, g->to, g->from, width,
                                             dx.accumulate);
}

static const struct op_def op_grid_def = {.name = "grid", .forward = grid_forward, .backward = grid_backward};

struct tensor *op_grid(struct tape *t, struct tensor *positions, int64_t from, int64_t to)
{
    int64_t first = positions->rows - from * from;
    CHECK(first == 0 || first == 1, "grid: %ld rows are no %ld x %ld grid", (long)positions->rows, (long)from, (long)from);
    struct grid g = {from, to};
    struct tensor *in[OP_INPUTS] = {positions};
    return tape_apply(t, &op_grid_def, in, to * to + first, positions->cols, &g, sizeof g);
}

struct embed {
    const int32_t *ids, *places;
};

static void embed_forward(struct tape *t, struct call *c)
{
    const struct embed *a = c->attributes;
    t->device->kernels->embed_forward(t->device, c->out->data, c->in[0]->data, c->in[1]->data, a->ids, a->places, c->out->rows,
                                      c->out->cols);
}

static void embed_backward(struct tape *t, struct call *c)
{
    const struct embed *a = c->attributes;
    struct gradient dt = tape_gradient(t, c->in[0]), dp = tape_gradient(t, c->in[1]);
    CHECK(dt.data && dp.data, "embed: one of table and positions is frozen");
    if (!dt.accumulate) t->device->kernels->fill(t->device, dt.data, 0, tensor_count(c->in[0]));
    if (!dp.accumulate) t->device->kernels->fill(t->device, dp.data, 0, tensor_count(c->in[1]));
    t->device->kernels->embed_backward(t->device, dt.data, dp.data, c->out->grad, a->ids, a->places, c->out->rows, c->out->cols);
}

static const struct op_def op_embed_def = {.name = "embed", .forward = embed_forward, .backward = embed_backward};

struct tensor *op_embed(struct tape *t, struct tensor *table, struct tensor *positions, const int32_t *ids, const int32_t *places,
                        int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        CHECK(ids[i] >= 0 && ids[i] < table->rows && places[i] >= 0 && places[i] < positions->rows, "embed: id %d of %ld at place %d of %ld",
              ids[i], (long)table->rows, places[i], (long)positions->rows);
    struct embed a = {ids, places};
    struct tensor *in[OP_INPUTS] = {table, positions};
    return tape_apply(t, &op_embed_def, in, n, table->cols, &a, sizeof a);
}

static void gather_forward(struct tape *t, struct call *c)
{
    t->device->kernels->gather_rows(t->device, c->out->data, c->in[0]->data, *(const int32_t **)c->attributes, c->out->rows, c->out->cols);
}

static void gather_backward(struct tape *t, struct call *c)
{
    struct gradient dx = tape_gradient(t, c->in[0]);
    if (!dx.accumulate) t->device->kernels->fill(t->device, dx.data, 0, tensor_count(c->in[0]));
    t->device->kernels->scatter_rows_add(t->device, dx.data, c->out->grad, *(const int32_t **)c->attributes, c->out->rows, c->out->cols);
}

static const struct op_def op_gather_def = {.name = "gather", .forward = gather_forward, .backward = gather_backward};

struct tensor *op_gather(struct tape *t, struct tensor *x, const int32_t *index, int64_t n)
{
    for (int64_t i = 0; i < n; i++) CHECK(index[i] >= 0 && index[i] < x->rows, "gather: row %d of %ld", index[i], (long)x->rows);
    struct tensor *in[OP_INPUTS] = {x};
    return tape_apply(t, &op_gather_def, in, n, x->cols, &index, sizeof index);
}

static void repeat_forward(struct tape *t, struct call *c)
{
    t->device->kernels->repeat_row(t->device, c->out->data, c->in[0]->data, c->out->rows, c->out->cols);
}

static void repeat_backward(struct tape *t, struct call *c)
{
    struct gradient dx = tape_gradient(t, c->in[0]);
    t->device->kernels->sum_rows(t->device, dx.data, c->out->grad, c->out->rows, c->out->cols, dx.accumulate);
}

static const struct op_def op_repeat_def = {.name = "repeat", .forward = repeat_forward, .backward = repeat_backward};

struct tensor *op_repeat(struct tape *t, struct tensor *x, int64_t n)
{
    CHECK(tensor_count(x) == x->cols, "repeat: [%ld, %ld] is no row", (long)x->rows, (long)x->cols);
    struct tensor *in[OP_INPUTS] = {x};
    return tape_apply(t, &op_repeat_def, in, n, x->cols, &x, 0);
}
