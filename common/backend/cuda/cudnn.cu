/* cuDNN's fused attention, as graphs of its backend interface: the operations below are matched as a whole by its flash
 * kernels.
 *
 *   forward    S = scale Q K^T;  M = max S;  E = exp(S - M);  Z = sum E;  stats = M + ln Z;  O = (E / Z) V
 *   backward   D = sum O dO;  P = exp(scale Q K^T - stats);  dV = P^T dO;  dS = scale P (dO V^T - D);  dQ = dS K;  dK =
 *                                                                          dS^T Q
 *
 * Tensors are [sequences, heads, rows, head_dim] views of our packed rows.  stats, our lse, is kept as [sequences,
 * heads, rows]: only this file reads it.  A shape's plan is made when it is first met; shapes cuDNN has no engine for
 * are remembered, and left to the plain kernels. */
#include <cudnn.h>

#include "backend/cuda/attention.h"

extern "C" {
#include "base/memory.h"
}

enum { Q = 1, K, V, O, STATS, SCALE, D_O, D_Q, D_K, D_V, ROW_SUM, D_Q_SUM, VIRTUAL = 100 };
enum { DESCRIPTORS = 192, OPERATIONS = 32, PLANS = 64 };

/* A graph under construction; the first failure sticks. */
struct graph {
    cudnnBackendDescriptor_t all[DESCRIPTORS], operations[OPERATIONS];
    int count, operation_count, next_virtual;
    cudnnStatus_t status;
    const char *failed; /* what */
};

typedef cudnnBackendDescriptor_t node;

static void note(struct graph *g, cudnnStatus_t status, const char *what)
{
    if (status == CUDNN_STATUS_SUCCESS || g->status != CUDNN_STATUS_SUCCESS) return;
    g->status = status;
    g->failed = what;
}

static node create(struct graph *g, cudnnBackendDescriptorType_t type)
{
    node n = NULL;
    CHECK(g->count < DESCRIPTORS, "%d descriptors", g->count);
    note(g, cudnnBackendCreateDescriptor(type, &n), "create");
    if (n) g->all[g->count++] = n;
    return n;
}

static void set(struct graph *g, node n, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                int64_t count, const void *value)
{
    if (g->status == CUDNN_STATUS_SUCCESS) note(g, cudnnBackendSetAttribute(n, name, type, count, value), "attribute");
}

static void finalize(struct graph *g, node n, const char *what)
{
    if (g->status == CUDNN_STATUS_SUCCESS) note(g, cudnnBackendFinalize(n), what);
}

static void set_node(struct graph *g, node n, cudnnBackendAttributeName_t name, node value)
{
    set(g, n, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

struct shape {
    int64_t dim[4], stride[4];
};

static struct shape shape_of(int64_t b, int64_t h, int64_t rows, int64_t cols, int64_t sb, int64_t sh, int64_t sr,
                             int64_t sc)
{
    return {{b, h, rows, cols}, {sb, sh, sr, sc}};
}

static struct shape packed(int64_t b, int64_t h, int64_t rows, int64_t cols)
{
    return shape_of(b, h, rows, cols, h * rows * cols, rows * cols, cols, 1);
}

/* id: one of the names above, or VIRTUAL for what never reaches memory. */
static node tensor(struct graph *g, int64_t id, cudnnDataType_t type, struct shape s, bool by_value = false,
                   cudnnBackendTensorReordering_t order = CUDNN_TENSOR_REORDERING_NONE)
{
    node n = create(g, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    bool is_virtual = id == VIRTUAL;
    int64_t uid = is_virtual ? VIRTUAL + g->next_virtual++ : id, alignment = 16;
    set(g, n, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid);
    set(g, n, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(g, n, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, s.dim);
    set(g, n, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, s.stride);
    set(g, n, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
    set(g, n, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
    set(g, n, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &by_value);
    if (order != CUDNN_TENSOR_REORDERING_NONE)
        set(g, n, CUDNN_ATTR_TENSOR_REORDERING_MODE, CUDNN_TYPE_TENSOR_REORDERING_MODE, 1, &order);
    finalize(g, n, "tensor");
    return n;
}

static void append(struct graph *g, node operation, const char *what)
{
    finalize(g, operation, what);
    CHECK(g->operation_count < OPERATIONS, "%d operations", g->operation_count);
    g->operations[g->operation_count++] = operation;
}

static void matmul(struct graph *g, node a, node b, node c)
{
    node how = create(g, CUDNN_BACKEND_MATMUL_DESCRIPTOR), n = create(g, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    set(g, how, CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    finalize(g, how, "matmul");
    set_node(g, n, CUDNN_ATTR_OPERATION_MATMUL_ADESC, a);
    set_node(g, n, CUDNN_ATTR_OPERATION_MATMUL_BDESC, b);
    set_node(g, n, CUDNN_ATTR_OPERATION_MATMUL_CDESC, c);
    set_node(g, n, CUDNN_ATTR_OPERATION_MATMUL_DESC, how);
    append(g, n, "matmul operation");
}

/* y = mode(x, b); b NULL for functions of one argument. */
static node pointwise(struct graph *g, cudnnPointwiseMode_t mode, node x, node b, node y)
{
    node how = create(g, CUDNN_BACKEND_POINTWISE_DESCRIPTOR),
         n = create(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    set(g, how, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    set(g, how, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &type);
    finalize(g, how, "pointwise");
    set_node(g, n, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how);
    set_node(g, n, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    if (b) set_node(g, n, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    set_node(g, n, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    append(g, n, "pointwise operation");
    return y;
}

static node reduce(struct graph *g, cudnnReduceTensorOp_t op, node x, node y)
{
    bool always = true; /* the backward engines take it from here: the same bits every time */
    node how = create(g, CUDNN_BACKEND_REDUCTION_DESCRIPTOR),
         n = create(g, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    set(g, how, CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &op);
    set(g, how, CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(g, how, CUDNN_ATTR_REDUCTION_IS_DETERMINISTIC, CUDNN_TYPE_BOOLEAN, 1, &always);
    finalize(g, how, "reduction");
    set_node(g, n, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x);
    set_node(g, n, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y);
    set_node(g, n, CUDNN_ATTR_OPERATION_REDUCTION_DESC, how);
    append(g, n, "reduction operation");
    return y;
}

static node reshape(struct graph *g, node x, node y)
{
    node n = create(g, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
    set_node(g, n, CUDNN_ATTR_OPERATION_RESHAPE_XDESC, x);
    set_node(g, n, CUDNN_ATTR_OPERATION_RESHAPE_YDESC, y);
    append(g, n, "reshape operation");
    return y;
}

/* What makes a plan. */
struct sizes {
    int64_t sequences, heads, head_dim, q_rows, k_rows, ld_q, ld_kv;
    int32_t backward, stats; /* stats: forward; cuDNN 9.19 has no engine without */
};

static const cudnnDataType_t HALF = CUDNN_DATA_BFLOAT16, SINGLE = CUDNN_DATA_FLOAT;

static void forward_graph(struct graph *g, const struct sizes *z)
{
    int64_t b = z->sequences, h = z->heads, d = z->head_dim, q = z->q_rows, k = z->k_rows;
    struct shape scores = packed(b, h, q, k), rows = packed(b, h, q, 1);
    node queries = tensor(g, Q, HALF, shape_of(b, h, q, d, q * z->ld_q, d, z->ld_q, 1));
    node keys = tensor(g, K, HALF, shape_of(b, h, d, k, k * z->ld_kv, d, 1, z->ld_kv));
    node values = tensor(g, V, HALF, shape_of(b, h, k, d, k * z->ld_kv, d, z->ld_kv, 1));
    node scale = tensor(g, SCALE, SINGLE, packed(1, 1, 1, 1), true);
    node raw = tensor(g, VIRTUAL, SINGLE, scores), scaled = tensor(g, VIRTUAL, SINGLE, scores);
    matmul(g, queries, keys, raw);
    pointwise(g, CUDNN_POINTWISE_MUL, raw, scale, scaled);
    node max = reduce(g, CUDNN_REDUCE_TENSOR_MAX, scaled, tensor(g, VIRTUAL, SINGLE, rows));
    node shifted = pointwise(g, CUDNN_POINTWISE_SUB, scaled, max, tensor(g, VIRTUAL, SINGLE, scores));
    node powers = pointwise(g, CUDNN_POINTWISE_EXP, shifted, NULL, tensor(g, VIRTUAL, SINGLE, scores));
    node sum = reduce(g, CUDNN_REDUCE_TENSOR_ADD, powers, tensor(g, VIRTUAL, SINGLE, rows));
    if (z->stats) {
        node log = pointwise(g, CUDNN_POINTWISE_LOG, sum, NULL, tensor(g, VIRTUAL, SINGLE, rows));
        pointwise(g, CUDNN_POINTWISE_ADD, max, log, tensor(g, STATS, SINGLE, rows));
    }
    node shares = pointwise(g, CUDNN_POINTWISE_DIV, powers, sum, tensor(g, VIRTUAL, HALF, scores));
    matmul(g, shares, values, tensor(g, O, HALF, shape_of(b, h, q, d, q * h * d, d, h * d, 1)));
}

static void backward_graph(struct graph *g, const struct sizes *z)
{
    int64_t b = z->sequences, h = z->heads, d = z->head_dim, q = z->q_rows, k = z->k_rows;
    struct shape scores = packed(b, h, q, k), rows = packed(b, h, q, 1),
                 turned = shape_of(b, h, k, q, h * q * k, q * k, 1, k);
    struct shape out = shape_of(b, h, q, d, q * h * d, d, h * d, 1),
                 in_q = shape_of(b, h, q, d, q * z->ld_q, d, z->ld_q, 1);
    struct shape in_k = shape_of(b, h, k, d, k * z->ld_kv, d, z->ld_kv, 1),
                 in_k_turned = shape_of(b, h, d, k, k * z->ld_kv, d, 1, z->ld_kv);
    node queries = tensor(g, Q, HALF, in_q), keys = tensor(g, K, HALF, in_k_turned),
         values = tensor(g, V, HALF, in_k_turned);
    node slopes = tensor(g, D_O, HALF, out), result = tensor(g, O, HALF, out), stats = tensor(g, STATS, SINGLE, rows);
    node scale = tensor(g, SCALE, SINGLE, packed(1, 1, 1, 1), true);
    node product = pointwise(g, CUDNN_POINTWISE_MUL, slopes, result, tensor(g, VIRTUAL, SINGLE, packed(b, h, q, d)));
    node row_sum = reduce(g, CUDNN_REDUCE_TENSOR_ADD, product, tensor(g, ROW_SUM, SINGLE, rows));
    node raw = tensor(g, VIRTUAL, SINGLE, scores);
    matmul(g, queries, keys, raw);
    node scaled = pointwise(g, CUDNN_POINTWISE_MUL, raw, scale, tensor(g, VIRTUAL, SINGLE, scores));
    node shifted = pointwise(g, CUDNN_POINTWISE_SUB, scaled, stats, tensor(g, VIRTUAL, SINGLE, scores));
    node shares = pointwise(g, CUDNN_POINTWISE_EXP, shifted, NULL, tensor(g, VIRTUAL, HALF, scores));
    matmul(g, reshape(g, shares, tensor(g, VIRTUAL, HALF, turned)), slopes, tensor(g, D_V, HALF, in_k));
    node d_shares = tensor(g, VIRTUAL, SINGLE, scores);
    matmul(g, slopes, values, d_shares);
    node centred = pointwise(g, CUDNN_POINTWISE_SUB, d_shares, row_sum, tensor(g, VIRTUAL, SINGLE, scores));
    node weighted = pointwise(g, CUDNN_POINTWISE_MUL, centred, shares, tensor(g, VIRTUAL, SINGLE, scores));
    node d_scores = pointwise(g, CUDNN_POINTWISE_MUL, weighted, scale, tensor(g, VIRTUAL, HALF, scores));
    node keys_again = tensor(g, K, HALF, in_k);
    node sum = tensor(g, D_Q_SUM, SINGLE, packed(b, h, q, d), false, CUDNN_TENSOR_REORDERING_F16x16);
    matmul(g, d_scores, keys_again, sum);
    pointwise(g, CUDNN_POINTWISE_IDENTITY, sum, NULL, tensor(g, D_Q, HALF, in_q));
    matmul(g, reshape(g, d_scores, tensor(g, VIRTUAL, HALF, turned)), queries, tensor(g, D_K, HALF, in_k));
}

/* The plan of the first engine that takes the graph; NULL when none does.  Either a handle, or device properties where
 * there is no GPU. */
static node plan_of(struct graph *g, cudnnHandle_t handle, node properties)
{
    node ops = create(g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR),
         heuristic = create(g, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    set(g, ops, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, g->operation_count, g->operations);
    if (handle) set(g, ops, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
    finalize(g, ops, "operation graph");
    cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
    set_node(g, heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, ops);
    set(g, heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    if (properties) set_node(g, heuristic, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, properties);
    finalize(g, heuristic, "heuristic");
    node configs[8];
    int64_t count = 0;
    for (int i = 0; i < 8; i++) configs[i] = create(g, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    if (g->status == CUDNN_STATUS_SUCCESS)
        note(g,
             cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 8,
                                      &count, configs),
             "heuristic results");
    for (int64_t i = 0; i < count && g->status == CUDNN_STATUS_SUCCESS; i++) {
        node plan = create(g, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
        set_node(g, plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configs[i]);
        if (handle) set(g, plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
        if (properties) set_node(g, plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, properties);
        if (g->status == CUDNN_STATUS_SUCCESS && cudnnBackendFinalize(plan) == CUDNN_STATUS_SUCCESS) return plan;
    }
    note(g, CUDNN_STATUS_NOT_SUPPORTED, "no engine");
    return NULL;
}

static node build(struct graph *g, const struct sizes *z, cudnnHandle_t handle, node properties)
{
    memset(g, 0, sizeof *g);
    if (z->backward)
        backward_graph(g, z);
    else
        forward_graph(g, z);
    return plan_of(g, handle, properties);
}

static void destroy(struct graph *g)
{
    while (g->count > 0) cudnnBackendDestroyDescriptor(g->all[--g->count]);
}

/* --- plans by shape, and their runs --- */

struct attention_plan {
    struct sizes sizes;
    struct graph graph;
    node plan; /* NULL: cuDNN does not take it */
    int64_t workspace;
};

struct cuda_attention {
    cudnnHandle_t handle;
    struct attention_plan plans[PLANS];
    int count;
};

static struct attention_plan *plan_for(struct device *d, const struct sizes *z)
{
    struct cuda_state *s = state_of(d);
    if (!s->attention) {
        s->attention = (struct cuda_attention *)mem_zalloc(1, sizeof *s->attention);
        CHECK(cudnnCreate(&s->attention->handle) == CUDNN_STATUS_SUCCESS, "cuDNN does not start on GPU %d", d->index);
        CHECK(cudnnSetStream(s->attention->handle, s->stream) == CUDNN_STATUS_SUCCESS, "cuDNN takes no stream");
    }
    struct cuda_attention *a = s->attention;
    for (int i = 0; i < a->count; i++)
        if (!memcmp(&a->plans[i].sizes, z, sizeof *z)) return &a->plans[i];
    if (a->count == PLANS)
        destroy(&a->plans[--a->count].graph); /* the newest makes room: the oldest are the model's own */
    struct attention_plan *p = &a->plans[a->count++];
    p->sizes = *z;
    p->plan = build(&p->graph, z, a->handle, NULL);
    p->workspace = 0;
    int64_t count = 0;
    if (p->plan && cudnnBackendGetAttribute(p->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1,
                                            &count, &p->workspace) != CUDNN_STATUS_SUCCESS)
        p->plan = NULL;
    if (!p->plan)
        fprintf(stderr,
                "note: cuDNN has no fused attention (%s) for %ld x %ld rows of %ld in %ld heads: plain kernels compute "
                "it\n",
                p->graph.failed ? p->graph.failed : "workspace", (long)z->q_rows, (long)z->k_rows, (long)z->head_dim,
                (long)z->heads);
    return p;
}

static void run_plan(struct device *d, struct attention_plan *p, int count, const int64_t *ids, void *const *pointers,
                     void *workspace)
{
    node pack = NULL;
    CHECK(cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack) == CUDNN_STATUS_SUCCESS,
          "variant pack");
    cudnnStatus_t status =
        cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, ids);
    if (status == CUDNN_STATUS_SUCCESS)
        status =
            cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, pointers);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    if (status == CUDNN_STATUS_SUCCESS) status = cudnnBackendFinalize(pack);
    if (status == CUDNN_STATUS_SUCCESS) status = cudnnBackendExecute(state_of(d)->attention->handle, p->plan, pack);
    CHECK(status == CUDNN_STATUS_SUCCESS, "cuDNN attention of %ld x %ld rows: %s", (long)p->sizes.q_rows,
          (long)p->sizes.k_rows, cudnnGetErrorString(status));
    cudnnBackendDestroyDescriptor(pack);
}

/* The backward engines work in a space of a float for every score: so a few sequences at a time, in parts of one size.
 * */
enum { BACKWARD_BYTES = 512 << 20 };
static int64_t part_of(const struct attention *a)
{
    int64_t each = a->heads * a->q_longest * a->k_longest * (int64_t)sizeof(float), part = a->sequences;
    while (part > 1 && (part * each > BACKWARD_BYTES || a->sequences % part)) part--;
    return part;
}

static struct sizes sizes_of(const struct attention *a, bool backward)
{
    struct sizes z;
    memset(&z, 0, sizeof z); /* compared byte by byte */
    z.sequences = backward ? part_of(a) : a->sequences;
    z.heads = a->heads;
    z.head_dim = a->head_dim;
    z.q_rows = a->q_longest;
    z.k_rows = a->k_longest;
    z.ld_q = a->ld_q;
    z.ld_kv = a->ld_kv;
    z.backward = backward;
    z.stats = !backward;
    return z;
}

/* Both passes or none: they share the layout of lse. */
static bool taken(struct device *d, const struct attention *a)
{
    if (!a->uniform || a->causal || a->kv_heads != a->heads || a->head_dim % 8 || a->ld_q % 8 || a->ld_kv % 8 ||
        !aligned16(a->q) || !aligned16(a->k) || !aligned16(a->v))
        return false;
    struct sizes forward = sizes_of(a, false), backward = sizes_of(a, true);
    return plan_for(d, &forward)->plan && (!a->lse || plan_for(d, &backward)->plan);
}

bool cuda_attention_forward(struct device *d, const struct attention *a)
{
    if (!taken(d, a)) return false;
    struct sizes z = sizes_of(a, false);
    struct attention_plan *p = plan_for(d, &z);
    size_t stats = ((size_t)(a->q_rows * a->heads) * sizeof(float) + 255) & ~(size_t)255;
    char *space = (char *)cuda_scratch(d, stats + (size_t)p->workspace);
    if (d->planning) return true;
    float scale = 1 / sqrtf((float)a->head_dim);
    const int64_t ids[] = {Q, K, V, O, STATS, SCALE};
    void *const pointers[] = {(void *)a->q, (void *)a->k, (void *)a->v, a->o, a->lse ? (void *)a->lse : space, &scale};
    run_plan(d, p, 6, ids, pointers, space + stats);
    return true;
}

bool cuda_attention_backward(struct device *d, const struct attention *a)
{
    if (!taken(d, a)) return false;
    struct sizes z = sizes_of(a, true);
    struct attention_plan *p = plan_for(d, &z);
    int64_t rows = z.sequences * z.heads * divide_up(z.q_rows, 64) * 64;
    size_t sum = (size_t)(rows * divide_up(z.head_dim, 64) * 64) * sizeof(float),
           row_sum = (size_t)rows * sizeof(float);
    char *space = (char *)cuda_scratch(d, sum + row_sum + (size_t)p->workspace);
    if (d->planning) return true;
    float scale = 1 / sqrtf((float)a->head_dim);
    const int64_t ids[] = {Q, K, V, O, STATS, SCALE, D_O, D_Q, D_K, D_V, ROW_SUM, D_Q_SUM};
    for (int64_t s = 0; s < a->sequences; s += z.sequences) {
        int64_t q = s * z.q_rows, k = s * z.k_rows, o = q * z.heads * z.head_dim;
        const __nv_bfloat16 *of_q = (const __nv_bfloat16 *)a->q + q * z.ld_q,
                            *of_k = (const __nv_bfloat16 *)a->k + k * z.ld_kv;
        void *const pointers[] = {(void *)of_q,
                                  (void *)of_k,
                                  (void *)((const __nv_bfloat16 *)a->v + k * z.ld_kv),
                                  (__nv_bfloat16 *)a->o + o,
                                  (void *)(a->lse + q * z.heads),
                                  &scale,
                                  (void *)((const __nv_bfloat16 *)a->d_o + o),
                                  (__nv_bfloat16 *)a->d_q + q * z.ld_q,
                                  (__nv_bfloat16 *)a->d_k + k * z.ld_kv,
                                  (__nv_bfloat16 *)a->d_v + k * z.ld_kv,
                                  space + sum,
                                  space};
        CUDA_TRY(cudaMemsetAsync(space, 0, sum, state_of(d)->stream));
        run_plan(d, p, 12, ids, pointers, space + sum + row_sum);
    }
    return true;
}

void cuda_attention_close(struct device *d)
{
    struct cuda_attention *a = state_of(d)->attention;
    if (!a) return;
    for (int i = 0; i < a->count; i++) destroy(&a->plans[i].graph);
    cudnnDestroy(a->handle);
    free(a);
    state_of(d)->attention = NULL;
}
