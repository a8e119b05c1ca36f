/* Products by the definition, in float; column-major like the original.  Epilogues as its documentation defines them,
 * GELU in the tanh form; those that need it refuse leading dimensions that are not whole vectors of 16 bytes, so that
 * fallbacks are met too. */
#include <cublasLt.h>
#include <cuda_bf16.h>

#include <vector>

#include "emulator.h"

size_t cublasLtGetVersion(void)
{
    return 1;
}
cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    *handle = NULL;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t)
{
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *operation, cublasComputeType_t, cudaDataType_t)
{
    *operation = new emulator_operation{CUBLAS_OP_N, CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT, NULL, NULL, CUDA_R_32F, 0};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t operation)
{
    delete operation;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t o, cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t bytes)
{
    void *to[] = {&o->transpose_a, &o->transpose_b, &o->epilogue, &o->bias, &o->bias_type, &o->aux, &o->aux_ld};
    memcpy(to[attribute], value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType_t type, uint64_t rows,
                                          uint64_t cols, int64_t ld)
{
    *layout = new emulator_layout{type, rows, cols, ld};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    delete layout;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference)
{
    *preference = NULL;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t)
{
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t,
                                                    const void *, size_t)
{
    return CUBLAS_STATUS_SUCCESS;
}

static bool fits(const emulator_operation *o, const emulator_layout *a, const emulator_layout *b,
                 const emulator_layout *d)
{
    uint64_t m = o->transpose_a ? a->cols : a->rows, k = o->transpose_a ? a->rows : a->cols;
    uint64_t n = o->transpose_b ? b->rows : b->cols, k2 = o->transpose_b ? b->cols : b->rows;
    bool shapes = m == d->rows && n == d->cols && k == k2 && a->type == b->type && (int64_t)a->rows <= a->ld &&
                  (int64_t)b->rows <= b->ld && (int64_t)d->rows <= d->ld;
    if (o->epilogue == CUBLASLT_EPILOGUE_DEFAULT || o->epilogue == CUBLASLT_EPILOGUE_BIAS) return shapes;
    return shapes && a->type == CUDA_R_16BF && a->ld % 8 == 0 && b->ld % 8 == 0 && d->ld % 8 == 0;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t o, cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t, int wanted,
                                              cublasLtMatmulHeuristicResult_t *found, int *count)
{
    *count = 0;
    if (!fits(o, a, b, d)) return CUBLAS_STATUS_NOT_SUPPORTED;
    for (int i = 0; i < 2 && i < wanted; i++) found[(*count)++] = {{{(uint64_t)i}}, 0, CUBLAS_STATUS_SUCCESS, 1};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t o, cublasLtMatrixLayout_t a,
                                       cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t *, cublasLtMatmulHeuristicResult_t *result)
{
    result->workspaceSize = 0;
    return fits(o, a, b, d) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

static float get(const void *x, cudaDataType_t type, int64_t at)
{
    return type == CUDA_R_32F ? ((const float *)x)[at] : __bfloat162float(((const __nv_bfloat16 *)x)[at]);
}

static void put(void *x, cudaDataType_t type, int64_t at, float value)
{
    if (type == CUDA_R_32F)
        ((float *)x)[at] = value;
    else
        ((__nv_bfloat16 *)x)[at] = __float2bfloat16(value);
}

static float tanh_of(float x)
{
    return tanhf(0.79788456f * (x + 0.044715f * x * x * x));
}
static float gelu(float x)
{
    return 0.5f * x * (1 + tanh_of(x));
}
static float gelu_slope(float x)
{
    float t = tanh_of(x);
    return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * 0.79788456f * (1 + 3 * 0.044715f * x * x);
}

/* [rows, depth] of an operand with depth contiguous. */
static std::vector<float> unpack(const void *x, const emulator_layout &l, bool depth_contiguous)
{
    std::vector<float> out(l.rows * l.cols);
    for (uint64_t c = 0; c < l.cols; c++)
        for (uint64_t r = 0; r < l.rows; r++)
            out[depth_contiguous ? c * l.rows + r : r * l.cols + c] = get(x, l.type, (int64_t)c * l.ld + (int64_t)r);
    return out;
}

static void multiply(emulator_operation o, const void *a, emulator_layout la, const void *b, emulator_layout lb,
                     float beta, const void *c, emulator_layout lc, void *d, emulator_layout ld)
{
    std::vector<float> left = unpack(a, la, o.transpose_a), right = unpack(b, lb, !o.transpose_b);
    uint64_t m = ld.rows, n = ld.cols, k = o.transpose_a ? la.rows : la.cols;
    for (uint64_t j = 0; j < n; j++)
        for (uint64_t i = 0; i < m; i++) {
            float sum = 0;
            for (uint64_t l = 0; l < k; l++) sum += left[i * k + l] * right[j * k + l];
            if (beta != 0) sum += beta * get(c, lc.type, (int64_t)j * lc.ld + (int64_t)i);
            if (o.epilogue == CUBLASLT_EPILOGUE_BIAS || o.epilogue == CUBLASLT_EPILOGUE_GELU_AUX_BIAS)
                sum += get(o.bias, o.bias_type, (int64_t)i);
            int64_t aux = (int64_t)j * o.aux_ld + (int64_t)i;
            if (o.epilogue == CUBLASLT_EPILOGUE_GELU_AUX_BIAS) put(o.aux, ld.type, aux, sum), sum = gelu(sum);
            if (o.epilogue == CUBLASLT_EPILOGUE_DGELU) sum *= gelu_slope(get(o.aux, ld.type, aux));
            put(d, ld.type, (int64_t)j * ld.ld + (int64_t)i, sum);
        }
    for (uint64_t j = 0; j < n && o.epilogue == CUBLASLT_EPILOGUE_BGRADB; j++) {
        float sum = 0;
        for (uint64_t l = 0; l < k; l++) sum += right[j * k + l];
        put(o.bias, o.bias_type, (int64_t)j, sum);
    }
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t operation, const void *, const void *a,
                              cublasLtMatrixLayout_t layout_a, const void *b, cublasLtMatrixLayout_t layout_b,
                              const void *beta, const void *c, cublasLtMatrixLayout_t layout_c, void *d,
                              cublasLtMatrixLayout_t layout_d, const cublasLtMatmulAlgo_t *, void *, size_t,
                              cudaStream_t stream)
{
    if (!fits(operation, layout_a, layout_b, layout_d)) return CUBLAS_STATUS_NOT_SUPPORTED;
    emulator_operation o = *operation;
    emulator_layout la = *layout_a, lb = *layout_b, lc = *layout_c, ld = *layout_d;
    float add = *(const float *)beta;
    emulator_enqueue(stream, [=] { multiply(o, a, la, b, lb, add, c, lc, d, ld); });
    return CUBLAS_STATUS_SUCCESS;
}
