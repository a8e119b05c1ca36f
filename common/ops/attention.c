/* Attention and the rotary embedding of its queries and keys. */
#include "base/check.h"
#include "ops/ops.h"

struct attributes {
    int64_t heads, kv_heads, head_dim;
    struct sequences s;
    bool causal;
    float *lse;
};

static void *columns_from(size_t real_bytes, void *x, int64_t columns)
{
    return (char *)x + (size_t)columns * real_bytes;
}

static struct attention describe(const struct call *c, size_t real_bytes)
{
    const struct attributes *a = c->attributes;
    struct tensor *q = c->in[0], *kv = c->in[1];
    struct attention k = {.sequences = a->s.count,
                          .heads = a->heads,
                          .kv_heads = a->kv_heads,
                          .head_dim = a->head_dim,
                          .q_start = a->s.q_start,
                          .k_start = a->s.k_start,
                          .q_rows = q->rows,
                          .q_longest = a->s.q_longest,
                          .k_longest = a->s.k_longest,
                          .uniform = a->s.uniform,
                          .causal = a->causal,
                          .ld_q = q->cols,
                          .o = c->out->data,
                          .lse = a->lse};
    k.q = q->data;
    k.k = kv ? kv->data : columns_from(real_bytes, q->data, c->out->cols);
    k.v = c->in[2] ? c->in[2]->data : columns_from(real_bytes, (void *)k.k, a->kv_heads * a->head_dim);
    k.ld_kv = kv ? kv->cols : q->cols;
    return k;
}

static void forward(struct tape *t, struct call *c)
{
    struct attributes *a = c->attributes;
    a->lse = t->recording ? tape_take(t, c->out->rows * a->heads) : NULL;
    struct attention k = describe(c, t->device->kernels->real_bytes);
    t->device->kernels->attention_forward(t->device, &k);
}

static void backward(struct tape *t, struct call *c)
{
    struct attention k = describe(c, t->device->kernels->real_bytes);
    struct gradient dq = tape_gradient(t, c->in[0]), dkv = tape_gradient(t, c->in[1]), dv = tape_gradient(t, c->in[2]);
    CHECK(!dq.accumulate && !dkv.accumulate && !dv.accumulate, "the input of attention feeds another op");
    CHECK(dq.data && (!c->in[1] || dkv.data) && (!c->in[2] || dv.data), "attention with a frozen input");
    k.d_o = c->out->grad;
    k.d_q = dq.data;
    size_t real_bytes = t->device->kernels->real_bytes;
    k.d_k = c->in[1] ? dkv.data : columns_from(real_bytes, dq.data, c->out->cols);
    k.d_v = c->in[2] ? dv.data : columns_from(real_bytes, k.d_k, k.kv_heads * k.head_dim);
    t->device->kernels->attention_backward(t->device, &k);
}

static const struct op_def op_attention_def = {
    .name = "attention", .saves = true, .forward = forward, .backward = backward};

static struct tensor *attention(struct tape *t, struct tensor *q, struct tensor *kv, struct tensor *v,
                                const struct attributes *a)
{
    const struct sequences *s = &a->s;
    int64_t width = a->heads * a->head_dim, shared = (v ? 1 : 2) * a->kv_heads * a->head_dim;
    CHECK(a->heads % a->kv_heads == 0 && q->cols == width + (kv ? 0 : shared) && (!kv || kv->cols == shared) &&
              (!v || (v->rows == kv->rows && v->cols == kv->cols)),
          "attention: q [%ld, %ld], %ld heads, %ld of k and v", (long)q->rows, (long)q->cols, (long)a->heads,
          (long)a->kv_heads);
    CHECK(!s->uniform || (s->count * s->q_longest == q->rows && s->count * s->k_longest == (kv ? kv->rows : q->rows)),
          "attention: %ld sequences of %ld and %ld rows in %ld rows", (long)s->count, (long)s->q_longest,
          (long)s->k_longest, (long)q->rows);
    struct tensor *in[OP_INPUTS] = {q, kv, v};
    return tape_apply(t, &op_attention_def, in, q->rows, width, a, sizeof *a);
}

struct tensor *op_attention(struct tape *t, struct tensor *q, struct tensor *kv, int64_t heads, struct sequences s,
                            bool causal)
{
    struct attributes a = {
        .heads = heads, .kv_heads = heads, .head_dim = (kv ? q->cols : q->cols / 3) / heads, .s = s, .causal = causal};
    return attention(t, q, kv, NULL, &a);
}

struct tensor *op_attention_apart(struct tape *t, struct tensor *q, struct tensor *k, struct tensor *v, int64_t heads,
                                  struct sequences s)
{
    struct attributes a = {.heads = heads, .kv_heads = heads, .head_dim = q->cols / heads, .s = s};
    return attention(t, q, k, v, &a);
}

struct tensor *op_grouped_attention(struct tape *t, struct tensor *qkv, int64_t heads, int64_t kv_heads,
                                    struct sequences s)
{
    struct attributes a = {
        .heads = heads, .kv_heads = kv_heads, .head_dim = qkv->cols / (heads + 2 * kv_heads), .s = s, .causal = true};
    return attention(t, qkv, NULL, NULL, &a);
}

struct cached {
    int64_t heads, kv_heads, head_dim;
    struct cache_layer layer;
    struct cache_rows rows;
};

static void cached_forward(struct tape *t, struct call *c)
{
    const struct cached *a = c->attributes;
    const struct kernels *k = t->device->kernels;
    struct tensor *qkv = c->in[0];
    int64_t width = a->kv_heads * a->head_dim;
    void *key = columns_from(k->real_bytes, qkv->data, a->heads * a->head_dim);
    k->cache_store(t->device, a->layer.keys, key, qkv->cols, a->rows.slots, qkv->rows, width);
    k->cache_store(t->device, a->layer.values, columns_from(k->real_bytes, key, width), qkv->cols, a->rows.slots,
                   qkv->rows, width);
    struct cached_attention call = {.rows = qkv->rows,
                                    .heads = a->heads,
                                    .kv_heads = a->kv_heads,
                                    .head_dim = a->head_dim,
                                    .ld = qkv->cols,
                                    .page_rows = a->layer.page_rows,
                                    .table_pages = a->rows.table_pages,
                                    .longest = a->rows.longest,
                                    .tables = a->rows.tables,
                                    .sequence_of = a->rows.sequence_of,
                                    .places = a->rows.places};
    call.q = qkv->data;
    call.keys = a->layer.keys;
    call.values = a->layer.values;
    call.o = c->out->data;
    k->cached_attention(t->device, &call);
}

static const struct op_def op_cached_def = {.name = "cached_attention", .forward = cached_forward};

struct tensor *op_cached_attention(struct tape *t, struct tensor *qkv, int64_t heads, int64_t kv_heads,
                                   struct cache_layer layer, struct cache_rows rows)
{
    struct cached a = {heads, kv_heads, qkv->cols / (heads + 2 * kv_heads), layer, rows};
    struct tensor *in[OP_INPUTS] = {qkv};
    return tape_apply(t, &op_cached_def, in, qkv->rows, heads * a.head_dim, &a, sizeof a);
}

struct rotation {
    int64_t heads, head_dim; /* the first heads of each row */
    const struct rotary_table *table;
    const int32_t *places;
};

static void rotate(struct tape *t, struct call *c, void *x, bool inverse)
{
    const struct rotation *r = c->attributes;
    t->device->kernels->rotary(t->device, x, c->out->cols, c->out->rows, r->heads, r->head_dim, r->table->cosine,
                               r->table->sine, r->table->tokens, r->places, inverse);
}

static void rotary_forward(struct tape *t, struct call *c)
{
    rotate(t, c, c->out->data, false);
}

static void rotary_backward(struct tape *t, struct call *c)
{
    rotate(t, c, c->out->grad, true);
    CHECK(!c->in[0]->touched, "the input of rotary feeds another op");
    tape_pass_gradient(t, c->out, c->in[0]);
}

static const struct op_def op_rotary_def = {
    .name = "rotary", .in_place = true, .forward = rotary_forward, .backward = rotary_backward};

struct tensor *op_rotary(struct tape *t, struct tensor *qkv, int64_t heads, const struct rotary_table *table)
{
    CHECK(qkv->cols % (6 * heads) == 0 && qkv->rows % table->tokens == 0, "rotary: [%ld, %ld], %ld heads, %ld tokens",
          (long)qkv->rows, (long)qkv->cols, (long)heads, (long)table->tokens);
    struct rotation r = {.heads = 2 * heads, .head_dim = qkv->cols / (3 * heads), .table = table};
    struct tensor *in[OP_INPUTS] = {qkv};
    return tape_apply(t, &op_rotary_def, in, qkv->rows, qkv->cols, &r, sizeof r);
}

struct tensor *op_rotary_places(struct tape *t, struct tensor *qkv, int64_t heads, int64_t kv_heads,
                                const struct rotary_table *table, const int32_t *places)
{
    struct rotation r = {
        .heads = heads + kv_heads, .head_dim = qkv->cols / (heads + 2 * kv_heads), .table = table, .places = places};
    CHECK(qkv->cols == (heads + 2 * kv_heads) * r.head_dim && r.head_dim % 2 == 0,
          "rotary: %ld columns, %ld + 2 x %ld heads", (long)qkv->cols, (long)heads, (long)kv_heads);
    struct tensor *in[OP_INPUTS] = {qkv};
    return tape_apply(t, &op_rotary_def, in, qkv->rows, qkv->cols, &r, sizeof r);
}
