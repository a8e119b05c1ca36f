/* The dot product in double, in an order that depends on the length alone. */
#ifndef OPTIM_DOT_H
#define OPTIM_DOT_H

#include <stdint.h>

static inline double dot(const double *a, const double *b, int64_t n)
{
    double part[8] = {0};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++) part[k] += a[i + k] * b[i + k];
    for (; i < n; i++) part[0] += a[i] * b[i];
    return ((part[0] + part[4]) + (part[1] + part[5])) + ((part[2] + part[6]) + (part[3] + part[7]));
}

#endif
