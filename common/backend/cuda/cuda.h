/* What the files of the CUDA backend share: its state, error handling, launches, and the small helpers of its kernels.
 *
 *   backend.cu      opening, and the table of the backend           once
 *   memory.cu       memory, staging, fetching                       once
 *   collectives.cu  NCCL                                            once
 *   table.cu        rows, products, attention, loss, optimizer      once for each type `real`
 *
 * Everything runs on one stream, but for the uploads of staged buffers and what NCCL does beside it. */
#ifndef BACKEND_CUDA_CUDA_H
#define BACKEND_CUDA_CUDA_H

#include <cublasLt.h>
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern "C" {
#include "backend/device.h"
#include "base/check.h"
}

/* A failed CUDA call ends the job: no rank may wait for a dead one. */
#define CUDA_TRY(call) \
    do { \
        cudaError_t cuda_code = (call); \
        CHECK(cuda_code == cudaSuccess, "%s: %s (%s)", #call, cudaGetErrorName(cuda_code), \
              cudaGetErrorString(cuda_code)); \
    } while (0)

struct slot {
    void *there; /* on the device */
    size_t bytes;
    cudaEvent_t ready, done; /* copied; read for the last time */
};

struct fetch {
    void *host;         /* pinned */
    size_t bytes, size; /* bytes under way; of host */
    cudaEvent_t ready;
};

struct cuda_plans;     /* products: what was chosen for each shape */
struct cuda_attention; /* cuDNN's plans */

struct cuda_state {
    const struct backend *backend; /* first: device.c finds the backend here */
    cudaStream_t stream, uploads, beside;
    cudaEvent_t forked, joined;
    struct slot slots[STAGE_SLOTS];
    int last_staged; /* -1: none */
    struct fetch fetches[FETCH_SLOTS];
    cublasLtHandle_t lt;
    void *workspace; /* of the products */
    struct cuda_plans *plans;
    struct cuda_attention *attention;
    void *scratch; /* partial sums of a kernel for the next one */
    size_t scratch_bytes, granularity;
    void *group;                 /* NCCL's communicator */
    int rank, ranks, processors; /* rank: in the group of ranks; processors: multiprocessors of the GPU */
};

enum { WORKSPACE_BYTES = 64 << 20 };

static inline struct cuda_state *state_of(struct device *d)
{
    return (struct cuda_state *)d->state;
}

/* Scratch that the next kernel of the same call may read. */
void *cuda_scratch(struct device *d, size_t bytes);

extern const struct collectives cuda_collectives;
void cuda_memory_open(struct device *d);
void cuda_memory_close(struct device *d);
void cuda_memory_table(struct kernels *k); /* fill in the memory calls */
void cuda_products_close(struct device *d);
int cuda_group_id(struct device *d, unsigned char *id, struct error *error);
int cuda_group_join(struct device *d, const unsigned char *id, int rank, int size, struct error *error);
void cuda_group_leave(struct device *d);

/* --- launches --- */

/* LAUNCH(d, kernel, blocks, threads, shared bytes, arguments...); nothing in a dry run or without work. */
#ifdef __CUDACC__
#define LAUNCH(d, kernel, blocks, threads, shared, ...) \
    do { \
        if (!(d)->planning && (blocks) > 0) { \
            kernel<<<(unsigned)(blocks), (threads), (shared), state_of(d)->stream>>>(__VA_ARGS__); \
            CUDA_TRY(cudaGetLastError()); \
        } \
    } while (0)
#define SHARED_FLOATS(name) extern __shared__ float name[]
#else
#include <emulator.h>
#endif

/* Kernels that take more than 48 KB of shared memory must be told so once. */
#define ALLOW_SHARED(kernel, bytes) \
    CUDA_TRY(cudaFuncSetAttribute((const void *)(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize, (int)(bytes)))

static inline __host__ __device__ int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* --- kernels' helpers --- */

enum { WARP = 32, THREADS = 256 };

static __device__ __forceinline__ float to_float(float x)
{
    return x;
}
static __device__ __forceinline__ float to_float(__nv_bfloat16 x)
{
    return __bfloat162float(x);
}
static __device__ __forceinline__ void from_float(float *to, float x)
{
    *to = x;
}
static __device__ __forceinline__ void from_float(__nv_bfloat16 *to, float x)
{
    *to = __float2bfloat16(x);
}

/* W elements at once: 8 of an array whose rows are whole vectors of 8, else 1. */
template <int W, typename T> struct alignas(W * sizeof(T) < 16 ? W * sizeof(T) : 16) pack {
    T value[W];
};

template <int W, typename T> static __device__ __forceinline__ pack<W, T> load(const T *from)
{
    return *(const pack<W, T> *)from;
}
template <int W, typename T> static __device__ __forceinline__ void store(T *to, pack<W, T> p)
{
    *(pack<W, T> *)to = p;
}

static inline bool aligned16(const void *p)
{
    return ((uintptr_t)p & 15) == 0;
}

/* All lanes get the sum; the order is fixed. */
template <typename T> static __device__ __forceinline__ T warp_sum(T x)
{
    for (int lane = WARP / 2; lane > 0; lane /= 2) x += __shfl_xor_sync(0xffffffffu, x, lane);
    return x;
}

static __device__ __forceinline__ float warp_max(float x)
{
    for (int lane = WARP / 2; lane > 0; lane /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, lane));
    return x;
}

/* Sum over a block of at most 1024 threads, whole warps; thread 0 has it. */
template <typename T> static __device__ T block_sum(T x)
{
    __shared__ T parts[WARP];
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    x = warp_sum(x);
    __syncthreads(); /* parts may still be read from the call before */
    if (lane == 0) parts[warp] = x;
    __syncthreads();
    if (warp == 0) x = warp_sum(lane < warps ? parts[lane] : (T)0);
    return x;
}

/* Softmax statistics: (max, sum) += (m, s). */
static __device__ __forceinline__ void merge_stat(float *max, float *sum, float m, float s)
{
    if (m == -INFINITY) return;
    if (m > *max) {
        *sum = *max == -INFINITY ? s : *sum * expf(*max - m) + s;
        *max = m;
    } else
        *sum += s * expf(m - *max);
}

#endif
