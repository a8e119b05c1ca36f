/* Opening of a GPU, and what the backend library exports. */
#include "backend/cuda/attention.h"
#include "backend/cuda/plans.h"

extern "C" {
#include "base/memory.h"
}

extern const struct backend *cuda_backend(void);
void cuda_table_fp32(struct kernels *k);
void cuda_table_bf16(struct kernels *k);

static int count(void)
{
    int n = 0;
    return cudaGetDeviceCount(&n) == cudaSuccess ? n : 0;
}

static int open_device(struct device *d, int index, const char *precision, struct error *error)
{
    static struct kernels tables[2]; /* filled on first use; the same for all devices */
    bool narrow = !strcmp(precision, "bf16");
    cudaDeviceProp properties;
    if (cudaSetDevice(index) != cudaSuccess || cudaGetDeviceProperties(&properties, index) != cudaSuccess)
        return error_set(error, ERROR_FAILED, "GPU %d: %s", index, cudaGetErrorString(cudaGetLastError()));
    if (properties.major < 8)
        return error_set(error, ERROR_USAGE, "GPU %d (%s) is of compute capability %d.%d; 8.0 or later is needed",
                         index, properties.name, properties.major, properties.minor);
    struct cuda_state *s = (struct cuda_state *)mem_zalloc(1, sizeof *s);
    struct kernels *table = &tables[narrow];
    s->backend = cuda_backend();
    s->last_staged = -1;
    s->processors = properties.multiProcessorCount;
    d->state = s;
    d->total = properties.totalGlobalMem;
    if (!table->name) {
        if (narrow)
            cuda_table_bf16(table);
        else
            cuda_table_fp32(table);
        cuda_memory_table(table);
    }
    d->kernels = table;
    CUDA_TRY(cudaStreamCreateWithFlags(&s->stream, cudaStreamNonBlocking));
    CUDA_TRY(cudaStreamCreateWithFlags(&s->uploads, cudaStreamNonBlocking));
    CUDA_TRY(cudaStreamCreateWithFlags(&s->beside, cudaStreamNonBlocking));
    CUDA_TRY(cudaEventCreateWithFlags(&s->forked, cudaEventDisableTiming));
    CUDA_TRY(cudaEventCreateWithFlags(&s->joined, cudaEventDisableTiming));
    cuda_memory_open(d);
    CHECK(cublasLtCreate(&s->lt) == CUBLAS_STATUS_SUCCESS, "cuBLASLt does not start on GPU %d", index);
    s->workspace = d->kernels->map(d, WORKSPACE_BYTES);
    return 0;
}

static void close_device(struct device *d)
{
    struct cuda_state *s = state_of(d);
    CUDA_TRY(cudaStreamSynchronize(s->stream));
    cuda_group_leave(d);
    cuda_attention_close(d);
    cuda_products_close(d);
    d->kernels->unmap(d, s->workspace, WORKSPACE_BYTES);
    cuda_memory_close(d);
    cublasLtDestroy(s->lt);
    CUDA_TRY(cudaEventDestroy(s->forked));
    CUDA_TRY(cudaEventDestroy(s->joined));
    CUDA_TRY(cudaStreamDestroy(s->stream));
    CUDA_TRY(cudaStreamDestroy(s->uploads));
    CUDA_TRY(cudaStreamDestroy(s->beside));
    free(s);
}

static size_t memory_used(struct device *d)
{
    size_t left = 0, all = 0;
    (void)d;
    return cudaMemGetInfo(&left, &all) == cudaSuccess ? all - left : 0;
}

extern "C" __attribute__((visibility("default"))) const struct backend percept_backend;
const struct backend percept_backend = {BACKEND_VERSION, count,           open_device,     close_device, cuda_group_id,
                                        cuda_group_join, cuda_plans_load, cuda_plans_save, memory_used};

const struct backend *cuda_backend(void)
{
    return &percept_backend;
}
