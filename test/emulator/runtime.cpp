/* Memory, streams and events.  A stream holds what it has to do until somebody waits for it. */
#include <cuda.h>
#include <cuda_runtime.h>
#include <sys/mman.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <set>

#include "emulator.h"

struct emulator_stream {
    std::deque<std::function<void()>> work;
    uint64_t enqueued = 0, done = 0;
};
struct emulator_event {
    cudaStream_t stream = NULL;
    uint64_t position = 0; /* everything enqueued up to here must be done */
    double time = 0;
};

static std::set<cudaStream_t> streams;
/* 8 GiB, or as many MiB as the variable says */
static const size_t TOTAL = (size_t)(getenv("EMULATED_MIB") ? atoi(getenv("EMULATED_MIB")) : 8192) << 20;
static size_t used;

static void drain(cudaStream_t stream, uint64_t position)
{
    while (stream->done < position && !stream->work.empty()) {
        std::function<void()> next = std::move(stream->work.front());
        stream->work.pop_front();
        stream->done++; /* before it runs: it may wait for another stream, never for itself */
        next();
    }
}

void emulator_enqueue(cudaStream_t stream, std::function<void()> work)
{
    stream->work.push_back(std::move(work));
    stream->enqueued++;
}

static void drain_all(void)
{
    for (cudaStream_t s : streams) drain(s, s->enqueued);
}

const char *cudaGetErrorName(cudaError_t code)
{
    return code == cudaSuccess ? "cudaSuccess" : "cudaErrorMemoryAllocation";
}
const char *cudaGetErrorString(cudaError_t code)
{
    return code == cudaSuccess ? "no error" : "out of memory";
}
cudaError_t cudaGetLastError(void)
{
    return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int *count)
{
    /* one GPU, or as many as the variable says */
    const char *text = getenv("EMULATED_GPUS");
    *count = text ? atoi(text) : 1;
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int)
{
    return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int)
{
    *p = {"", 9, 0, 4, TOTAL};
    snprintf(p->name, sizeof p->name, "%s", getenv("EMULATED_NAME") ? getenv("EMULATED_NAME") : "emulated");
    return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t *left, size_t *all)
{
    *all = TOTAL;
    *left = TOTAL - used;
    return cudaSuccess;
}

/* A block knows its size, for the account. */
enum { HEADER = 256 };
cudaError_t cudaMalloc(void **block, size_t bytes)
{
    if (bytes > TOTAL - used) return cudaErrorMemoryAllocation;
    char *base = (char *)aligned_alloc(HEADER, (bytes + 2 * HEADER - 1) / HEADER * HEADER);
    memset(base, 0xff, bytes + HEADER);
    *(size_t *)base = bytes;
    used += bytes;
    *block = base + HEADER;
    return cudaSuccess;
}
cudaError_t cudaFree(void *block)
{
    drain_all();
    char *base = (char *)block - HEADER;
    used -= *(size_t *)base;
    free(base);
    return cudaSuccess;
}
cudaError_t cudaHostAlloc(void **block, size_t bytes, unsigned)
{
    *block = malloc(bytes);
    return cudaSuccess;
}
cudaError_t cudaFreeHost(void *block)
{
    drain_all();
    free(block);
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    emulator_enqueue(stream, [=] { memset(to, value, bytes); });
    return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind, cudaStream_t stream)
{
    const char *a = (const char *)from, *b = (const char *)to;
    if (a < b + bytes && b < a + bytes && bytes) fprintf(stderr, "emulator: a copy overlaps itself\n"), abort();
    emulator_enqueue(stream, [=] { memcpy(to, from, bytes); });
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned)
{
    *stream = new emulator_stream;
    streams.insert(*stream);
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    drain(stream, stream->enqueued);
    streams.erase(stream);
    delete stream;
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    drain(stream, stream->enqueued);
    return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
    emulator_event now = *event;
    if (now.stream && now.stream != stream) emulator_enqueue(stream, [=] { drain(now.stream, now.position); });
    return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    *event = new emulator_event;
    return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned)
{
    return cudaEventCreate(event);
}
cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    delete event;
    return cudaSuccess;
}
static double seconds(void)
{
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    event->stream = stream;
    emulator_enqueue(stream, [=] { event->time = seconds(); });
    event->position = stream->enqueued;
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    if (event->stream) drain(event->stream, event->position);
    return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to)
{
    *milliseconds = (float)((to->time - from->time) * 1e3);
    return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void *, cudaFuncAttribute, int)
{
    return cudaSuccess;
}

/* --- the driver's virtual memory --- */

enum { GRANULARITY = 2 << 20 };
static CUresult granularity(size_t *out, const CUmemAllocationProp *, CUmemAllocationGranularity_flags)
{
    *out = GRANULARITY;
    return CUDA_SUCCESS;
}
static CUresult reserve(CUdeviceptr *out, size_t bytes, size_t, CUdeviceptr, unsigned long long)
{
    void *base = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
    *out = (CUdeviceptr)(uintptr_t)base;
    return CUDA_SUCCESS;
}
static CUresult unreserve(CUdeviceptr base, size_t bytes)
{
    munmap((void *)(uintptr_t)base, bytes);
    return CUDA_SUCCESS;
}
static CUresult create(CUmemGenericAllocationHandle *out, size_t bytes, const CUmemAllocationProp *, unsigned long long)
{
    if (bytes > TOTAL - used) return CUDA_ERROR_OUT_OF_MEMORY;
    used += bytes;
    *out = bytes;
    return CUDA_SUCCESS;
}
static CUresult release(CUmemGenericAllocationHandle)
{
    return CUDA_SUCCESS;
}
static CUresult map(CUdeviceptr, size_t, size_t, CUmemGenericAllocationHandle, unsigned long long)
{
    return CUDA_SUCCESS;
}
static CUresult unmap(CUdeviceptr base, size_t bytes)
{
    drain_all();
    mprotect((void *)(uintptr_t)base, bytes, PROT_NONE);
    used -= bytes;
    return CUDA_SUCCESS;
}
static CUresult give_access(CUdeviceptr base, size_t bytes, const CUmemAccessDesc *, size_t)
{
    mprotect((void *)(uintptr_t)base, bytes, PROT_READ | PROT_WRITE);
    memset((void *)(uintptr_t)base, 0xff, bytes);
    return CUDA_SUCCESS;
}

cudaError_t cudaGetDriverEntryPointByVersion(const char *name, void **function, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult *found)
{
    static const struct {
        const char *name;
        void *function;
    } calls[] = {{"cuMemGetAllocationGranularity", (void *)granularity},
                 {"cuMemAddressReserve", (void *)reserve},
                 {"cuMemAddressFree", (void *)unreserve},
                 {"cuMemCreate", (void *)create},
                 {"cuMemRelease", (void *)release},
                 {"cuMemMap", (void *)map},
                 {"cuMemUnmap", (void *)unmap},
                 {"cuMemSetAccess", (void *)give_access}};
    *function = NULL;
    for (auto &c : calls)
        if (!strcmp(c.name, name)) *function = c.function;
    *found = cudaDriverEntryPointSuccess;
    return cudaSuccess;
}
