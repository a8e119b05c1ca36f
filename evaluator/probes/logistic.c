/* pe-evaluator probe --kind logistic: evaluator/logistic.h over layers, C chosen on a part of the training data.
 *
 *   a tenth of training is held out (a permutation by --seed) -> a fit to the rest for each C, ascending, each from the
 *   one before -> the C with the best accuracy on what was held out, of equal ones the lowest -> a fit to all of it */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "evaluator/classification.h"
#include "evaluator/logistic.h"
#include "evaluator/probe_data.h"
#include "evaluator/task.h"
#include "log/log.h"
#include "nn/knn.h"

enum { C_MOST = 256 };
#define ROUGH 1e-5 /* tolerance while C is chosen */

struct self {
    struct probe_settings settings;
    char *c_list; /* options */
    double tolerance;
    int64_t seed, iterations;
    bool normalize;
    double c[C_MOST];
    int c_count;
    struct probe_data data;
};

#define AT(field) offsetof(struct self, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_TABLE, .offset = AT(settings), .table = probe_options},
    {OPTION_STRING, "c", AT(c_list), "decades", 0, 0, NULL,
     "inverse strengths of the penalty, like 0.1,1,10, of which the best on a held-out tenth of training is taken; a "
     "single one is taken as it is; decades: the 12 from 1e-6 to 1e5; dinov2: its 45 in that range"},
    {OPTION_BOOL, "normalize", AT(normalize), "false", 0, 0, NULL, "features of unit length; DINOv2 takes them as they are"},
    {OPTION_REAL, "tolerance", AT(tolerance), "1e-8", 1e-12, 0.1, NULL, "the last fit ends when a step promises less than this part of its loss"},
    {OPTION_INT, "iterations", AT(iterations), "1000", 1, 1e6, NULL, "steps of a fit at most"},
    {OPTION_INT, "seed", AT(seed), "0", 0, 1e15, NULL, "of the permutation that says what is held out"},
    {0}};
/* clang-format on */

/* Powers of ten from 1e-6 to 1e5, `count` of them. */
static void powers(struct self *x, int count)
{
    x->c_count = count;
    for (int i = 0; i < count; i++) x->c[i] = pow(10, -6 + 11. * i / (count - 1));
}

static int read_c(struct self *x, struct error *error)
{
    const char *text = x->c_list;
    if (!strcmp(text, "decades")) return powers(x, 12), 0;
    if (!strcmp(text, "dinov2")) return powers(x, 45), 0;
    double last = 0;
    for (char *rest; x->c_count < C_MOST; text = rest + 1) {
        errno = 0;
        double c = x->c[x->c_count++] = strtod(text, &rest);
        if (rest == text || errno || !isfinite(c) || !(c > last) || (*rest && *rest != ',')) break;
        last = c;
        if (!*rest) return 0;
    }
    return error_set(error, ERROR_USAGE, "--c %s: give decades, dinov2, or numbers above 0, ascending, like 0.1,1,10",
                     x->c_list);
}

static enum session_use use(const void *self)
{
    (void)self;
    return USE_PICTURES;
}

/* --- choosing C --- */

struct choice {
    bool *held;      /* [rows] of this rank */
    int64_t count;   /* held, of all ranks */
    double accuracy; /* on them, of the C that was chosen */
};

static void hold_out(struct choice *h, const struct self *x, const struct world *world,
                     const struct labelled_rows *rows, int64_t samples)
{
    int64_t count = 0;
    h->held = mem_alloc((size_t)rows->count + 1, sizeof *h->held);
    for (int64_t i = 0; i < rows->count; i++) {
        uint64_t place = rng_permute((uint64_t)x->seed, 0, (uint64_t)rows->samples[i], (uint64_t)samples);
        h->held[i] = (int64_t)place < samples / 10;
        count += h->held[i];
    }
    h->count = world_sum(world, count);
}

static int fit_with(const struct self *x, struct logistic *l, double c, const bool *held, struct logistic_fit *fit,
                    struct error *error)
{
    double tolerance = held && x->tolerance < ROUGH ? ROUGH : x->tolerance;
    if (logistic_fit(l, c, held, tolerance, x->iterations, fit, error) < 0) return -1;
    if (!fit->converged && !l->world->rank)
        log_warn("the fit with C %g did not converge in %ld steps and counts as it is: --iterations", c,
                 (long)fit->iterations);
    return 0;
}

/* *c: the best of the list, whose fit l holds afterwards. */
static int choose(const struct self *x, struct logistic *l, struct choice *h, double *c, struct error *error)
{
    size_t count = (size_t)(l->classes * (l->dim + 1));
    double *best = mem_alloc(count, sizeof *best);
    int64_t most = -1;
    int rc = h->count ? 0
                      : error_set(error, ERROR_FAILED,
                                  "--train-data is too small to hold a tenth of it out; give a single --c");
    for (int i = 0; i < x->c_count && rc == 0; i++) {
        struct logistic_fit fit;
        rc = fit_with(x, l, x->c[i], h->held, &fit, error);
        int64_t hits = rc == 0 ? logistic_hits(l) : -1;
        if (hits <= most) continue;
        most = hits;
        *c = x->c[i];
        h->accuracy = (double)hits / (double)h->count;
        memcpy(best, l->parameters, count * sizeof *best);
    }
    if (rc == 0) memcpy(l->parameters, best, count * sizeof *best);
    free(best);
    return rc;
}

/* --- the probe --- */

static int measure(void *self, struct session *s, int64_t train_samples, int64_t classes, struct labelled_rows train,
                   struct labelled_rows test, json_t *figures, struct error *error)
{
    const struct self *x = self;
    struct logistic l;
    struct logistic_fit fit;
    struct choice choice = {0};
    double c = x->c[0];
    if (x->normalize) { /* rows of the pass have a direction (serve/features.h) */
        knn_unit(train.rows, train.count, train.dim);
        knn_unit(test.rows, test.count, test.dim);
    }
    int rc = logistic_open(&l, &s->host, s->world, train, train_samples, classes, error);
    if (rc == 0 && x->c_count > 1) {
        hold_out(&choice, x, s->world, &train, train_samples);
        rc = choose(x, &l, &choice, &c, error);
    }
    if (rc == 0) rc = fit_with(x, &l, c, NULL, &fit, error);
    if (rc == 0) {
        struct classification_scores scores = logistic_score(&l, test);
        classification_figures(figures, &scores);
        json_object_set_new(figures, "c", json_real(c));
        if (x->c_count > 1) json_object_set_new(figures, "held_out_acc1", json_real(choice.accuracy));
        json_object_set_new(figures, "loss", json_real(fit.loss));
        json_object_set_new(figures, "iterations", json_integer(fit.iterations));
        if (!fit.converged) json_object_set_new(figures, "converged", json_false());
    }
    logistic_close(&l);
    free(choice.held);
    return rc;
}

static int open_logistic(void *self, struct session *s, struct error *error)
{
    struct self *x = self;
    if (read_c(x, error) < 0) return -1;
    return probe_open(&x->data, s, &x->settings, (struct probe_kind){"logistic_probe", true, measure, x}, error);
}

static int report(void *self, struct session *s, struct error *error)
{
    struct self *x = self;
    return probe_report(&x->data, s, error);
}

static void close_logistic(void *self)
{
    struct self *x = self;
    probe_close(&x->data);
}

const struct task task_logistic = {
    .name = "logistic",
    .summary = "logistic regression, its penalty chosen on held-out training data",
    .options = options,
    .bytes = sizeof(struct self),
    .use = use,
    .open = open_logistic,
    .report = report,
    .close = close_logistic,
    .layered = true,
};
