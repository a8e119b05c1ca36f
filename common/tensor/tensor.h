/* struct tensor: a float32 matrix [rows, cols] on the device, row-major, and the place of its gradient.
 *
 * Batches and tokens are flattened into rows; a vector is one row.  Tensors do not own memory: data belongs to an arena of
 * the tape or to a parameter store, and may be NULL while a segment has forgotten it. */
#ifndef TENSOR_TENSOR_H
#define TENSOR_TENSOR_H

#include <stdbool.h>
#include <stdint.h>

struct tensor {
    int64_t rows, cols;
    float *data;
    float *grad;       /* NULL until the backward pass reaches it; of parameters: always there when training */
    bool needs_grad;
    bool touched;      /* grad holds a value (add to it), not yet (overwrite it) */
    bool parameter;
    int segment;       /* of the tape, -1 outside */
    int slot;          /* of the tape's pool of gradients that cross segments, -1 when grad is elsewhere */
};

static inline int64_t tensor_count(const struct tensor *t) { return t->rows * t->cols; }

#endif
