/* Probes on ranks: sums over slices, neighbours and regressions are those of one rank, bit by bit, whoever holds which
 * samples. */
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "evaluator/logistic.h"
#include "evaluator/slices.h"
#include "nn/knn.h"
#include "test/harness.h"

enum { SAMPLES = 2300, TESTS = 700, DIM = 20, CLASSES = 6 };

static struct world world, alone = {.size = 1, .node_ranks = 1};

struct data {
    float rows[SAMPLES * DIM];
    int64_t samples[SAMPLES];
    int32_t labels[SAMPLES];
};

/* Of `count` samples those that this rank holds: dealt out in turn, or (share) as a regression wants them.  Not each
 * number has one. */
static struct labelled_rows draw(struct data *d, const struct world *w, int64_t count, uint64_t seed, bool share)
{
    int64_t first = 0, end = count, n = 0;
    if (share) logistic_share(count, w, &first, &end);
    for (int64_t i = first; i < end; i++) {
        struct rng rng = rng_open(seed, RNG_TEST, (uint64_t)i, 0);
        int32_t label = (int32_t)rng_below(&rng, CLASSES);
        if (i % 17 == 3 || (!share && i / 5 % w->size != w->rank)) continue;
        d->samples[n] = i;
        d->labels[n] = label;
        for (int64_t k = 0; k < DIM; k++) d->rows[n * DIM + k] = (float)rng_normal(&rng) + (float)(label == k);
        n++;
    }
    return (struct labelled_rows){d->rows, d->samples, d->labels, n, DIM};
}

static struct device cpu(int threads)
{
    struct device device;
    struct error error = {0};
    EXPECT(device_open(&device, "cpu", "fp32", NULL, threads, 0, &error) == 0, "%s", error.text);
    return device;
}

/* --- slices --- */

static void leaf(void *self, int64_t first, int64_t end, double *sums)
{
    const struct labelled_rows *rows = self;
    for (int64_t k = 0; k < DIM; k++) sums[k] = 0;
    for (int64_t i = first; i < end; i++)
        for (int64_t k = 0; k < DIM; k++) sums[k] += (double)rows->rows[i * DIM + k] / 3;
}

static void sums(void)
{
    static struct data a, b;
    struct labelled_rows one = draw(&a, &alone, SAMPLES, 1, true), some = draw(&b, &world, SAMPLES, 1, true);
    double want[DIM], got[DIM];
    struct slices s;
    slices_open(&s, &alone, 1, one.samples, one.count, SAMPLES);
    slices_sum(&s, DIM, leaf, &one, want);
    EXPECT(s.count == 4 && slices_longest(&s) > 500, "%ld slices", (long)s.count);
    slices_close(&s);
    if (world.size > 4) return; /* a slice each at least */
    slices_open(&s, &world, 2, some.samples, some.count, SAMPLES);
    slices_sum(&s, DIM, leaf, &some, got);
    slices_close(&s);
    EXPECT(!memcmp(want, got, sizeof want), "%.17g, alone %.17g", got[0], want[0]);
}

/* --- neighbours --- */

static void neighbours(void)
{
    static struct data a, b, c, d;
    struct device one = cpu(1), two = cpu(2);
    struct error error = {0};
    const int64_t k[] = {1, 7, 150};
    struct knn_settings settings = {k, 3, .07};
    struct classification_scores want[3], got[3];
    struct labelled_rows items = draw(&a, &alone, SAMPLES, 1, false), queries = draw(&b, &alone, TESTS, 2, false);
    struct labelled_rows my_items = draw(&c, &world, SAMPLES, 1, false), mine = draw(&d, &world, TESTS, 2, false);
    EXPECT(knn_unit(items.rows, items.count, DIM) < 0 && knn_unit(queries.rows, queries.count, DIM) < 0 &&
               knn_unit(my_items.rows, my_items.count, DIM) < 0 && knn_unit(mine.rows, mine.count, DIM) < 0,
           "rows without length");
    int rc = knn_score(&one, &alone, &items, &queries, CLASSES, &settings, want, NULL, &error);
    if (rc == 0) rc = knn_score(&two, &world, &my_items, &mine, CLASSES, &settings, got, NULL, &error);
    EXPECT(rc == 0 && !memcmp(want, got, sizeof want), "%g, alone %g: %s", got[2].acc1, want[2].acc1, error.text);
    EXPECT(want[2].acc1 > .25, "acc1 %g", want[2].acc1); /* chance: 1 / 6 */
    device_close(&one);
    device_close(&two);
}

/* --- regressions --- */

struct outcome {
    float weights[CLASSES * DIM];
    double biases[CLASSES];
    int64_t hits;
    struct logistic_fit held, whole;
    struct classification_scores scores;
};

static void fit(struct outcome *out, const struct world *w, int threads)
{
    static struct data a, b;
    static bool held[SAMPLES];
    struct device device = cpu(threads);
    struct error error = {0};
    struct logistic l;
    struct labelled_rows rows = draw(&a, w, SAMPLES, 1, true), tests = draw(&b, w, TESTS, 2, false);
    memset(out, 0, sizeof *out);
    for (int64_t i = 0; i < rows.count; i++) held[i] = rows.samples[i] % 10 == 0;
    int rc = logistic_open(&l, &device, w, rows, SAMPLES, CLASSES, &error);
    if (rc == 0) rc = logistic_fit(&l, .1, held, 1e-5, 100, &out->held, &error);
    if (rc == 0) out->hits = logistic_hits(&l);
    if (rc == 0) rc = logistic_fit(&l, 1, NULL, 1e-8, 100, &out->whole, &error);
    EXPECT(rc == 0, "%s", error.text);
    logistic_weights(&l, out->weights, out->biases);
    out->scores = logistic_score(&l, tests);
    logistic_close(&l);
    device_close(&device);
}

static void regressions(void)
{
    static struct outcome want, got;
    fit(&want, &alone, 1);
    fit(&got, &world, 2);
    EXPECT(!memcmp(want.weights, got.weights, sizeof want.weights) &&
               !memcmp(want.biases, got.biases, sizeof want.biases),
           "weight %.9g, alone %.9g", got.weights[0], want.weights[0]);
    EXPECT(want.held.loss == got.held.loss && want.whole.loss == got.whole.loss && want.hits == got.hits &&
               want.scores.acc1 == got.scores.acc1,
           "loss %.17g, %ld hits, alone %.17g, %ld", got.whole.loss, (long)got.hits, want.whole.loss, (long)want.hits);
    EXPECT(want.whole.converged && want.scores.acc1 > .25 && want.hits > 50, "acc1 %g, %ld hits", want.scores.acc1,
           (long)want.hits);
}

int main(int argc, char **argv)
{
    world = world_join(&argc, &argv);
    int failed = test_main(
        argc, argv, (struct test[]){{"sums", sums}, {"neighbours", neighbours}, {"regressions", regressions}, {0}});
    world_leave(&world, &(struct error){0});
    return failed;
}
