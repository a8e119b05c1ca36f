/* Initial values of parameters.  A draw depends on (seed, parameter name, element) alone: never on the order of
 * registration or on other models. */
#ifndef NN_INIT_H
#define NN_INIT_H

#include "tensor/parameters.h"

void init_normal(struct parameter *parameter, uint64_t seed, double deviation);
void init_uniform(struct parameter *parameter, uint64_t seed, double bound);

/* What PyTorch's modules do, by the kind of name: norms 1 and 0; packed in_proj Xavier uniform with bias 0; out_proj
 * bias 0; other weights Kaiming uniform(a = sqrt 5), so U(+-1/sqrt(fan in)), and their biases the same bound. */
void init_by_name(struct parameter *parameter, const struct parameters *all, uint64_t seed);

#endif
