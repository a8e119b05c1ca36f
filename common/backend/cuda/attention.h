/* cuDNN's fused attention. */
#ifndef BACKEND_CUDA_ATTENTION_H
#define BACKEND_CUDA_ATTENTION_H

#include "backend/cuda/cuda.h"

/* True when cuDNN did it; false, having done nothing, when it does not take this shape.  bfloat16 only. */
bool cuda_attention_forward(struct device *d, const struct attention *a);
bool cuda_attention_backward(struct device *d, const struct attention *a);
void cuda_attention_close(struct device *d);

#endif
