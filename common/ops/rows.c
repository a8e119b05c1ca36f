/* Ops that make or move rows: patches, image tokens, text embeddings, gather, repeat, position grids. */
#include "base/check.h"
#include "ops/ops.h"

struct patches {
    const uint8_t *pixels;
    int64_t images, patch;
    struct extent size;
};

static void patches_forward(struct tape *t, struct call *c)
{
    const struct patches *a = c->attributes;
    t->device->kernels->patches(t->device, c->out->data, a->pixels, a->images, a->size, a->patch);
}

static const struct op_def op_patches_def = {.name = "patches", .forward = patches_forward};

struct tensor *op_patches(struct tape *t, const uint8_t *pixels, int64_t images, struct extent size, int64_t patch)
{
    CHECK(size.height % patch == 0 && size.width % patch == 0, "patches: %ld x %ld, patch %ld", (long)size.width,
          (long)size.height, (long)patch);
    struct patches a = {pixels, images, patch, size};
    struct tensor *in[OP_INPUTS] = {0};
    return tape_apply(t, &op_patches_def, in, images * extent_area(extent_grid(size, patch)), 3 * patch * patch, &a,
                      sizeof a);
}

struct tokens {
    const uint8_t *hidden;
    int64_t images;
    struct extent from, to; /* grid of the position table and of the patches */
};

static void tokens_forward(struct tape *t, struct call *c)
{
    const struct tokens *a = c->attributes;
    const struct kernels *k = t->device->kernels;
    int64_t width = c->out->cols, first = c->in[1] != NULL;
    const void *positions = c->in[2]->data;
    if (!extent_same(a->from, a->to)) {
        void *resampled = tape_take_real(t, (extent_area(a->to) + first) * width);
        k->grid_resize(t->device, resampled, positions, first, a->to, a->from, width);
        positions = resampled;
    }
    k->tokens_forward(t->device, c->out->data, c->in[0]->data, c->in[1] ? c->in[1]->data : NULL, positions, a->hidden,
                      a->images, extent_area(a->to), width);
}

static void tokens_backward(struct tape *t, struct call *c)
{
    const struct tokens *a = c->attributes;
    const struct kernels *k = t->device->kernels;
    struct gradient dp = tape_gradient(t, c->in[0]), dc = tape_gradient(t, c->in[1]), dpos = tape_gradient(t, c->in[2]);
    CHECK(!dp.accumulate && (!c->in[1] || dc.data) && dpos.data,
          "tokens: the patches feed another op, or one of the parameters is frozen");
    int64_t width = c->out->cols, first = c->in[1] != NULL;
    bool resampled = !extent_same(a->from, a->to);
    float *positions = resampled ? tape_borrow(t, (extent_area(a->to) + first) * width, sizeof(float)) : dpos.data;
    k->tokens_backward(t->device, dp.data, dc.data, positions, c->out->grad, a->hidden, a->images, extent_area(a->to),
                       width, dc.accumulate, !resampled && dpos.accumulate);
    if (resampled)
        k->grid_resize_backward(t->device, dpos.data, positions, first, a->to, a->from, width, dpos.accumulate);
}

static const struct op_def op_tokens_def = {.name = "tokens", .forward = tokens_forward, .backward = tokens_backward};

struct tensor *op_tokens(struct tape *t, struct tensor *patches, struct tensor *class_token, struct tensor *positions,
                         struct extent from, struct extent to, const uint8_t *hidden, int64_t images)
{
    int64_t first = class_token != NULL;
    CHECK(extent_area(to) * images == patches->rows && positions->rows == extent_area(from) + first &&
              positions->cols == patches->cols,
          "tokens: %ld patch rows, %ld images of %ld x %ld, positions [%ld, %ld]", (long)patches->rows, (long)images,
          (long)to.width, (long)to.height, (long)positions->rows, (long)positions->cols);
    struct tokens a = {hidden, images, from, to};
    struct tensor *in[OP_INPUTS] = {patches, class_token, positions};
    return tape_apply(t, &op_tokens_def, in, images * (extent_area(to) + first), patches->cols, &a, sizeof a);
}

struct embed {
    const int32_t *ids, *places, *order;
};

static void embed_forward(struct tape *t, struct call *c)
{
    const struct embed *a = c->attributes;
    if (c->in[0]->packed) {
        t->device->kernels->embed_packed(t->device, c->out->data, c->in[0]->packing, c->in[0]->packed, a->ids,
                                         c->out->rows, c->out->cols);
        return;
    }
    t->device->kernels->embed_forward(t->device, c->out->data, c->in[0]->data, c->in[1] ? c->in[1]->data : NULL, a->ids,
                                      a->places, c->out->rows, c->out->cols);
}

static void embed_backward(struct tape *t, struct call *c)
{
    const struct embed *a = c->attributes;
    struct gradient dt = tape_gradient(t, c->in[0]), dp = tape_gradient(t, c->in[1]);
    CHECK(dt.data && (dp.data || !c->in[1]), "embed: one of table and positions is frozen");
    if (!dt.accumulate) t->device->kernels->fill(t->device, dt.data, 0, tensor_count(c->in[0]));
    if (dp.data && !dp.accumulate) t->device->kernels->fill(t->device, dp.data, 0, tensor_count(c->in[1]));
    t->device->kernels->embed_backward(t->device, dt.data, dp.data, c->out->grad, a->ids, a->places, a->order,
                                       c->out->rows, c->out->cols, c->in[1] ? c->in[1]->rows : 0);
}

static const struct op_def op_embed_def = {.name = "embed", .forward = embed_forward, .backward = embed_backward};

struct tensor *op_embed(struct tape *t, struct tensor *table, struct tensor *positions, const int32_t *ids,
                        const int32_t *places, const int32_t *order, int64_t n)
{
    CHECK(!table->packed || (!positions && !t->recording), "embed: more than rows of a packed table");
    CHECK(!positions || table->cols == positions->cols, "embed: %ld and %ld columns", (long)table->cols,
          (long)positions->cols);
    struct embed a = {ids, places, order};
    struct tensor *in[OP_INPUTS] = {table, positions};
    return tape_apply(t, &op_embed_def, in, n, table->cols, &a, sizeof a);
}

struct branch {
    const float *keep;
    int64_t sequences;
};

static void branch_forward(struct tape *t, struct call *c)
{
    const struct branch *a = c->attributes;
    t->device->kernels->branch_forward(t->device, c->out->data, c->in[0]->data, c->in[1]->data,
                                       c->in[2] ? c->in[2]->master : NULL, a->keep, c->out->rows, c->out->cols,
                                       a->sequences);
}

static void branch_backward(struct tape *t, struct call *c)
{
    const struct branch *a = c->attributes;
    struct gradient db = tape_gradient(t, c->in[1]), dg = tape_gradient(t, c->in[2]);
    CHECK(!db.accumulate && db.data, "branch: it feeds another op, or needs no gradient");
    t->device->kernels->branch_backward(t->device, db.data, dg.data, c->out->grad, c->in[1]->data,
                                        c->in[2] ? c->in[2]->master : NULL, a->keep, c->out->rows, c->out->cols,
                                        a->sequences, dg.accumulate);
    tape_pass_gradient(t, c->out, c->in[0]);
}

static const struct op_def op_branch_def = {.name = "branch", .forward = branch_forward, .backward = branch_backward};

struct tensor *op_branch(struct tape *t, struct tensor *x, struct tensor *branch, struct tensor *gamma,
                         const float *keep, int64_t sequences)
{
    CHECK(x->rows == branch->rows && x->cols == branch->cols && (!gamma || tensor_count(gamma) == x->cols) &&
              x->rows % sequences == 0,
          "branch: [%ld, %ld] onto [%ld, %ld] of %ld sequences", (long)branch->rows, (long)branch->cols, (long)x->rows,
          (long)x->cols, (long)sequences);
    struct branch a = {keep, sequences};
    struct tensor *in[OP_INPUTS] = {x, branch, gamma};
    return tape_apply(t, &op_branch_def, in, x->rows, x->cols, &a, sizeof a);
}

/* All bits zero is 0 in any real. */
static void zero(struct tape *t, void *x, int64_t count)
{
    int64_t bytes = count * (int64_t)t->device->kernels->real_bytes;
    CHECK(bytes % (int64_t)sizeof(float) == 0, "%ld elements", (long)count);
    t->device->kernels->fill(t->device, x, 0, bytes / (int64_t)sizeof(float));
}

static void gather_forward(struct tape *t, struct call *c)
{
    t->device->kernels->gather_rows(t->device, c->out->data, c->in[0]->data, *(const int32_t **)c->attributes,
                                    c->out->rows, c->out->cols);
}

static void gather_backward(struct tape *t, struct call *c)
{
    struct gradient dx = tape_gradient(t, c->in[0]);
    if (!dx.accumulate) zero(t, dx.data, tensor_count(c->in[0]));
    t->device->kernels->scatter_rows_add(t->device, dx.data, c->out->grad, *(const int32_t **)c->attributes,
                                         c->out->rows, c->out->cols);
}

static const struct op_def op_gather_def = {.name = "gather", .forward = gather_forward, .backward = gather_backward};

struct tensor *op_gather(struct tape *t, struct tensor *x, const int32_t *index, int64_t n)
{
    struct tensor *in[OP_INPUTS] = {x};
    return tape_apply(t, &op_gather_def, in, n, x->cols, &index, sizeof index);
}

static void beside_forward(struct tape *t, struct call *c)
{
    t->device->kernels->gather_rows(t->device, c->out->data, c->in[0]->data, *(const int32_t **)c->attributes,
                                    2 * c->out->rows, c->in[0]->cols);
}

static const struct op_def op_beside_def = {.name = "beside", .forward = beside_forward};

struct tensor *op_beside(struct tape *t, struct tensor *x, const int32_t *index, int64_t n)
{
    struct tensor *in[OP_INPUTS] = {x};
    return tape_apply(t, &op_beside_def, in, n, 2 * x->cols, &index, sizeof index);
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

struct put {
    const int32_t *index;
};

static void put_forward(struct tape *t, struct call *c)
{
    const struct put *a = c->attributes;
    t->device->kernels->put_rows(t->device, c->out->data, c->in[1]->data, a->index, c->in[1]->rows, c->out->cols);
}

static void put_backward(struct tape *t, struct call *c)
{
    const struct put *a = c->attributes;
    const struct kernels *k = t->device->kernels;
    struct tensor *y = c->in[1];
    struct gradient dy = tape_gradient(t, y);
    CHECK(!dy.accumulate, "put: the rows feed another op");
    if (dy.data) k->gather_rows(t->device, dy.data, c->out->grad, a->index, y->rows, y->cols);
    if (!c->in[0]->needs_grad) return;
    k->put_rows(t->device, c->out->grad, NULL, a->index, y->rows, y->cols);
    tape_pass_gradient(t, c->out, c->in[0]);
}

static const struct op_def op_put_def = {
    .name = "put", .in_place = true, .forward = put_forward, .backward = put_backward};

struct tensor *op_put(struct tape *t, struct tensor *x, struct tensor *rows, const int32_t *index)
{
    CHECK(rows->cols == x->cols && rows->rows <= x->rows, "put: [%ld, %ld] into [%ld, %ld]", (long)rows->rows,
          (long)rows->cols, (long)x->rows, (long)x->cols);
    struct put a = {index};
    struct tensor *in[OP_INPUTS] = {x, rows};
    return tape_apply(t, &op_put_def, in, x->rows, x->cols, &a, sizeof a);
}

static void mean_forward(struct tape *t, struct call *c)
{
    t->device->kernels->mean_rows(t->device, c->out->data, c->in[0]->data, *(const int32_t **)c->attributes,
                                  c->out->rows, c->out->cols);
}

static void mean_backward(struct tape *t, struct call *c)
{
    struct gradient dx = tape_gradient(t, c->in[0]);
    t->device->kernels->mean_rows_backward(t->device, dx.data, c->out->grad, *(const int32_t **)c->attributes,
                                           c->out->rows, c->out->cols, dx.accumulate);
}

static const struct op_def op_mean_def = {.name = "mean", .forward = mean_forward, .backward = mean_backward};

struct tensor *op_mean(struct tape *t, struct tensor *x, const int32_t *starts, int64_t groups)
{
    struct tensor *in[OP_INPUTS] = {x};
    return tape_apply(t, &op_mean_def, in, groups, x->cols, &starts, sizeof starts);
}

struct pool {
    int64_t images, grid, factor;
};

static void pool_forward(struct tape *t, struct call *c)
{
    const struct pool *a = c->attributes;
    t->device->kernels->pool_grid(t->device, c->out->data, c->in[0]->data, a->images, a->grid, a->factor, c->out->cols);
}

static void pool_backward(struct tape *t, struct call *c)
{
    const struct pool *a = c->attributes;
    struct gradient dx = tape_gradient(t, c->in[0]);
    t->device->kernels->pool_grid_backward(t->device, dx.data, c->out->grad, a->images, a->grid, a->factor,
                                           c->out->cols, dx.accumulate);
}

static const struct op_def op_pool_def = {.name = "pool", .forward = pool_forward, .backward = pool_backward};

struct tensor *op_pool(struct tape *t, struct tensor *x, int64_t images, int64_t grid, int64_t factor)
{
    CHECK(x->rows == images * grid * grid && grid % factor == 0, "pool: %ld rows, %ld grids of %ld, factor %ld",
          (long)x->rows, (long)images, (long)grid, (long)factor);
    struct pool a = {images, grid, factor};
    struct tensor *in[OP_INPUTS] = {x};
    return tape_apply(t, &op_pool_def, in, x->rows / (factor * factor), x->cols, &a, sizeof a);
}
