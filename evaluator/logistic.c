/* The objective, its gradient and about its curvature, slice by slice; products in float32, the rest in double. */
#include "evaluator/logistic.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "dist/share.h"
#include "dist/stopping.h"
#include "evaluator/slices.h"
#include "nn/tally.h"
#include "optim/cholesky.h"
#include "optim/lbfgs.h"

#define NEGLIGIBLE 40 /* e^-40 beside 1 */
#define NOISE 1e-6    /* of the objective: what float32 products may leave in it */
#define FLOOR 1e-9    /* of the curvature's trace: added where there is none */
enum { HISTORY = 10, ADDRESS_BITS = 38 };
enum { SHORTEST_WAIT = 20 }; /* evaluations with one preconditioner at least */

static int64_t workers_of(int64_t samples, const struct world *world)
{
    int64_t slices = slices_of(samples);
    return slices < world->size ? slices : world->size;
}

void logistic_share(int64_t samples, const struct world *world, int64_t *first, int64_t *end)
{
    int64_t slices = slices_of(samples), workers = workers_of(samples, world), rank = world->rank;
    *first = rank < workers ? share_first(samples, slices, share_first(slices, workers, rank)) : samples;
    *end = rank < workers ? share_first(samples, slices, share_first(slices, workers, rank + 1)) : samples;
}

/* c [m, n] = a b, as kernels->matmul. */
static void product(const struct logistic *l, float *c, const float *a, bool a_rows_k, const float *b, bool b_rows_k,
                    int64_t m, int64_t n, int64_t k)
{
    l->device->kernels->matmul(l->device, c, true, n, a, a_rows_k ? m : k, a_rows_k, b, b_rows_k ? n : k, b_rows_k, m,
                               n, k, false);
}

/* --- opening --- */

static void leaf_sum(void *self, int64_t first, int64_t end, double *sums) /* [dim] and how many */
{
    const struct logistic *l = self;
    memset(sums, 0, (size_t)(l->dim + 1) * sizeof *sums);
    for (int64_t i = first; i < end; i++)
        for (int64_t k = 0; k < l->dim; k++) sums[k] += l->rows.rows[i * l->dim + k];
    sums[l->dim] = (double)(end - first);
}

static void subtract_mean(const struct logistic *l, struct labelled_rows *rows)
{
    for (int64_t i = 0; i < rows->count; i++)
        for (int64_t k = 0; k < l->dim; k++) rows->rows[i * l->dim + k] -= l->mean[k];
}

static void centre(struct logistic *l)
{
    double *sums = mem_alloc((size_t)l->dim + 1, sizeof *sums);
    slices_sum(l->slices, l->dim + 1, leaf_sum, l, sums);
    CHECK(sums[l->dim] > 0, "no samples");
    for (int64_t k = 0; k < l->dim; k++) l->mean[k] = (float)(sums[k] / sums[l->dim]);
    subtract_mean(l, &l->rows);
    free(sums);
}

static float *take(struct logistic *l, int64_t count)
{
    return arena_take(&l->memory, (size_t)count + 1, sizeof(float));
}

static void prepare(struct logistic *l, int64_t samples)
{
    int64_t dim = l->dim, classes = l->classes, longest;
    l->slices = arena_take(&l->memory, 1, sizeof *l->slices);
    slices_open(l->slices, &l->workers, l->device->threads, l->rows.samples, l->rows.count, samples);
    centre(l);
    longest = slices_longest(l->slices);
    l->factor = take(l, (dim + 1) * (dim + 1));
    l->unsure = take(l, l->rows.count);
    l->weights = take(l, classes * dim);
    l->gradient = take(l, classes * dim);
    l->directions = take(l, 2 * classes * (dim + 1));
    l->logits = take(l, longest * classes);
    l->scaled = take(l, longest * dim);
    l->losses = arena_take(&l->memory, (size_t)longest + 1, sizeof *l->losses);
}

int logistic_open(struct logistic *l, struct device *device, const struct world *world, struct labelled_rows rows,
                  int64_t samples, int64_t classes, struct error *error)
{
    *l = (struct logistic){.device = device, .world = world, .rows = rows, .classes = classes, .dim = rows.dim};
    size_t count = (size_t)(classes * (rows.dim + 1));
    l->works = world->rank < workers_of(samples, world);
    l->workers = world_split(world, l->works ? 0 : 1);
    arena_open(&l->memory, (size_t)1 << ADDRESS_BITS);
    l->mean = take(l, rows.dim);
    l->active = memset(arena_take(&l->memory, (size_t)classes, sizeof *l->active), 0, (size_t)classes);
    l->parameters = memset(arena_take(&l->memory, count, sizeof(double)), 0, count * sizeof(double));
    if (world_agree(world, stopping_alone("run it again", error), error) < 0) return -1;
    if (l->works) prepare(l, samples);
    return 0;
}

void logistic_close(struct logistic *l)
{
    if (l->slices) slices_close(l->slices);
    world_free(&l->workers);
    arena_close(&l->memory);
    *l = (struct logistic){0};
}

/* --- the objective --- */

static double bias_of(const struct logistic *l, int64_t class)
{
    return l->parameters[class * (l->dim + 1) + l->dim];
}

/* logits [classes] of a row become the gradient of its cross entropy, which is returned.  What the own class lacks to
 * 1 is summed over the others, so that neither loses digits where the fit is good.  *unsure: mean of p (1 - p). */
static double cross_entropy(const struct logistic *l, float *logits, int32_t label, float *unsure)
{
    double most = -INFINITY, others = 0, squares = 0, own = logits[label] + bias_of(l, label);
    for (int64_t c = 0; c < l->classes; c++)
        if (l->active[c]) most = fmax(most, logits[c] + bias_of(l, c));
    for (int64_t c = 0; c < l->classes; c++) {
        double below = logits[c] + bias_of(l, c) - most;
        logits[c] = l->active[c] && c != label && below > -NEGLIGIBLE ? (float)exp(below) : 0;
        others += logits[c];
    }
    double share = exp(own - most), sum = others + share;
    for (int64_t c = 0; c < l->classes; c++) {
        double p = logits[c] / sum;
        squares += p * (1 - p);
        logits[c] = (float)p;
    }
    logits[label] = (float)(-others / sum);
    *unsure = (float)((squares + others / sum * (share / sum)) / (double)l->known);
    return own < most ? most - own + log(sum) : log1p(others);
}

static void leaf_objective(void *self, int64_t first, int64_t end, double *sums) /* [classes, dim + 1] and 1 */
{
    const struct logistic *l = self;
    const float *rows = l->rows.rows + first * l->dim;
    int64_t count = end - first, classes = l->classes, dim = l->dim;
    product(l, l->logits, rows, false, l->weights, false, count, classes, dim);
#pragma omp parallel for num_threads(l->device->threads) schedule(static) if (l->device->threads > 1)
    for (int64_t i = 0; i < count; i++) {
        float *logits = l->logits + i * classes, *unsure = l->unsure + first + i;
        bool fits = !l->held || !l->held[first + i];
        if (!fits) memset(logits, 0, (size_t)classes * sizeof *logits), *unsure = 0;
        l->losses[i] = fits ? cross_entropy(l, logits, l->rows.labels[first + i], unsure) : 0;
    }
    product(l, l->gradient, l->logits, true, rows, true, classes, dim, count);
#pragma omp parallel for num_threads(l->device->threads) schedule(static) if (l->device->threads > 1)
    for (int64_t c = 0; c < classes; c++) {
        double *row = sums + c * (dim + 1);
        for (int64_t k = 0; k < dim; k++) row[k] = l->gradient[c * dim + k];
        row[dim] = 0;
    }
    sums[classes * (dim + 1)] = 0;
    for (int64_t i = 0; i < count; i++) {
        for (int64_t c = 0; c < classes; c++) sums[c * (dim + 1) + dim] += l->logits[i * classes + c];
        sums[classes * (dim + 1)] += l->losses[i];
    }
}

static void narrow(struct logistic *l)
{
    for (int64_t c = 0; c < l->classes; c++)
        for (int64_t k = 0; k < l->dim; k++) l->weights[c * l->dim + k] = (float)l->parameters[c * (l->dim + 1) + k];
}

/* Per sample: the objective / (C n). */
static int evaluate(void *self, const double *x, double *value, double *gradient, struct error *error)
{
    struct logistic *l = self;
    int64_t count = l->classes * (l->dim + 1);
    double squares = 0, *sums = mem_map((size_t)count + 1, sizeof *sums);
    int rc = world_agree(&l->workers, stopping_alone("run it again", error), error);
    memcpy(l->parameters, x, (size_t)count * sizeof *x);
    narrow(l);
    if (rc == 0) slices_sum(l->slices, count + 1, leaf_objective, l, sums);
    for (int64_t i = 0; i < count; i++) {
        double weight = i % (l->dim + 1) < l->dim ? x[i] : 0;
        squares += weight * weight;
        gradient[i] = sums[i] / (double)l->fitted + l->ridge * weight;
    }
    *value = sums[count] / (double)l->fitted + l->ridge / 2 * squares;
    mem_unmap(sums, (size_t)count + 1, sizeof *sums);
    l->since++;
    return rc;
}

/* --- its curvature --- */

static void leaf_curvature(void *self, int64_t first, int64_t end, double *sums) /* [dim + 1, dim + 1], lower half */
{
    const struct logistic *l = self;
    int64_t dim = l->dim, count = end - first;
    double *last = sums + dim * (dim + 1);
    memset(last, 0, (size_t)(dim + 1) * sizeof *last);
    for (int64_t i = 0; i < count; i++) {
        float unsure = l->unsure[first + i], root = sqrtf(unsure);
        const float *row = l->rows.rows + (first + i) * dim;
        for (int64_t k = 0; k < dim; k++) {
            l->scaled[i * dim + k] = root * row[k];
            last[k] += unsure * row[k];
        }
        last[dim] += unsure;
    }
    float *gram = mem_map((size_t)(dim * dim), sizeof *gram);
    product(l, gram, l->scaled, true, l->scaled, true, dim, dim, count);
    for (int64_t k = 0; k < dim; k++) {
        for (int64_t j = 0; j < dim; j++) sums[k * (dim + 1) + j] = gram[k * dim + j];
        sums[k * (dim + 1) + dim] = 0;
    }
    mem_unmap(gram, (size_t)(dim * dim), sizeof *gram);
}

/* sums [n, n] -> the factor.  Where products in float32 left no curvature, or less than none, there is some added. */
static void invert(struct logistic *l, double *sums)
{
    int64_t n = l->dim + 1;
    size_t bytes = (size_t)(n * n) * sizeof *sums;
    double trace = 0, *a = mem_map(bytes, 1), *out = mem_map(bytes, 1);
    for (int64_t k = 0; k < n; k++) trace += sums[k * n + k] / (double)l->fitted + l->ridge;
    for (double floor = FLOOR * trace;; floor *= 10) {
        for (int64_t i = 0; i < n * n; i++) a[i] = sums[i] / (double)l->fitted;
        for (int64_t k = 0; k < n; k++) a[k * n + k] += floor + (k < l->dim ? l->ridge : 0);
        if (cholesky_inverse(out, a, n, l->device->threads) == 0) break;
        CHECK(floor < trace, "the curvature's trace is %g", trace);
    }
    for (int64_t i = 0; i < n * n; i++) l->factor[i] = (float)out[i];
    mem_unmap(a, bytes, 1);
    mem_unmap(out, bytes, 1);
}

/* One rank inverts: the others would find the same. */
static void curve(struct logistic *l)
{
    int64_t n = l->dim + 1;
    double *sums = mem_map((size_t)(n * n), sizeof *sums);
    slices_sum(l->slices, n * n, leaf_curvature, l, sums);
    if (!l->workers.rank) invert(l, sums);
    world_broadcast(&l->workers, l->factor, (size_t)(n * n) * sizeof *l->factor, 0);
    mem_unmap(sums, (size_t)(n * n), sizeof *sums);
    l->since = 0;
}

static void precondition(void *self, double *d)
{
    struct logistic *l = self;
    int64_t n = l->dim + 1, count = l->classes * n;
    float *wide = l->directions, *half = wide + count;
    if (l->since >= l->wait) curve(l);
    for (int64_t i = 0; i < count; i++) wide[i] = (float)d[i];
    product(l, half, wide, false, l->factor, false, l->classes, n, n);
    product(l, wide, half, false, l->factor, true, l->classes, n, n);
    for (int64_t i = 0; i < count; i++) d[i] = wide[i];
}

/* --- a fit --- */

/* Which classes the fit has samples of. */
static void take_stock(struct logistic *l)
{
    int64_t *counts = mem_zalloc((size_t)l->classes, sizeof *counts);
    for (int64_t i = 0; i < l->rows.count; i++) counts[l->rows.labels[i]] += !l->held || !l->held[i];
    l->fitted = l->known = 0;
    for (int64_t c = 0; c < l->classes; c++) {
        int64_t count = world_sum(&l->workers, counts[c]);
        l->active[c] = count > 0;
        l->fitted += count;
        l->known += count > 0;
    }
    free(counts);
}

static int work(struct logistic *l, double tolerance, int64_t iterations, struct logistic_fit *fit, struct error *error)
{
    struct lbfgs_function function = {evaluate, precondition, l};
    struct lbfgs_settings settings = {HISTORY, iterations, tolerance, NOISE};
    struct lbfgs_result found;
    int64_t dim = l->dim, count = l->classes * (dim + 1);
    take_stock(l);
    if (l->known < 2)
        return error_set(error, ERROR_FAILED,
                         "%ld samples to learn from, of %ld classes: there is nothing to tell apart", (long)l->fitted,
                         (long)l->known);
    double *x = mem_map((size_t)count, sizeof *x);
    l->ridge = (l->known == 2 ? 2 : 1) / (l->c * (double)l->fitted);
    /* The curvature costs n dim^2 multiply-adds in float and 2/3 dim^3, ten times slower, in double; an evaluation
     * 2 n dim classes. */
    l->wait = dim / (2 * l->known) + 3 * dim * dim / (l->fitted * l->known);
    if (l->wait < SHORTEST_WAIT) l->wait = SHORTEST_WAIT;
    l->since = l->wait;
    for (int64_t i = 0; i < count; i++) x[i] = l->active[i / (dim + 1)] ? l->parameters[i] : 0;
    int rc = lbfgs_minimize(x, count, &function, &settings, &found, error);
    memcpy(l->parameters, x, (size_t)count * sizeof *x);
    narrow(l);
    mem_unmap(x, (size_t)count, sizeof *x);
    *fit = (struct logistic_fit){.c = l->c,
                                 .loss = found.value * l->c * (double)l->fitted,
                                 .samples = l->fitted,
                                 .classes = l->known,
                                 .iterations = found.iterations,
                                 .evaluations = found.evaluations,
                                 .converged = found.converged};
    return rc;
}

int logistic_fit(struct logistic *l, double c, const bool *held, double tolerance, int64_t iterations,
                 struct logistic_fit *fit, struct error *error)
{
    l->c = c;
    l->held = held;
    int rc = l->works ? work(l, tolerance, iterations, fit, error) : 0;
    if (world_agree(l->world, rc, error) < 0) return -1;
    world_broadcast(l->world, fit, sizeof *fit, 0);
    return 0;
}

/* --- what it says --- */

static int64_t hits_of(const struct logistic *l, int64_t first, int64_t end)
{
    int64_t hits = 0;
    product(l, l->logits, l->rows.rows + first * l->dim, false, l->weights, false, end - first, l->classes, l->dim);
    for (int64_t i = first; i < end; i++) {
        const float *logits = l->logits + (i - first) * l->classes;
        int64_t best = -1;
        for (int64_t c = 0; c < l->classes; c++)
            if (l->active[c] && (best < 0 || logits[c] + bias_of(l, c) > logits[best] + bias_of(l, best))) best = c;
        hits += l->held && l->held[i] && best == l->rows.labels[i];
    }
    return hits;
}

int64_t logistic_hits(struct logistic *l)
{
    int64_t hits = 0;
    for (int64_t i = 0; l->works && i < l->slices->end - l->slices->first; i++)
        hits += hits_of(l, l->slices->starts[i], l->slices->starts[i + 1]);
    return world_sum(l->world, hits);
}

void logistic_weights(struct logistic *l, float *weights, double *biases)
{
    size_t count = (size_t)(l->classes * l->dim);
    if (l->works) memcpy(weights, l->weights, count * sizeof *weights);
    for (int64_t c = 0; c < l->classes; c++) biases[c] = l->active[c] ? bias_of(l, c) : -INFINITY;
    world_broadcast(l->world, weights, count * sizeof *weights, 0);
    world_broadcast(l->world, biases, (size_t)l->classes * sizeof *biases, 0);
    world_broadcast(l->world, l->mean, (size_t)l->dim * sizeof *l->mean, 0);
}

/* How many classes are ahead of `label`; of equal ones the lower is. */
static int64_t rank_of(const float *logits, const double *biases, int64_t classes, int32_t label)
{
    double own = logits[label] + biases[label];
    int64_t rank = 0;
    if (!(own > -INFINITY)) return NEVER;
    for (int64_t c = 0; c < classes; c++) {
        double other = logits[c] + biases[c];
        rank += other > own || (other == own && c < label);
    }
    return rank;
}

struct classification_scores logistic_score(struct logistic *l, struct labelled_rows rows)
{
    enum { BLOCK = 1024 };
    int64_t dim = l->dim, classes = l->classes;
    float *weights = mem_map((size_t)(classes * dim), sizeof *weights);
    float *logits = mem_map((size_t)(BLOCK * classes), sizeof *logits);
    double *biases = mem_alloc((size_t)classes, sizeof *biases);
    struct tally tally;
    tally_open(&tally, classes);
    logistic_weights(l, weights, biases);
    subtract_mean(l, &rows);
    for (int64_t i = 0; i < rows.count; i += BLOCK) {
        int64_t count = rows.count - i < BLOCK ? rows.count - i : BLOCK;
        product(l, logits, rows.rows + i * dim, false, weights, false, count, classes, dim);
        for (int64_t r = 0; r < count; r++) {
            int32_t label = rows.labels[i + r];
            tally_add(&tally, label, rank_of(logits + r * classes, biases, classes, label));
        }
    }
    struct classification_scores scores = tally_scores(&tally, l->world);
    tally_close(&tally);
    mem_unmap(weights, (size_t)(classes * dim), sizeof *weights);
    mem_unmap(logits, (size_t)(BLOCK * classes), sizeof *logits);
    free(biases);
    return scores;
}
