/* A map and the tokens of many prompts. */
#include "ops/prompted.h"

#include "base/check.h"

struct heads {
    struct token_heads heads;
    float scale;
};

static void apart_forward(struct tape *t, struct call *c)
{
    const struct heads *a = c->attributes;
    t->device->kernels->heads_apart(t->device, c->out->data, c->in[0]->data, a->scale, &a->heads);
}

static void together_forward(struct tape *t, struct call *c)
{
    const struct heads *a = c->attributes;
    t->device->kernels->heads_together(t->device, c->out->data, c->in[0]->data, &a->heads);
}

static const struct op_def op_apart_def = {.name = "heads_apart", .forward = apart_forward},
                           op_together_def = {.name = "heads_together", .forward = together_forward};

struct tensor *op_heads_apart(struct tape *t, struct tensor *x, struct token_heads h, float scale)
{
    CHECK(x->rows == h.prompts * h.tokens && x->cols == h.heads * h.head_dim, "heads_apart: [%ld, %ld], %ld heads",
          (long)x->rows, (long)x->cols, (long)h.heads);
    struct heads a = {h, scale};
    struct tensor *in[OP_INPUTS] = {x};
    return tape_apply(t, &op_apart_def, in, h.heads * x->rows, x->cols, &a, sizeof a);
}

struct tensor *op_heads_together(struct tape *t, struct tensor *x, struct token_heads h)
{
    CHECK(x->rows == h.prompts * h.heads * h.tokens && x->cols == h.heads * h.head_dim,
          "heads_together: [%ld, %ld], %ld heads", (long)x->rows, (long)x->cols, (long)h.heads);
    struct heads a = {h, 1};
    struct tensor *in[OP_INPUTS] = {x};
    return tape_apply(t, &op_together_def, in, h.prompts * h.tokens, x->cols, &a, sizeof a);
}

static struct prompted_map describe(const struct call *c, const struct tensor *x, const struct tensor *places,
                                    const struct tensor *seen)
{
    const struct token_heads *h = c->attributes;
    const struct tensor *per_row = places ? places : seen;
    struct prompted_map p = {.prompts = h->prompts,
                             .rows = per_row->rows,
                             .width = x->cols,
                             .columns = h->heads * h->tokens,
                             .tokens = h->tokens,
                             .seen_width = seen ? seen->cols : x->cols,
                             .shared = x->rows == per_row->rows};
    p.x = x->data;
    p.places = places ? places->data : NULL;
    p.seen = seen ? seen->data : NULL;
    return p;
}

static bool is_map(const struct tensor *x, const struct tensor *per_row, const struct token_heads *h)
{
    return x->rows == per_row->rows || x->rows == h->prompts * per_row->rows;
}

static void to_tokens_forward(struct tape *t, struct call *c)
{
    struct prompted_map p = describe(c, c->in[1], c->in[2], NULL);
    t->device->kernels->map_to_tokens(t->device, c->out->data, c->in[0]->data, &p);
}

static const struct op_def op_to_tokens_def = {.name = "map_to_tokens", .forward = to_tokens_forward};

struct tensor *op_map_to_tokens(struct tape *t, struct tensor *q, struct tensor *x, struct tensor *places,
                                struct token_heads h)
{
    CHECK(q->rows == h.prompts * h.heads * h.tokens && q->cols == x->cols && places->cols == x->cols &&
              is_map(x, places, &h),
          "map_to_tokens: q [%ld, %ld], map [%ld, %ld]", (long)q->rows, (long)q->cols, (long)x->rows, (long)x->cols);
    struct tensor *in[OP_INPUTS] = {q, x, places};
    return tape_apply(t, &op_to_tokens_def, in, q->rows, q->cols, &h, sizeof h);
}

struct to_map {
    struct token_heads heads; /* first: see describe */
    struct map_update update;
};

static void to_map_forward(struct tape *t, struct call *c)
{
    const struct map_update *u = &((const struct to_map *)c->attributes)->update;
    struct prompted_map p = describe(c, c->in[0], u->places, u->seen);
    t->device->kernels->tokens_to_map(t->device, c->out->data, u->k->data, u->k_bias ? u->k_bias->data : NULL,
                                      u->v->data, u->bias->data, u->scale->master, u->shift->master, &p);
}

static const struct op_def op_to_map_def = {.name = "tokens_to_map", .forward = to_map_forward},
                           op_over_map_def = {.name = "tokens_over_map", .in_place = true, .forward = to_map_forward};

struct tensor *op_tokens_to_map(struct tape *t, struct tensor *x, struct map_update u, struct token_heads h)
{
    struct tensor *per_row = u.places ? u.places : u.seen;
    int64_t columns = h.prompts * h.heads * h.tokens;
    CHECK(!t->recording, "tokens_to_map is for inference");
    CHECK(is_map(x, per_row, &h) && u.k->rows == columns && u.k->cols == per_row->cols && u.v->rows == columns &&
              u.v->cols == x->cols && (!u.k_bias || tensor_count(u.k_bias) == columns) &&
              tensor_count(u.bias) == x->cols && (u.seen || per_row->cols == x->cols),
          "tokens_to_map: map [%ld, %ld], k [%ld, %ld], v [%ld, %ld]", (long)x->rows, (long)x->cols, (long)u.k->rows,
          (long)u.k->cols, (long)u.v->rows, (long)u.v->cols);
    struct to_map a = {h, u};
    struct tensor *in[OP_INPUTS] = {x};
    bool over = x->rows == h.prompts * per_row->rows && h.prompts > 1;
    return tape_apply(t, over ? &op_over_map_def : &op_to_map_def, in, h.prompts * per_row->rows, x->cols, &a,
                      sizeof a);
}

static void products_forward(struct tape *t, struct call *c)
{
    const struct kernels *k = t->device->kernels;
    int64_t prompts = *(const int64_t *)c->attributes, rows = c->out->rows / prompts, columns = c->out->cols;
    const struct tensor *x = c->in[0], *w = c->in[1];
    for (int64_t p = 0; p < prompts; p++)
        k->matmul(t->device, (float *)c->out->data + p * rows * columns, true, columns,
                  (const char *)x->data + (size_t)(p * rows * x->cols) * k->real_bytes, x->cols, false,
                  (const char *)w->data + (size_t)(p * columns * x->cols) * k->real_bytes, x->cols, false, rows,
                  columns, x->cols, false);
}

static const struct op_def op_products_def = {.name = "prompt_products", .wide = true, .forward = products_forward};

struct tensor *op_prompt_products(struct tape *t, struct tensor *x, struct tensor *w, int64_t prompts)
{
    CHECK(x->rows % prompts == 0 && w->rows % prompts == 0 && x->cols == w->cols,
          "prompt_products: [%ld, %ld] and [%ld, %ld] of %ld prompts", (long)x->rows, (long)x->cols, (long)w->rows,
          (long)w->cols, (long)prompts);
    struct tensor *in[OP_INPUTS] = {x, w};
    return tape_apply(t, &op_products_def, in, x->rows, w->rows / prompts, &prompts, sizeof prompts);
}
