/* struct tensor: a matrix [rows, cols] on the device, row-major, and the place of its gradient.
 *
 * Elements are of the device's type `real` (backend/kernels.h), or float when `wide`.  A gradient is of the type of its
 * tensor; that of a parameter is always float.
 *
 * Batches and tokens are flattened into rows; a vector is one row.  Tensors do not own memory: data belongs to an arena
 * of the tape or to a parameter store, and may be NULL while a segment has forgotten it. */
#ifndef TENSOR_TENSOR_H
#define TENSOR_TENSOR_H

#include "backend/kernels.h"

struct tensor {
    int64_t rows, cols;
    void *data;
    float *master; /* of parameters: the same values as float; is data when real is float */
    enum packing packing;
    const void *
        /* of parameters: their only values, in that form (kernels->linear_packed); NULL where data holds them */
        packed;
    void *grad; /* NULL until the backward pass reaches it; of parameters: always there when training */
    bool wide;
    bool needs_grad;
    int uses;     /* of parameters: recorded calls that read it and were not walked back yet */
    bool touched; /* grad holds a value (add to it), not yet (overwrite it) */
    bool parameter;
    const void *notes; /* attributes of the op that made it, NULL where none did */
    int segment;       /* of the tape, -1 outside */
    int slot;          /* of the tape's pool of gradients that cross segments, -1 when grad is elsewhere */
};

static inline int64_t tensor_count(const struct tensor *t)
{
    return t->rows * t->cols;
}

#endif
