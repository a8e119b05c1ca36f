/* Features with labels, of which each rank holds some: what a probe learns from and is tested on. */
#ifndef NN_LABELLED_H
#define NN_LABELLED_H

#include <stdint.h>

struct labelled_rows {
    float *rows;            /* [count, dim] finite, none of them all zero */
    const int64_t *samples; /* [count] ascending; over all ranks each number is there once */
    const int32_t *labels;  /* [count] from 0 */
    int64_t count, dim;
};

#endif
