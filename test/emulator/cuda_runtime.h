/* What the CUDA backend uses of the CUDA runtime, as host code. */
#ifndef TEST_EMULATOR_CUDA_RUNTIME_H
#define TEST_EMULATOR_CUDA_RUNTIME_H

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#define __global__
#define __device__
#define __host__
#define __shared__ static /* blocks run one after the other */
#define __forceinline__ inline
#define __launch_bounds__(...)

struct emulator_index {
    unsigned x;
};
extern emulator_index threadIdx, blockIdx, blockDim, gridDim;

void __syncthreads(void);
void __syncwarp(void);
/* Give `bytes` to lane `from` of the warp's lanes and take those of another. */
void emulator_shuffle(void *value, size_t bytes, unsigned source);
template <typename T> T __shfl_sync(unsigned, T value, int source)
{
    emulator_shuffle(&value, sizeof value, (unsigned)source);
    return value;
}
template <typename T> T __shfl_xor_sync(unsigned mask, T value, int lane)
{
    return __shfl_sync(mask, value, (int)((threadIdx.x % 32) ^ (unsigned)lane));
}

struct float4 {
    float x, y, z, w;
};
static inline float rsqrtf(float x)
{
    return 1 / sqrtf(x);
}
using std::isfinite;

enum cudaError_t { cudaSuccess, cudaErrorMemoryAllocation = 2 };
struct emulator_stream;
struct emulator_event;
typedef emulator_stream *cudaStream_t;
typedef emulator_event *cudaEvent_t;
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
enum { cudaEventDisableTiming = 2, cudaStreamNonBlocking = 1, cudaHostAllocDefault = 0, cudaEnableDefault = 0 };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
enum cudaDriverEntryPointQueryResult { cudaDriverEntryPointSuccess };
struct cudaDeviceProp {
    char name[64];
    int major, minor, multiProcessorCount;
    size_t totalGlobalMem;
};

const char *cudaGetErrorName(cudaError_t code);
const char *cudaGetErrorString(cudaError_t code);
cudaError_t cudaGetLastError(void);
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device);
cudaError_t cudaMemGetInfo(size_t *left, size_t *all);
cudaError_t cudaMalloc(void **block, size_t bytes);
cudaError_t cudaFree(void *block);
cudaError_t cudaHostAlloc(void **block, size_t bytes, unsigned flags);
cudaError_t cudaFreeHost(void *block);
cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaEventCreate(cudaEvent_t *event);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to);
cudaError_t cudaFuncSetAttribute(const void *function, cudaFuncAttribute attribute, int value);
cudaError_t cudaGetDriverEntryPointByVersion(const char *name, void **function, unsigned version,
                                             unsigned long long flags, cudaDriverEntryPointQueryResult *found);

#endif
