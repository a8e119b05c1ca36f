/* Memory of a GPU: blocks, address ranges that grow, pinned host memory, and the ways between host and device.
 *
 * Arenas reserve address space and get memory behind it piece by piece (cuMemAddressReserve and cuMemMap, reached
 * through the runtime, so that nothing links to the driver). */
#include <cuda.h>

#include "backend/cuda/cuda.h"

extern "C" {
#include "base/memory.h"
}

/* The driver's calls, looked up once. */
struct driver {
    CUresult (*granularity)(size_t *, const CUmemAllocationProp *, CUmemAllocationGranularity_flags);
    CUresult (*reserve)(CUdeviceptr *, size_t, size_t, CUdeviceptr, unsigned long long);
    CUresult (*unreserve)(CUdeviceptr, size_t);
    CUresult (*create)(CUmemGenericAllocationHandle *, size_t, const CUmemAllocationProp *, unsigned long long);
    CUresult (*release)(CUmemGenericAllocationHandle);
    CUresult (*map)(CUdeviceptr, size_t, size_t, CUmemGenericAllocationHandle, unsigned long long);
    CUresult (*unmap)(CUdeviceptr, size_t);
    CUresult (*access)(CUdeviceptr, size_t, const CUmemAccessDesc *, size_t);
};
static struct driver driver; /* set by the first device; the same for all */

#define DRIVER_TRY(call) \
    do { \
        CUresult driver_code = (call); \
        CHECK(driver_code == CUDA_SUCCESS, "%s: CUDA driver error %d", #call, (int)driver_code); \
    } while (0)

static void look_up(const char *name, void **to)
{
    cudaDriverEntryPointQueryResult found;
    CUDA_TRY(cudaGetDriverEntryPointByVersion(name, to, 12000, cudaEnableDefault, &found));
    CHECK(*to && found == cudaDriverEntryPointSuccess, "the driver has no %s", name);
}

static CUmemAllocationProp properties(const struct device *d)
{
    CUmemAllocationProp p;
    memset(&p, 0, sizeof p);
    p.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    p.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    p.location.id = d->index;
    return p;
}

void cuda_memory_open(struct device *d)
{
    struct cuda_state *s = state_of(d);
    look_up("cuMemGetAllocationGranularity", (void **)&driver.granularity);
    look_up("cuMemAddressReserve", (void **)&driver.reserve);
    look_up("cuMemAddressFree", (void **)&driver.unreserve);
    look_up("cuMemCreate", (void **)&driver.create);
    look_up("cuMemRelease", (void **)&driver.release);
    look_up("cuMemMap", (void **)&driver.map);
    look_up("cuMemUnmap", (void **)&driver.unmap);
    look_up("cuMemSetAccess", (void **)&driver.access);
    CUmemAllocationProp p = properties(d);
    DRIVER_TRY(driver.granularity(&s->granularity, &p, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
}

__attribute__((noreturn)) static void no_memory(struct device *d, size_t bytes)
{
    double gib = 1024. * 1024 * 1024;
    check_end("GPU %d has no memory for %.2f GiB beside the %.2f of %.2f GiB taken: try more --slices with "
              "--grad-cache, --grad-checkpointing, or a smaller batch",
              d->index, (double)bytes / gib, (double)(d->mapped + d->committed) / gib, (double)d->total / gib);
}

static void *map(struct device *d, size_t bytes)
{
    void *block = NULL;
    if (!bytes) return NULL;
    cudaError_t code = cudaMalloc(&block, bytes);
    if (code == cudaErrorMemoryAllocation) no_memory(d, bytes);
    CUDA_TRY(code);
    CUDA_TRY(cudaMemsetAsync(block, 0, bytes, state_of(d)->stream));
    d->mapped += bytes;
    return block;
}

static void unmap(struct device *d, void *block, size_t bytes)
{
    if (!block) return;
    CUDA_TRY(cudaStreamSynchronize(state_of(d)->stream));
    CUDA_TRY(cudaFree(block));
    d->mapped -= bytes;
}

static void *host_map(struct device *d, size_t bytes)
{
    (void)d;
    void *block = NULL;
    if (!bytes) return NULL;
    CUDA_TRY(cudaHostAlloc(&block, bytes, cudaHostAllocDefault));
    memset(block, 0, bytes);
    return block;
}

static void host_unmap(struct device *d, void *block, size_t bytes)
{
    (void)d, (void)bytes;
    if (block) CUDA_TRY(cudaFreeHost(block));
}

static void *reserve(struct device *d, size_t bytes)
{
    CUdeviceptr base = 0;
    (void)d;
    DRIVER_TRY(driver.reserve(&base, bytes, 0, 0, 0));
    return (void *)(uintptr_t)base;
}

static void commit(void *device, void *base, size_t from, size_t to)
{
    struct device *d = (struct device *)device;
    CUmemGenericAllocationHandle handle;
    CUmemAllocationProp p = properties(d);
    CUmemAccessDesc access;
    CHECK(from % state_of(d)->granularity == 0 && to % state_of(d)->granularity == 0, "%zu to %zu in pieces of %zu",
          from, to, state_of(d)->granularity);
    CUresult code = driver.create(&handle, to - from, &p, 0);
    if (code == CUDA_ERROR_OUT_OF_MEMORY) no_memory(d, to - from);
    DRIVER_TRY(code);
    CUdeviceptr at = (CUdeviceptr)(uintptr_t)base + from;
    DRIVER_TRY(driver.map(at, to - from, 0, handle, 0));
    DRIVER_TRY(driver.release(handle)); /* the mapping keeps it */
    memset(&access, 0, sizeof access);
    access.location = p.location;
    access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    DRIVER_TRY(driver.access(at, to - from, &access, 1));
    d->committed += to - from;
}

static void release(void *device, void *base, size_t bytes, size_t committed)
{
    struct device *d = (struct device *)device;
    CUDA_TRY(cudaStreamSynchronize(state_of(d)->stream));
    if (committed) DRIVER_TRY(driver.unmap((CUdeviceptr)(uintptr_t)base, committed));
    DRIVER_TRY(driver.unreserve((CUdeviceptr)(uintptr_t)base, bytes));
    d->committed -= committed;
}

/* In a dry run too: tables made on first use stay. */
static void upload(struct device *d, void *to, const void *from, size_t bytes)
{
    if (bytes) CUDA_TRY(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, state_of(d)->stream));
}

static void download(struct device *d, void *to, const void *from, size_t bytes)
{
    if (d->planning || !bytes) return;
    CUDA_TRY(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, state_of(d)->stream));
    CUDA_TRY(cudaStreamSynchronize(state_of(d)->stream));
}

static void copy(struct device *d, void *to, const void *from, size_t bytes)
{
    if (!d->planning && bytes && to != from)
        CUDA_TRY(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, state_of(d)->stream));
}

static void wait_all(struct device *d)
{
    CUDA_TRY(cudaStreamSynchronize(state_of(d)->stream));
}

static struct slot *slot_of(struct device *d, int slot)
{
    CHECK(slot >= 0 && slot < STAGE_SLOTS, "slot %d", slot);
    return &state_of(d)->slots[slot];
}

static const void *stage(struct device *d, int slot, const void *host, size_t bytes)
{
    struct cuda_state *s = state_of(d);
    struct slot *x = slot_of(d, slot);
    if (x->bytes < bytes) {
        unmap(d, x->there, x->bytes);
        x->there = map(d, bytes);
        CUDA_TRY(cudaStreamSynchronize(s->stream)); /* its zeros must not arrive after the pixels */
        x->bytes = bytes;
        if (!x->ready) {
            CUDA_TRY(cudaEventCreateWithFlags(&x->ready, cudaEventDisableTiming));
            CUDA_TRY(cudaEventCreateWithFlags(&x->done, cudaEventDisableTiming));
        }
    }
    if (d->planning) return x->there;
    CUDA_TRY(cudaStreamWaitEvent(s->uploads, x->done, 0)); /* an event never recorded is no wait */
    CUDA_TRY(cudaMemcpyAsync(x->there, host, bytes, cudaMemcpyHostToDevice, s->uploads));
    CUDA_TRY(cudaEventRecord(x->ready, s->uploads));
    /* the buffer staged before may be used again by its owner once this call returns */
    if (s->last_staged >= 0) CUDA_TRY(cudaEventSynchronize(s->slots[s->last_staged].ready));
    s->last_staged = slot;
    return x->there;
}

static void staged(struct device *d, int slot)
{
    if (!d->planning) CUDA_TRY(cudaStreamWaitEvent(state_of(d)->stream, slot_of(d, slot)->ready, 0));
}

static void stage_done(struct device *d, int slot)
{
    if (!d->planning) CUDA_TRY(cudaEventRecord(slot_of(d, slot)->done, state_of(d)->stream));
}

static struct fetch *fetch_of(struct device *d, int slot)
{
    CHECK(slot >= 0 && slot < FETCH_SLOTS, "slot %d", slot);
    return &state_of(d)->fetches[slot];
}

static void fetch_begin(struct device *d, int slot, const void *from, size_t bytes)
{
    struct fetch *f = fetch_of(d, slot);
    if (d->planning) return;
    if (f->size < bytes) {
        host_unmap(d, f->host, f->size);
        f->host = host_map(d, bytes);
        f->size = bytes;
        if (!f->ready) CUDA_TRY(cudaEventCreateWithFlags(&f->ready, cudaEventDisableTiming));
    }
    f->bytes = bytes;
    CUDA_TRY(cudaMemcpyAsync(f->host, from, bytes, cudaMemcpyDeviceToHost, state_of(d)->stream));
    CUDA_TRY(cudaEventRecord(f->ready, state_of(d)->stream));
}

static void fetch_end(struct device *d, int slot, void *to)
{
    struct fetch *f = fetch_of(d, slot);
    if (d->planning) return;
    CUDA_TRY(cudaEventSynchronize(f->ready));
    memcpy(to, f->host, f->bytes);
}

void *cuda_scratch(struct device *d, size_t bytes)
{
    struct cuda_state *s = state_of(d);
    if (bytes > s->scratch_bytes) {
        size_t size = bytes + bytes / 4;
        unmap(d, s->scratch, s->scratch_bytes);
        s->scratch = map(d, size);
        s->scratch_bytes = size;
    }
    return s->scratch;
}

void cuda_memory_close(struct device *d)
{
    struct cuda_state *s = state_of(d);
    for (int i = 0; i < STAGE_SLOTS; i++) {
        unmap(d, s->slots[i].there, s->slots[i].bytes);
        if (s->slots[i].ready) CUDA_TRY(cudaEventDestroy(s->slots[i].ready));
        if (s->slots[i].done) CUDA_TRY(cudaEventDestroy(s->slots[i].done));
    }
    for (int i = 0; i < FETCH_SLOTS; i++) {
        host_unmap(d, s->fetches[i].host, s->fetches[i].size);
        if (s->fetches[i].ready) CUDA_TRY(cudaEventDestroy(s->fetches[i].ready));
    }
    unmap(d, s->scratch, s->scratch_bytes);
}

void cuda_memory_table(struct kernels *k)
{
    k->map = map;
    k->unmap = unmap;
    k->host_map = host_map;
    k->host_unmap = host_unmap;
    k->reserve = reserve;
    k->commit = commit;
    k->release = release;
    k->upload = upload;
    k->download = download;
    k->copy = copy;
    k->wait = wait_all;
    k->stage = stage;
    k->staged = staged;
    k->stage_done = stage_done;
    k->fetch_begin = fetch_begin;
    k->fetch_end = fetch_end;
}
