/* The cache of product algorithms, their measuring, and the call. */
#include "backend/cuda/plans.h"

extern "C" {
#include "base/fs.h"
#include "base/memory.h"
#include "base/str.h"
}

/* What makes a shape: all but its number of rows, and the bucket of that. */
struct plan_key {
    int32_t rows, transposes, type, out, epilogue, beta, align;
    int64_t dims[6]; /* m, n, k, lda, ldb, ldd; 0 for the rows */
    int64_t bucket;
};

struct plan {
    struct plan_key key;
    cublasLtMatmulAlgo_t algorithm;
    int32_t usable, measured; /* usable 0: there is none */
};

struct cuda_plans {
    struct plan *list;
    int count, cap;
};

enum { CANDIDATES = 8, REPEATS = 4, KEY_ALIGN = 256 };

#define LT_TRY(call) \
    do { \
        cublasStatus_t lt_code = (call); \
        CHECK(lt_code == CUBLAS_STATUS_SUCCESS, "%s: cuBLAS status %d", #call, (int)lt_code); \
    } while (0)

static int32_t alignment(const void *p)
{
    uintptr_t a = (uintptr_t)p;
    int32_t n = 1;
    while (n < KEY_ALIGN && a % (uintptr_t)(2 * n) == 0) n *= 2;
    return n;
}

/* The upper end of the quarter of an octave that n lies in. */
static int64_t bucket_of(int64_t n)
{
    int64_t step = 1;
    while (step * 8 <= n) step *= 2;
    return (n + step - 1) / step * step;
}

static struct plan_key key_of(const struct product *p)
{
    struct plan_key key;
    memset(&key, 0, sizeof key); /* keys are compared byte by byte */
    key.rows = p->rows;
    key.transposes = p->transpose_a * 2 + p->transpose_b;
    key.type = (int32_t)p->type;
    key.out = (int32_t)p->out;
    key.epilogue = (int32_t)p->epilogue;
    key.beta = p->c != NULL;
    int32_t least = KEY_ALIGN, each[3] = {alignment(p->a), alignment(p->b), alignment(p->d)};
    for (int i = 0; i < 3; i++) least = each[i] < least ? each[i] : least;
    key.align = least;
    int64_t dims[6] = {p->m, p->n, p->k, p->lda, p->ldb, p->ldd};
    key.bucket = bucket_of(dims[p->rows]);
    for (int i = 0; i < 6; i++) key.dims[i] = i == p->rows ? 0 : dims[i];
    return key;
}

static struct plan *find(struct cuda_plans *plans, const struct plan_key *key)
{
    for (int i = 0; i < plans->count; i++)
        if (!memcmp(&plans->list[i].key, key, sizeof *key)) return &plans->list[i];
    return NULL;
}

/* A measured plan of the same shape but for the rows, the nearest. */
static const struct plan *neighbour(struct cuda_plans *plans, const struct plan_key *key)
{
    const struct plan *best = NULL;
    for (int i = 0; i < plans->count; i++) {
        const struct plan *p = &plans->list[i];
        struct plan_key same = p->key;
        same.bucket = key->bucket;
        if (!p->measured || memcmp(&same, key, sizeof *key)) continue;
        if (!best || llabs(p->key.bucket - key->bucket) < llabs(best->key.bucket - key->bucket)) best = p;
    }
    return best;
}

struct descriptors {
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t a, b, c, d;
};

static void set(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t attribute, const void *value,
                size_t bytes)
{
    LT_TRY(cublasLtMatmulDescSetAttribute(operation, attribute, value, bytes));
}

static struct descriptors describe(const struct product *p)
{
    struct descriptors x;
    LT_TRY(cublasLtMatmulDescCreate(&x.operation, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    cublasOperation_t a = p->transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N, b = p->transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    set(x.operation, CUBLASLT_MATMUL_DESC_TRANSA, &a, sizeof a);
    set(x.operation, CUBLASLT_MATMUL_DESC_TRANSB, &b, sizeof b);
    set(x.operation, CUBLASLT_MATMUL_DESC_EPILOGUE, &p->epilogue, sizeof p->epilogue);
    if (p->bias) {
        set(x.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p->bias, sizeof p->bias);
        set(x.operation, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &p->out, sizeof p->out);
    }
    if (p->aux) {
        set(x.operation, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &p->aux, sizeof p->aux);
        set(x.operation, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, &p->m, sizeof p->m);
    }
    LT_TRY(cublasLtMatrixLayoutCreate(&x.a, p->type, (uint64_t)(p->transpose_a ? p->k : p->m),
                                      (uint64_t)(p->transpose_a ? p->m : p->k), p->lda));
    LT_TRY(cublasLtMatrixLayoutCreate(&x.b, p->type, (uint64_t)(p->transpose_b ? p->n : p->k),
                                      (uint64_t)(p->transpose_b ? p->k : p->n), p->ldb));
    LT_TRY(cublasLtMatrixLayoutCreate(&x.c, p->out, (uint64_t)p->m, (uint64_t)p->n, p->c ? p->ldc : p->ldd));
    LT_TRY(cublasLtMatrixLayoutCreate(&x.d, p->out, (uint64_t)p->m, (uint64_t)p->n, p->ldd));
    return x;
}

static void release(struct descriptors x)
{
    cublasLtMatmulDescDestroy(x.operation);
    cublasLtMatrixLayoutDestroy(x.a);
    cublasLtMatrixLayoutDestroy(x.b);
    cublasLtMatrixLayoutDestroy(x.c);
    cublasLtMatrixLayoutDestroy(x.d);
}

static cublasStatus_t run(struct cuda_state *s, const struct product *p, const struct descriptors *x,
                          const cublasLtMatmulAlgo_t *algorithm)
{
    float alpha = 1, beta = p->c ? 1.f : 0.f;
    return cublasLtMatmul(s->lt, x->operation, &alpha, p->a, x->a, p->b, x->b, &beta, p->c ? p->c : p->d, x->c, p->d,
                          x->d, algorithm, s->workspace, WORKSPACE_BYTES, s->stream);
}

/* Milliseconds of one run, infinite when it fails. */
static float measure(struct cuda_state *s, const struct product *p, const struct descriptors *x,
                     const cublasLtMatmulAlgo_t *algorithm)
{
    cudaEvent_t from, to;
    float milliseconds = INFINITY;
    if (run(s, p, x, algorithm) != CUBLAS_STATUS_SUCCESS) return milliseconds;
    CUDA_TRY(cudaEventCreate(&from));
    CUDA_TRY(cudaEventCreate(&to));
    CUDA_TRY(cudaEventRecord(from, s->stream));
    for (int i = 0; i < REPEATS; i++) run(s, p, x, algorithm);
    CUDA_TRY(cudaEventRecord(to, s->stream));
    CUDA_TRY(cudaEventSynchronize(to));
    CUDA_TRY(cudaEventElapsedTime(&milliseconds, from, to));
    CUDA_TRY(cudaEventDestroy(from));
    CUDA_TRY(cudaEventDestroy(to));
    return milliseconds / (float)REPEATS;
}

static struct plan choose(struct device *d, const struct product *p, const struct plan_key *key,
                          const struct descriptors *x)
{
    struct cuda_state *s = state_of(d);
    struct plan plan;
    memset(&plan, 0, sizeof plan);
    plan.key = *key;
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t found[CANDIDATES];
    size_t workspace = WORKSPACE_BYTES;
    uint32_t align_a = (uint32_t)alignment(p->a), align_b = (uint32_t)alignment(p->b),
             align_d = (uint32_t)alignment(p->d);
    uint32_t align_c = p->c ? (uint32_t)alignment(p->c) : align_d;
    int count = 0;
    LT_TRY(cublasLtMatmulPreferenceCreate(&preference));
    LT_TRY(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                                                sizeof workspace));
    LT_TRY(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &align_a,
                                                sizeof align_a));
    LT_TRY(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &align_b,
                                                sizeof align_b));
    LT_TRY(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &align_c,
                                                sizeof align_c));
    LT_TRY(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &align_d,
                                                sizeof align_d));
    cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(s->lt, x->operation, x->a, x->b, x->c, x->d, preference,
                                                           CANDIDATES, found, &count);
    cublasLtMatmulPreferenceDestroy(preference);
    if (status != CUBLAS_STATUS_SUCCESS || count == 0) return plan;
    float best = INFINITY;
    for (int i = 0; i < count; i++) {
        if (found[i].state != CUBLAS_STATUS_SUCCESS) continue;
        float time = d->planning ? measure(s, p, x, &found[i].algo) : 0;
        if (time < best) best = time, plan.algorithm = found[i].algo, plan.usable = 1;
        if (!d->planning && plan.usable) break;
    }
    plan.measured = d->planning && plan.usable;
    return plan;
}

static void append(struct cuda_plans *plans, const struct plan *plan)
{
    if (plans->count == plans->cap)
        plans->list = (struct plan *)mem_realloc(plans->list, (size_t)(plans->cap = 2 * plans->cap + 64), sizeof *plan);
    plans->list[plans->count++] = *plan;
}

static const struct plan *plan_for(struct device *d, const struct product *p, const struct descriptors *x)
{
    struct cuda_state *s = state_of(d);
    if (!s->plans) s->plans = (struct cuda_plans *)mem_zalloc(1, sizeof *s->plans);
    struct plan_key key = key_of(p);
    struct plan *known = find(s->plans, &key);
    if (known) return known;
    const struct plan *near = d->planning ? NULL : neighbour(s->plans, &key);
    struct plan plan;
    cublasLtMatmulHeuristicResult_t check;
    if (near && near->usable &&
        cublasLtMatmulAlgoCheck(s->lt, x->operation, x->a, x->b, x->c, x->d, &near->algorithm, &check) ==
            CUBLAS_STATUS_SUCCESS &&
        check.workspaceSize <= WORKSPACE_BYTES) {
        plan = *near;
        plan.key = key;
        plan.measured = 0;
    } else
        plan = choose(d, p, &key, x);
    append(s->plans, &plan);
    return &s->plans->list[s->plans->count - 1];
}

bool cuda_product(struct device *d, const struct product *p)
{
    if (p->m <= 0 || p->n <= 0) return true;
    struct descriptors x = describe(p);
    const struct plan *plan = plan_for(d, p, &x);
    bool usable = plan->usable;
    if (usable && !d->planning) LT_TRY(run(state_of(d), p, &x, &plan->algorithm));
    release(x);
    return usable;
}

void cuda_products_close(struct device *d)
{
    struct cuda_state *s = state_of(d);
    if (s->plans) free(s->plans->list);
    free(s->plans);
    s->plans = NULL;
}

/* The first line of a file of choices: algorithms are good for one kind of GPU and one library. */
static void write_origin(struct device *d, char *line, size_t size)
{
    cudaDeviceProp properties;
    CUDA_TRY(cudaGetDeviceProperties(&properties, d->index));
    snprintf(line, size, "percept products 1 cublasLt %zu plan %zu %s\n", cublasLtGetVersion(), sizeof(struct plan),
             properties.name);
}

/* After it one line a plan: its bytes in hexadecimal. */
int cuda_plans_save(struct device *d, const char *path, struct error *error)
{
    struct cuda_state *s = state_of(d);
    struct str text = {0};
    char origin[512];
    write_origin(d, origin, sizeof origin);
    str_printf(&text, "%s", origin);
    for (int i = 0; s->plans && i < s->plans->count; i++) {
        const unsigned char *bytes = (const unsigned char *)&s->plans->list[i];
        if (!s->plans->list[i].measured) continue;
        for (size_t k = 0; k < sizeof(struct plan); k++) str_printf(&text, "%02x", bytes[k]);
        str_printf(&text, "\n");
    }
    int rc = fs_write(path, text.data, text.len, error);
    str_free(&text);
    return rc;
}

static bool read_plan(const char *line, struct plan *plan)
{
    unsigned char *bytes = (unsigned char *)plan;
    for (size_t k = 0; k < sizeof *plan; k++) {
        char pair[3] = {line[2 * k], line[2 * k + 1], 0}, *end;
        bytes[k] = (unsigned char)strtol(pair, &end, 16);
        if (end != pair + 2) return false;
    }
    return line[2 * sizeof *plan] == '\n';
}

int cuda_plans_load(struct device *d, const char *path, struct error *error)
{
    struct cuda_state *s = state_of(d);
    char *text, origin[512];
    size_t len, line = 2 * sizeof(struct plan) + 1;
    if (!fs_exists(path)) return 0;
    if (fs_read(path, &text, &len, error) < 0) return -1;
    write_origin(d, origin, sizeof origin);
    size_t at = strlen(origin);
    int rc = len >= at && !memcmp(text, origin, at);
    if (rc && (len - at) % line) rc = -1;
    if (!s->plans) s->plans = (struct cuda_plans *)mem_zalloc(1, sizeof *s->plans);
    for (; rc > 0 && at < len; at += line) {
        struct plan plan;
        if (!read_plan(text + at, &plan))
            rc = -1;
        else if (!find(s->plans, &plan.key))
            append(s->plans, &plan);
    }
    free(text);
    return rc < 0 ? error_set(error, ERROR_FAILED, "%s: damaged; remove it, and the fastest products are measured anew",
                              path)
                  : rc;
}
