/* A device: a kernel table, the threads it uses and their scratch memory.  One per process. */
#ifndef BACKEND_DEVICE_H
#define BACKEND_DEVICE_H

#include "backend/kernels.h"
#include "base/error.h"

struct device {
    const struct kernels *kernels;
    int threads;
    float **scratch; /* [threads] packing space of kernels->scratch_floats() floats */
    float **extra;   /* [threads] growable work space, see device_reserve */
    size_t extra_floats;
};

/* Open "cpu" with `threads` threads (0: as many as this process may use), at the best instruction level of this machine.
 * `level` forces a lower one ("x86-64-v3", "portable"); NULL picks. */
int device_open(struct device *device, const char *name, const char *level, int threads, struct error *error);
void device_close(struct device *device);

/* Make sure each thread's `extra` space holds at least `floats`. */
void device_reserve(struct device *device, size_t floats);

#endif
