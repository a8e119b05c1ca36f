/* Choice of the kernel table at run time, and the scratch memory behind it. */
#include "backend/device.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"

extern const struct kernels cpu_kernels_portable;
#if defined(__x86_64__)
extern const struct kernels cpu_kernels_v3, cpu_kernels_v4;
#endif

static const struct kernels *choose(const char *level)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    bool v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
              __builtin_cpu_supports("avx512dq");
    bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (v4 && (!level || !strcmp(level, "x86-64-v4"))) return &cpu_kernels_v4;
    if (v3 && (!level || !strcmp(level, "x86-64-v3"))) return &cpu_kernels_v3;
#endif
    if (!level || !strcmp(level, "portable")) return &cpu_kernels_portable;
    return NULL;
}

int device_open(struct device *device, const char *name, const char *level, int threads, struct error *error)
{
    if (strcmp(name, "cpu")) return error_set(error, ERROR_USAGE, "--device %s: this program was built with the device cpu only", name);
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

void device_close(struct device *device)
{
    for (int t = 0; t < device->threads; t++) {
        mem_unmap(device->scratch[t], device->kernels->scratch_floats(), sizeof(float));
        mem_unmap(device->extra[t], device->extra_floats, sizeof(float));
    }
    free(device->scratch);
    free(device->extra);
    *device = (struct device){0};
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
