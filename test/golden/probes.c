/* Probes against scikit-learn (test/golden/probes/, made by scripts/reference/probes.py): votes of nearest neighbours,
 * loss and logits of logistic regression. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evaluator/logistic.h"
#include "nn/knn.h"
#include "test/harness.h"

static struct world world = {.size = 1, .node_ranks = 1};

struct golden {
    struct safetensors vectors;
    struct arena arena;
    struct device device;
};

static bool golden_open(struct golden *g)
{
    struct error error = {0};
    *g = (struct golden){0};
    arena_open(&g->arena, 1 << 26);
    int rc = safetensors_open(&g->vectors, "test/golden/probes/vectors.safetensors", &error);
    if (rc == 0) rc = device_open(&g->device, "cpu", "fp32", NULL, 2, 0, &error);
    EXPECT(rc == 0, "%s", error.text);
    return rc == 0;
}

static void golden_close(struct golden *g)
{
    device_close(&g->device);
    safetensors_close(&g->vectors);
    arena_close(&g->arena);
}

static float *vector(struct golden *g, const char *name, const char *what, int64_t *count)
{
    char key[64];
    snprintf(key, sizeof key, "%s.%s", name, what);
    float *out = test_vector(&g->arena, &g->vectors, key, count);
    EXPECT(out, "%s is missing", key);
    return out;
}

/* Rows with labels (float, or NULL: 0). */
static struct labelled_rows labelled(struct golden *g, float *rows, const float *labels, int64_t count, int64_t dim)
{
    int64_t *samples = arena_take(&g->arena, (size_t)count, sizeof *samples);
    int32_t *numbers = arena_take(&g->arena, (size_t)count, sizeof *numbers);
    for (int64_t i = 0; i < count; i++) {
        samples[i] = i;
        numbers[i] = labels ? (int32_t)labels[i] : 0;
    }
    return (struct labelled_rows){rows, samples, numbers, count, dim};
}

/* --- neighbours --- */

enum { MOST = 50, CLASSES = 7 };

struct votes {
    int64_t k;
    float *out; /* [queries, CLASSES] */
};

static void vote(void *self, int64_t query, const struct neighbour *nearest)
{
    struct votes *v = self;
    double weights[MOST], votes[CLASSES];
    knn_weigh(weights, nearest, MOST, .07);
    knn_vote(votes, CLASSES, nearest, weights, v->k);
    for (int c = 0; c < CLASSES; c++) v->out[query * CLASSES + c] = (float)votes[c];
}

static void neighbours(void)
{
    struct golden g;
    struct error error = {0};
    int64_t items, queries, n;
    if (!golden_open(&g)) return;
    const float *labels = vector(&g, "knn", "labels", &items);
    float *train = vector(&g, "knn", "train", &n), *test = vector(&g, "knn", "test", &queries);
    int64_t dim = n / items;
    queries /= dim;
    struct labelled_rows a = labelled(&g, train, labels, items, dim), b = labelled(&g, test, NULL, queries, dim);
    EXPECT(knn_unit(a.rows, items, dim) < 0 && knn_unit(b.rows, queries, dim) < 0, "rows without length");
    for (int i = 0; i < 4; i++) {
        const int k[] = {1, 5, 20, MOST};
        char name[16];
        snprintf(name, sizeof name, "votes.%d", k[i]);
        const float *want = vector(&g, "knn", name, &n);
        struct votes votes = {k[i], arena_take(&g.arena, (size_t)(queries * CLASSES), sizeof(float))};
        EXPECT(knn_search(&g.device, &world, &a, &b, MOST, vote, &votes, &error) == 0, "%s", error.text);
        EXPECT(n == queries * CLASSES, "%ld votes", (long)n);
        test_close(name, votes.out, want, n, 1e-5);
    }
    golden_close(&g);
}

/* --- regression --- */

/* Of test rows, as decision_function gives them: two classes are one, those without samples are left out. */
static void check_logits(struct golden *g, struct logistic *l, const float *rows, int64_t count, const float *want,
                         const char *name)
{
    float *weights = arena_take(&g->arena, (size_t)(l->classes * l->dim), sizeof *weights);
    float *got = arena_take(&g->arena, (size_t)(count * l->classes), sizeof *got);
    double biases[8], logits[8];
    int64_t n = 0;
    logistic_weights(l, weights, biases);
    for (int64_t i = 0; i < count; i++) {
        for (int64_t c = 0; c < l->classes; c++) {
            logits[c] = biases[c];
            for (int64_t k = 0; k < l->dim; k++)
                logits[c] += (double)weights[c * l->dim + k] * (rows[i * l->dim + k] - l->mean[k]);
            if (l->classes > 2 && isfinite(biases[c])) got[n++] = (float)logits[c];
        }
        if (l->classes == 2) got[n++] = (float)(logits[1] - logits[0]);
    }
    test_close(name, got, want, n, 2e-4);
}

static void regression(const char *name, int64_t classes)
{
    struct golden g;
    struct error error = {0};
    struct logistic l;
    int64_t count, n, costs, tests, all;
    if (!golden_open(&g)) return;
    const float *y = vector(&g, name, "y", &count), *c = vector(&g, name, "c", &costs);
    float *x = vector(&g, name, "x", &n), *test = vector(&g, name, "test", &tests);
    const float *loss = vector(&g, name, "loss", &costs), *logits = vector(&g, name, "logits", &all);
    int64_t dim = n / count;
    int rc = logistic_open(&l, &g.device, &world, labelled(&g, x, y, count, dim), count, classes, &error);
    EXPECT(rc == 0, "%s", error.text);
    for (int64_t i = 0; i < costs; i++) { /* from the fit before */
        struct logistic_fit fit;
        rc = logistic_fit(&l, c[i], NULL, 1e-10, 1000, &fit, &error);
        EXPECT(rc == 0 && fit.converged, "%s C %g: %s", name, c[i], error.text);
        EXPECT(fabs(fit.loss / loss[i] - 1) < 1e-6, "%s C %g: loss %.9g, scikit-learn's is %.9g", name, c[i], fit.loss,
               loss[i]);
        printf("  %s C %g: loss %.2g from scikit-learn's, %ld evaluations\n", name, c[i], fabs(fit.loss / loss[i] - 1),
               (long)fit.evaluations);
        check_logits(&g, &l, test, tests / dim, logits + i * (all / costs), name);
    }
    logistic_close(&l);
    golden_close(&g);
}

static void many(void)
{
    regression("many", 5);
}
static void two(void)
{
    regression("two", 2);
}
static void lacking(void)
{
    regression("lacking", 4);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"votes_of_nearest_neighbours", neighbours},
                                     {"regression_of_many_classes", many},
                                     {"regression_of_two_classes", two},
                                     {"regression_lacking_a_class", lacking},
                                     {0}});
}
