/* A device: a kernel table, the threads it uses and their scratch memory.  One per process, and one more on the CPU
 * where figures over host arrays are wanted beside a GPU. */
#ifndef BACKEND_DEVICE_H
#define BACKEND_DEVICE_H

#include "backend/kernels.h"
#include "base/error.h"
#include "base/memory.h"

/* How ranks with a GPU each exchange device memory without passing through the host (NCCL).  NULL where the device
 * cannot.  All of them run in order with the device's kernels, but for reduce_beside. */
struct collectives {
    void (*broadcast)(struct device *d, void *data, size_t bytes, int root);
    void (*reduce)(struct device *d, float *data, int64_t count, int root); /* the sum arrives in data of root */
    void (*gather)(struct device *d, void *all,
                   const size_t *starts); /* bytes [starts[r], starts[r + 1]) of rank r reach all */
    /* As reduce, beside the kernels called later; join makes those called after it wait. */
    void (*reduce_beside)(struct device *d, float *data, int64_t count, int root);
    void (*join)(struct device *d);
};

enum { FETCH_SLOTS = 4, STAGE_SLOTS = 1024 }; /* of fetch_begin and stage */
enum { COLLECTIVES_ID = 128 };                /* bytes by which the ranks of a group find each other */

struct device {
    const struct kernels *kernels;
    int threads;
    float **scratch; /* CPU: [threads] packing space of kernels->scratch_floats() floats */
    float **extra;   /* CPU: [threads] growable work space, see device_reserve */
    size_t extra_floats;
    void *fetched[FETCH_SLOTS]; /* CPU: what fetch_begin put aside */
    size_t fetched_bytes[FETCH_SLOTS];

    void *state;                     /* the backend's own */
    bool planning;                   /* kernels do nothing: a dry run that finds out how much memory a step needs */
    size_t mapped, committed, total; /* bytes taken by map, by arenas; bytes the device has (0: not known) */
    const struct collectives *collectives; /* NULL until device_connect */
    int index;                             /* which of the machine's devices */
};

/* Open "cpu" with `threads` threads (0: as many as this process may use), at the best instruction level of this
 * machine. `level` forces a lower one ("x86-64-v3", "portable"); NULL picks.
 * "cuda", "cuda:N": GPU N, or the one of this rank's number on its host (`local`, modulo the GPUs there).  The backend
 * is libpercept-cuda.so beside the program, or the file that PERCEPT_CUDA names.  precision: "fp32", or "bf16" (CUDA
 * only).  A missing GPU, driver or library is an error. */
int device_open(struct device *device, const char *name, const char *precision, const char *level, int threads,
                int local, struct error *error);
void device_close(struct device *device);

/* GPUs a program on this machine sees; 0 without CUDA. */
int device_count(void);

/* Join a group of `size` devices, this one being `rank`: fills device->collectives.  One rank makes the id, all must
 * have it.  Fails where the device has no such way. */
int device_group_id(struct device *device, unsigned char id[COLLECTIVES_ID], struct error *error);
int device_connect(struct device *device, const unsigned char id[COLLECTIVES_ID], int rank, int size,
                   struct error *error);

/* Which algorithms a dry run (planning) found fastest, into a file and back: with the same choices the same bits are
 * computed.  load: 1 taken, 0 not there, or made by another kind of GPU or library, -1 damaged.  On the CPU both do
 * nothing and return 0. */
int device_choices_load(struct device *device, const char *path, struct error *error);
int device_choices_save(struct device *device, const char *path, struct error *error);

/* Bytes of the GPU's memory in use, by everyone; 0 on the CPU. */
size_t device_memory_used(struct device *device);

/* An arena in the device's memory; DEVICE_ARENA: address space for one whose size is not known beforehand. */
#define DEVICE_ARENA ((size_t)1 << 38)
void device_arena_open(struct device *device, struct arena *arena, size_t limit);

/* `bytes` of host memory as kernels see them: where they are, or a copy in `arena` (of the device); see kernels->upload
 * for how long the host's must stay. */
const void *device_bring(struct device *device, struct arena *arena, const void *host, size_t bytes);
/* An arena in host memory that uploads read without waiting: at most `limit` bytes, all taken at once where they must
 * be pinned. */
void device_host_arena_open(struct device *device, struct arena *arena, size_t limit);

/* One thread of a CPU as a device of its own, so that threads which work on different things may each call products
 * (matmul, linear_*).  Not closed. */
struct device device_thread(const struct device *device, int thread);

/* Make sure each thread's `extra` space holds at least `floats`.  CPU only. */
void device_reserve(struct device *device, size_t floats);

/* A CPU as one thread of it: for work that is shared out above the kernels, which then run in the caller. */
static inline struct device device_of_thread(const struct device *device, int thread)
{
    struct device one = *device;
    one.threads = 1;
    one.scratch += thread;
    one.extra += thread;
    return one;
}

/* What a backend library exports under the name BACKEND_SYMBOL. */
struct backend {
    int version; /* BACKEND_VERSION: program and library must be of one build */
    int (*count)(void);
    int (*open)(struct device *device, int index, const char *precision, struct error *error);
    void (*close)(struct device *device);
    int (*group_id)(struct device *device, unsigned char id[COLLECTIVES_ID], struct error *error);
    int (*connect)(struct device *device, const unsigned char id[COLLECTIVES_ID], int rank, int size,
                   struct error *error);
    int (*choices_load)(struct device *device, const char *path, struct error *error);
    int (*choices_save)(struct device *device, const char *path, struct error *error);
    size_t (*memory_used)(struct device *device);
};
enum { BACKEND_VERSION = 7 };
#define BACKEND_SYMBOL "percept_backend"

#endif
