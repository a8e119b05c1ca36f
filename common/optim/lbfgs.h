/* Minimising a smooth function of many variables: limited-memory BFGS (Nocedal & Wright, Numerical Optimization, 7.4)
 * with steps that meet the strong Wolfe conditions (3.5, 3.6).
 *
 *   d = -H g,  H: two loops over the last `history` steps around H0;   x += a d,  a = 1 where it will do
 *
 * Where the value has converged to its own rounding error the conditions can only be judged by slopes; then a step may
 * raise it by `noise` of it (Hager & Zhang 2005).  Everything is double and in a fixed order: with a function whose
 * bits are the same on all ranks, so is the way. */
#ifndef OPTIM_LBFGS_H
#define OPTIM_LBFGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct lbfgs_function {
    /* gradient [n] and *value at x [n]; -1 ends the search. */
    int (*evaluate)(void *self, const double *x, double *value, double *gradient, struct error *error);
    /* d [n] = H0 d: about the inverse of the curvature, up to a factor, symmetric and positive; it may change while x,
     * which was evaluated last, moves on.  NULL: d as it is. */
    void (*precondition)(void *self, double *d);
    void *self;
};

struct lbfgs_settings {
    int history;
    int64_t iterations; /* at most */
    double tolerance;   /* done when the step at hand promises less than this part of the value, twice in a row */
    double noise;       /* part of the value that may be rounding error */
};

struct lbfgs_result {
    double value;
    int64_t iterations, evaluations;
    bool converged;
};

/* x [n]: where to begin -> the best found. */
int lbfgs_minimize(double *x, int64_t n, const struct lbfgs_function *function, const struct lbfgs_settings *settings,
                   struct lbfgs_result *result, struct error *error);

#endif
