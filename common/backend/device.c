/* Choice of the kernel table at run time: an instruction level of the CPU, or a backend library. */
#include "backend/device.h"

#include <dlfcn.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

extern const struct kernels cpu_kernels_portable;
#if defined(__x86_64__)
extern const struct kernels cpu_kernels_v3, cpu_kernels_v4;
#endif

static const struct kernels *choose(const char *level)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    bool v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
              __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
    bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (v4 && (!level || !strcmp(level, "x86-64-v4"))) return &cpu_kernels_v4;
    if (v3 && (!level || !strcmp(level, "x86-64-v3"))) return &cpu_kernels_v3;
#endif
    if (!level || !strcmp(level, "portable")) return &cpu_kernels_portable;
    return NULL;
}

static int open_cpu(struct device *device, const char *precision, const char *level, int threads, struct error *error)
{
    if (strcmp(precision, "fp32"))
        return error_set(error, ERROR_USAGE, "--precision %s: the cpu computes in fp32", precision);
    const struct kernels *kernels = choose(level);
    if (!kernels) return error_set(error, ERROR_USAGE, "--cpu-level %s: this machine or build does not have it", level);
    int available = omp_get_num_procs();
    if (threads > 4 * available)
        return error_set(error, ERROR_USAGE, "--threads %d: this process may use %d cores", threads, available);
    *device = (struct device){.kernels = kernels, .threads = threads > 0 ? threads : available};
    device->scratch = mem_alloc((size_t)device->threads, sizeof *device->scratch);
    device->extra = mem_zalloc((size_t)device->threads, sizeof *device->extra);
    for (int t = 0; t < device->threads; t++) device->scratch[t] = mem_map(kernels->scratch_floats(), sizeof(float));
    return 0;
}

/* The CUDA backend, loaded once: so that programs start without half a gigabyte of libraries, and run where there are
 * none. */
static const struct backend *load(char *path, size_t size, char *why, size_t why_size)
{
    ssize_t n = readlink("/proc/self/exe", path, size - 1);
    path[n > 0 ? n : 0] = 0;
    char *slash = strrchr(path, '/');
    size_t at = slash ? (size_t)(slash + 1 - path) : 0;
    snprintf(path + at, size - at, "libpercept-cuda.so");
    if (getenv("PERCEPT_CUDA")) snprintf(path, size, "%s", getenv("PERCEPT_CUDA"));
    void *library = access(path, R_OK) ? NULL : dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct backend *backend = library ? dlsym(library, BACKEND_SYMBOL) : NULL;
    if (access(path, R_OK))
        snprintf(why, why_size, "this program was built without CUDA (no %s)", path);
    else if (!backend)
        snprintf(why, why_size, "%s", dlerror());
    else if (backend->version != BACKEND_VERSION)
        snprintf(why, why_size, "%s belongs to another build", path);
    else
        return backend;
    return NULL;
}

static const struct backend *backend_of(const struct device *device)
{
    return *(const struct backend *const *)device->state; /* a backend's state begins with its own table */
}

int device_count(void)
{
    char path[4096], why[512];
    const struct backend *backend = load(path, sizeof path, why, sizeof why);
    return backend ? backend->count() : 0;
}

static int open_cuda(struct device *device, const char *name, const char *precision, int threads, int local,
                     struct error *error)
{
    char path[4096], why[512];
    const struct backend *backend = load(path, sizeof path, why, sizeof why);
    if (!backend) return error_set(error, ERROR_USAGE, "--device %s: %s", name, why);
    char *end = "";
    int count = backend->count(),
        index = name[4] == ':' ? (int)strtol(name + 5, &end, 10) : local % (count > 0 ? count : 1);
    if (*end || end == name + 5) return error_set(error, ERROR_USAGE, "--device %s: must be cpu, cuda or cuda:N", name);
    if (count < 1)
        return error_set(error, ERROR_USAGE, "--device %s: no GPU, or no driver for it, on this machine", name);
    if (index < 0 || index >= count)
        return error_set(error, ERROR_USAGE, "--device %s: this machine has GPUs 0 to %d", name, count - 1);
    *device = (struct device){.threads = threads > 0 ? threads : omp_get_num_procs(), .index = index};
    return backend->open(device, index, precision, error);
}

int device_open(struct device *device, const char *name, const char *precision, const char *level, int threads,
                int local, struct error *error)
{
    if (!strcmp(name, "cpu")) return open_cpu(device, precision, level, threads, error);
    if (!strcmp(name, "cuda") || !strncmp(name, "cuda:", 5))
        return open_cuda(device, name, precision, threads, local, error);
    return error_set(error, ERROR_USAGE, "--device %s: must be cpu, cuda or cuda:N", name);
}

void device_close(struct device *device)
{
    if (device->state) backend_of(device)->close(device);
    for (int t = 0; t < device->threads && device->scratch; t++) {
        mem_unmap(device->scratch[t], device->kernels->scratch_floats(), sizeof(float));
        mem_unmap(device->extra[t], device->extra_floats, sizeof(float));
    }
    free(device->scratch);
    free(device->extra);
    for (int i = 0; i < FETCH_SLOTS; i++) free(device->fetched[i]);
    *device = (struct device){0};
}

int device_group_id(struct device *device, unsigned char id[COLLECTIVES_ID], struct error *error)
{
    return backend_of(device)->group_id(device, id, error);
}

int device_connect(struct device *device, const unsigned char id[COLLECTIVES_ID], int rank, int size,
                   struct error *error)
{
    return backend_of(device)->connect(device, id, rank, size, error);
}

int device_choices_load(struct device *device, const char *path, struct error *error)
{
    return device->state ? backend_of(device)->choices_load(device, path, error) : 0;
}

int device_choices_save(struct device *device, const char *path, struct error *error)
{
    return device->state ? backend_of(device)->choices_save(device, path, error) : 0;
}

size_t device_memory_used(struct device *device)
{
    return device->state ? backend_of(device)->memory_used(device) : 0;
}

void device_arena_open(struct device *device, struct arena *arena, size_t limit)
{
    const struct kernels *k = device->kernels;
    if (!k->reserve) {
        arena_open(arena, limit);
        return;
    }
    *arena = (struct arena){.base = k->reserve(device, limit),
                            .limit = limit,
                            .commit = k->commit,
                            .release = k->release,
                            .context = device};
}

const void *device_bring(struct device *device, struct arena *arena, const void *host, size_t bytes)
{
    if (!device->kernels->reserve) return host;
    void *there = arena_take(arena, bytes, 1);
    device->kernels->upload(device, there, host, bytes);
    return there;
}

static void release_host(void *device, void *base, size_t limit, size_t committed)
{
    (void)committed;
    struct device *d = device;
    d->kernels->host_unmap(d, base, limit);
}

void device_host_arena_open(struct device *device, struct arena *arena, size_t limit)
{
    if (!device->kernels->reserve)
        arena_open(arena, limit);
    else
        *arena = (struct arena){.base = device->kernels->host_map(device, limit),
                                .limit = limit,
                                .release = release_host,
                                .context = device};
}

struct device device_thread(const struct device *device, int thread)
{
    struct device one = *device;
    CHECK(device->scratch && thread < device->threads, "thread %d of %d", thread, device->threads);
    one.threads = 1;
    one.scratch = device->scratch + thread;
    one.extra = NULL;
    one.extra_floats = 0;
    return one;
}

void device_reserve(struct device *device, size_t floats)
{
    if (floats <= device->extra_floats) return;
    for (int t = 0; t < device->threads; t++) {
        mem_unmap(device->extra[t], device->extra_floats, sizeof(float));
        device->extra[t] = mem_map(floats, sizeof(float));
    }
    device->extra_floats = floats;
}
