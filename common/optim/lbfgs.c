/* Two loops for the direction, bracketing and zoom for the step. */
#include "optim/lbfgs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "optim/dot.h"

#define ARMIJO 1e-4 /* part of the decrease that the slope promises */
#define FLAT 0.9    /* part of the slope that may be left */
enum { TRIES = 40 };

/* y += a x */
static void add(double *y, double a, const double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] += a * x[i];
}

/* --- the steps remembered --- */

struct memory {
    int64_t n;
    int most, count, next; /* next: where the next pair goes, in a ring */
    double *steps, *turns; /* [most, n] of x, and of the gradient */
    double *rho, *alpha;   /* [most] 1 / (step . turn) */
};

static void remember(struct memory *m, const double *x, const double *new_x, const double *g, const double *new_g)
{
    double *step = m->steps + m->next * m->n, *turn = m->turns + m->next * m->n;
    for (int64_t i = 0; i < m->n; i++) {
        step[i] = new_x[i] - x[i];
        turn[i] = new_g[i] - g[i];
    }
    double product = dot(step, turn, m->n);
    if (!(product > 0)) return; /* a step that found no curvature */
    m->rho[m->next] = 1 / product;
    m->next = (m->next + 1) % m->most;
    if (m->count < m->most) m->count++;
}

static void precondition(const struct lbfgs_function *f, double *d)
{
    if (f->precondition) f->precondition(f->self, d);
}

/* Of H0 times a factor such that the last step is what the last turn asks for. */
static double scale_of(const struct memory *m, const struct lbfgs_function *f, double *scratch)
{
    int last = (m->next - 1 + m->most) % m->most;
    const double *turn = m->turns + last * m->n;
    memcpy(scratch, turn, (size_t)m->n * sizeof *scratch);
    precondition(f, scratch);
    return 1 / (m->rho[last] * dot(turn, scratch, m->n));
}

/* d = -H g */
static void direct(struct memory *m, const struct lbfgs_function *f, double *d, const double *g, double *scratch)
{
    int64_t n = m->n;
    for (int64_t i = 0; i < n; i++) d[i] = -g[i];
    for (int k = 1; k <= m->count; k++) {
        int at = (m->next - k + m->most) % m->most;
        m->alpha[at] = m->rho[at] * dot(m->steps + at * n, d, n);
        add(d, -m->alpha[at], m->turns + at * n, n);
    }
    precondition(f, d);
    double scale = m->count ? scale_of(m, f, scratch) : 1;
    for (int64_t i = 0; i < n; i++) d[i] *= scale;
    for (int k = m->count; k >= 1; k--) {
        int at = (m->next - k + m->most) % m->most;
        add(d, m->alpha[at] - m->rho[at] * dot(m->turns + at * n, d, n), m->steps + at * n, n);
    }
}

/* --- the step --- */

struct point {
    double step, value, slope;
};

struct line {
    const struct lbfgs_function *f;
    int64_t n, evaluations;
    const double *x, *d;
    double *at, *gradient; /* of the point tried last */
    struct point start, last;
    double slack; /* what a value may be off */
};

static int try(struct line *l, double step, struct error *error)
{
    for (int64_t i = 0; i < l->n; i++) l->at[i] = l->x[i] + step * l->d[i];
    l->evaluations++;
    l->last.step = step;
    if (l->f->evaluate(l->f->self, l->at, &l->last.value, l->gradient, error) < 0) return -1;
    l->last.slope = dot(l->gradient, l->d, l->n);
    return 0;
}

static bool low_enough(const struct line *l, const struct point *p)
{
    if (p->value <= l->start.value + ARMIJO * p->step * l->start.slope) return true;
    return p->value <= l->start.value + l->slack && p->slope <= (2 * ARMIJO - 1) * l->start.slope;
}

static bool flat_enough(const struct line *l, const struct point *p)
{
    return fabs(p->slope) <= -FLAT * l->start.slope;
}

/* Between low, the best that is low enough, and high a step will do: where the slope is nought, as far as the two tell.
 * Returns 1 when it was tried last, 0: there is none but low. */
static int zoom(struct line *l, struct point low, struct point high, struct error *error)
{
    for (int i = 0; i < TRIES; i++) {
        double part = low.slope * high.slope < 0 ? low.slope / (low.slope - high.slope) : .5;
        part = fmin(fmax(part, .05), .95);
        if (try(l, low.step + part * (high.step - low.step), error) < 0) return -1;
        struct point p = l->last;
        if (!low_enough(l, &p) || p.value > low.value + l->slack) {
            high = p;
            continue;
        }
        if (flat_enough(l, &p)) return 1;
        if (p.slope * (high.step - low.step) >= 0) high = low;
        low = p;
    }
    if (!(low.step > 0)) return 0;
    return try(l, low.step, error) < 0 ? -1 : 1;
}

/* A step along d: 1 when one was found, and tried last; 0 none, -1 with `error`. */
static int line_search(struct line *l, struct error *error)
{
    struct point low = l->start;
    double step = 1;
    for (int i = 0; i < TRIES; i++, step *= 4) {
        if (try(l, step, error) < 0) return -1;
        if (!low_enough(l, &l->last) || l->last.value > low.value + l->slack) return zoom(l, low, l->last, error);
        if (flat_enough(l, &l->last)) return 1;
        if (l->last.slope >= 0) return zoom(l, l->last, low, error);
        low = l->last;
    }
    return 0;
}

/* --- the whole --- */

static void swap(double **a, double **b)
{
    double *t = *a;
    *a = *b;
    *b = t;
}

int lbfgs_minimize(double *x, int64_t n, const struct lbfgs_function *f, const struct lbfgs_settings *c,
                   struct lbfgs_result *result, struct error *error)
{
    size_t room = (size_t)(4 + 2 * c->history) * (size_t)n, history = (size_t)c->history;
    double *block = mem_map(room, sizeof *block), *here = block, *there = here + n, *g = there + n, *new_g = g + n;
    double *d = mem_alloc((size_t)n, sizeof *d), *rho = mem_zalloc(2 * history, sizeof *rho);
    struct memory m = {.n = n, .most = c->history, .steps = new_g + n, .rho = rho, .alpha = rho + history};
    struct line l = {.f = f, .n = n, .d = d};
    double value = 0;
    int small = 0; /* steps in a row that promised little */
    m.turns = m.steps + c->history * n;
    *result = (struct lbfgs_result){0};
    memcpy(here, x, (size_t)n * sizeof *here);
    int rc = f->evaluate(f->self, here, &value, g, error);
    while (rc == 0 && result->iterations < c->iterations) {
        direct(&m, f, d, g, there);
        double slope = dot(g, d, n);
        small = -slope / 2 <= c->tolerance * fabs(value) ? small + 1 : 0;
        if ((result->converged = small == 2 || !(slope < 0))) break;
        l.x = here, l.at = there, l.gradient = new_g;
        l.start = (struct point){0, value, slope};
        l.slack = c->noise * fabs(value);
        rc = line_search(&l, error);
        if (rc < 0 || (rc == 0 && !m.count)) break;
        if (rc == 0) { /* the memory misleads: without it */
            m.count = 0;
            continue;
        }
        rc = 0;
        value = l.last.value;
        remember(&m, here, there, g, new_g);
        swap(&here, &there);
        swap(&g, &new_g);
        result->iterations++;
    }
    memcpy(x, here, (size_t)n * sizeof *x);
    result->value = value;
    result->evaluations = l.evaluations + 1;
    mem_unmap(block, room, sizeof *block);
    free(d);
    free(rho);
    return rc < 0 ? -1 : 0;
}
