/* Multinomial logistic regression as scikit-learn's LogisticRegression(C) defines it:
 *
 *   minimise  C * sum of cross entropy + penalty |W|^2 / 2,   logits = W x + b
 *
 * over the classes that have samples; b is not penalised.  penalty is 1, and 2 of two classes, where scikit-learn fits
 * the difference of the two logits: the same optimum.  Rows are float32, products of them too; parameters and sums over
 * samples are double, in slices fixed by the number of samples, added in the tree of dist/tree.h: the same bits on any
 * number of ranks and threads.
 *
 * L-BFGS needs few steps where curvatures are alike.  So features are centred (b takes the means back), and steps are
 * preconditioned by the inverse of
 *
 *   mean over samples of u (x, 1)(x, 1)^T + penalty / (C n),   u = mean over classes of p (1 - p)
 *
 * which is made anew as the probabilities p change, as often as it is cheap beside the steps.
 *
 *   logistic_share -> rows of this rank's samples -> logistic_open -> fits -> logistic_score -> logistic_close */
#ifndef EVALUATOR_LOGISTIC_H
#define EVALUATOR_LOGISTIC_H

#include <stdbool.h>

#include "backend/device.h"
#include "dist/world.h"
#include "nn/labelled.h"
#include "nn/score.h"

struct slices; /* sums over samples */

struct logistic {
    struct device *device; /* a CPU */
    const struct world *world;
    struct world workers; /* the ranks that have samples */
    bool works;           /* this one does */
    struct labelled_rows rows;
    int64_t classes, dim;
    const bool *held; /* [rows.count] left out of the fit; NULL: none */
    struct slices *slices;
    struct arena memory; /* all that follows */
    float *mean;         /* [dim] as subtracted from the rows */
    double *parameters;  /* [classes, dim + 1] weights and bias of the last fit */
    /* of the fit at hand */
    bool *active;          /* [classes] */
    double c, ridge;       /* ridge: penalty / (C n) */
    int64_t fitted, known; /* samples n, classes that are active */
    int64_t wait, since;   /* evaluations between two preconditioners; since the last */
    float *factor;         /* [dim + 1, dim + 1] of the preconditioner, factor^T factor */
    float *unsure;         /* [rows.count] u at the point evaluated last */
    float *weights, *logits, *scaled,
        *gradient;     /* [classes, dim]; [slice's rows, classes], [.., dim]; [classes, dim] */
    double *losses;    /* [slice's rows] */
    float *directions; /* [2, classes, dim + 1] */
};

struct logistic_fit {
    double c, loss; /* the objective as written above */
    int64_t samples, classes, iterations, evaluations;
    bool converged;
};

/* The samples [*first, *end) that this rank must hold, of `samples` in all. */
void logistic_share(int64_t samples, const struct world *world, int64_t *first, int64_t *end);

/* (all) rows: the labelled ones of this rank's share, which stay the caller's and are changed in place.  classes:
 * labels are below.  -1 when a signal ends it, so below. */
int logistic_open(struct logistic *l, struct device *device, const struct world *world, struct labelled_rows rows,
                  int64_t samples, int64_t classes, struct error *error);
void logistic_close(struct logistic *l);

/* (all) Fit to the rows that are not held (NULL: to all), beginning with l->parameters.  tolerance, iterations: as
 * optim/lbfgs.h.  Less than two classes are an error. */
int logistic_fit(struct logistic *l, double c, const bool *held, double tolerance, int64_t iterations,
                 struct logistic_fit *fit, struct error *error);
/* (all) How many of the held rows the last fit names the class of. */
int64_t logistic_hits(struct logistic *l);

/* (all) The last fit, on all ranks: logits = weights [classes, dim] (x - l->mean) + biases [classes]; the bias of a
 * class that it has no samples of is -infinity. */
void logistic_weights(struct logistic *l, float *weights, double *biases);
/* (all) The last fit on other rows of this rank, which are changed in place.  Of equal logits the lower class is ahead;
 * a class that it has no samples of is no answer. */
struct classification_scores logistic_score(struct logistic *l, struct labelled_rows rows);

#endif
