/* No cuDNN here: attention goes through the plain kernels. */
#include "backend/cuda/attention.h"

bool cuda_attention_forward(struct device *, const struct attention *)
{
    return false;
}
bool cuda_attention_backward(struct device *, const struct attention *)
{
    return false;
}
void cuda_attention_close(struct device *) {}
