/* The parameter store: every learned tensor of a model, registered once by name; initialisation, optimizer, checkpoint
 * and tests all walk this list.
 *
 * Values lie in one flat buffer of floats in host memory, in order of registration, and (parameters_place) in the same
 * order on the device: as float, which the optimizer updates, and as the device's `real`, which products read.  On the
 * CPU all three are one.  Each parameter starts at a multiple of SQUARE_BLOCK floats and the gaps hold zeros, so that
 * any cut of the buffer at block boundaries (ZeRO-1) leaves sums per parameter well defined.
 *
 *   values |== a ==|0|== b =====|0|== c ==|0|  total
 */
#ifndef TENSOR_PARAMETERS_H
#define TENSOR_PARAMETERS_H

#include "backend/device.h"
#include "base/error.h"
#include "tensor/tensor.h"

struct parameter {
    struct tensor
        tensor; /* matrix: rows = first dimension, cols = product of the others; a vector or scalar is one row */
    char *name; /* PE's name, "visual.transformer.resblocks.0.ln_1.weight" */
    int ndim;
    int64_t shape[4], offset; /* offset in elements into values, master, compute, gradients */
    float *values;            /* host memory: what initialisation, weights files and checkpoints see */
    struct tensor views[2];   /* parts that ops use instead of the whole, see parameters_view */
    int64_t view_offset[2];
    int view_count;
    bool decay; /* weight decay and LAMB's trust ratio apply: not for vectors and scalars */
    float rate; /* factor of the learning rate, 1 */
};

struct parameters {
    struct parameter **list;
    int64_t count, total;          /* total: elements, gaps included */
    float *values;                 /* host memory */
    const struct kernels *packing; /* of the packed ones, NULL: there are none */
    struct device *device;
    float *master, *gradients; /* on the device; gradients only when training */
    void *compute;
};

/* Register before parameters_allocate.  The tensor stays valid until parameters_free. */
struct tensor *parameters_add(struct parameters *p, const char *name, int ndim, const int64_t *shape);
/* A part of a parameter as a tensor of its own: rows x cols from element `offset` on.  All parts together must cover
 * the parameter, and ops then use only parts (attention pooling splits its packed projection). */
struct tensor *parameters_view(struct parameters *p, struct tensor *whole, int64_t offset, int64_t rows, int64_t cols);
/* Host memory for the values (zeroed). */
void parameters_allocate(struct parameters *p);
/* Before values are set: keep matrices whose names begin with `prefix` only packed, some in fewer bytes, for products
 * of `device`, which must have them and share the host's memory.  For inference; set their values by parameters_set. */
void parameters_pack(struct parameters *p, const char *prefix, enum packing packing, const struct device *device);
/* Rows [first, first + count) of a matrix, in whatever form it is kept. */
void parameters_set(const struct parameters *p, struct parameter *parameter, int64_t first, int64_t count,
                    const float *rows);
/* Memory on the device, and for gradients when `training`; the device must outlive the parameters. */
void parameters_place(struct parameters *p, struct device *device, bool training);
/* Host values -> device, and back.  Needed after the host values changed, and before they are read when the device's
 * did. */
void parameters_push(struct parameters *p);
void parameters_pull(struct parameters *p);
void parameters_free(struct parameters *p);

/* A frozen parameter takes no gradient and is not updated. */
void parameter_freeze(struct parameter *parameter, bool frozen);

struct parameter *parameters_find(const struct parameters *p, const char *name); /* NULL when unknown */
int64_t parameters_elements(const struct parameters *p);                         /* without the gaps */

/* Direct gradients to `buffer` [total] and mark them all untouched. */
void parameters_aim(struct parameters *p, float *buffer);
/* Zero the gradients that no backward pass touched. */
void parameters_settle(struct parameters *p);

#endif
