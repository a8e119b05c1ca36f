/* Nearest neighbours and their votes: DINOv2's figures by hand, ties, and the same neighbours as sorting everything. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "nn/knn.h"
#include "test/harness.h"

static struct world world = {.size = 1, .node_ranks = 1};

/* Similarities .9 .8 .8 .1 of labels 1 0 0 1 at temperature .07, from the released code. */
static void votes_by_hand(void)
{
    const struct neighbour nearest[] = {{.9f, 1, 0}, {.8f, 0, 1}, {.8f, 0, 2}, {.1f, 1, 3}};
    const double want[] = {[1] = .67599, [2] = .67599, [3] = .67599, [4] = .675997}; /* of class 1 */
    double weights[4], votes[3];
    knn_weigh(weights, nearest, 4, .07);
    for (int k = 1; k <= 4; k++) {
        knn_vote(votes, 3, nearest, weights, k);
        EXPECT(fabs(votes[1] - want[k]) < 1e-6, "k %d: class 1 has %.6f", k, votes[1]);
    }
    knn_vote(votes, 3, nearest, weights, 3);
    EXPECT(fabs(votes[0] - .324003) < 1e-6 && votes[2] == 0, "k 3: %.6f and %.6f", votes[0], votes[2]);
}

enum { ITEMS = 5000, QUERIES = 1100, DIM = 33, MOST = 60, COPIES = 40 };

struct found {
    struct neighbour *nearest; /* [QUERIES, MOST] */
    int64_t queries;
};

static void keep(void *self, int64_t query, const struct neighbour *nearest)
{
    struct found *f = self;
    EXPECT(query == f->queries, "query %ld after %ld", (long)query, (long)f->queries);
    memcpy(f->nearest + f->queries++ * MOST, nearest, MOST * sizeof *nearest);
}

static int by_nearness(const void *a, const void *b)
{
    const struct neighbour *x = a, *y = b;
    if (x->similarity != y->similarity) return x->similarity < y->similarity ? 1 : -1;
    return (x->sample > y->sample) - (x->sample < y->sample);
}

/* Rows of which many are equal; samples with gaps. */
static struct labelled_rows draw(int64_t count, uint64_t seed)
{
    float *rows = mem_alloc((size_t)(count * DIM), sizeof *rows);
    int64_t *samples = mem_alloc((size_t)count, sizeof *samples);
    int32_t *labels = mem_alloc((size_t)count, sizeof *labels);
    for (int64_t i = 0; i < count; i++) {
        struct rng rng = rng_open(seed, RNG_TEST, (uint64_t)(i % (count / COPIES)), 0);
        for (int64_t k = 0; k < DIM; k++) rows[i * DIM + k] = (float)rng_normal(&rng);
        samples[i] = 3 * i + 1;
        labels[i] = (int32_t)(i % 5);
    }
    EXPECT(knn_unit(rows, count, DIM) < 0, "a row without length");
    return (struct labelled_rows){rows, samples, labels, count, DIM};
}

static void give_up(struct labelled_rows *rows)
{
    free(rows->rows);
    free((void *)rows->samples);
    free((void *)rows->labels);
}

static void same_as_sorting(int threads)
{
    struct device device;
    struct error error = {0};
    EXPECT(device_open(&device, "cpu", "fp32", NULL, threads, 0, &error) == 0, "%s", error.text);
    struct labelled_rows items = draw(ITEMS, 1), queries = draw(QUERIES, 2);
    struct found found = {mem_alloc(QUERIES * MOST, sizeof *found.nearest), 0};
    struct neighbour *all = mem_alloc(ITEMS, sizeof *all);
    float *scores = mem_alloc(ITEMS, sizeof *scores), one;
    EXPECT(knn_search(&device, &world, &items, &queries, MOST, keep, &found, &error) == 0, "%s", error.text);
    EXPECT(found.queries == QUERIES, "%ld queries", (long)found.queries);
    int64_t wrong = 0, first = -1;
    for (int64_t q = 0; q < QUERIES; q += 7) { /* a row of products, and one product alone: the same bits */
        device.kernels->matmul(&device, scores, true, ITEMS, queries.rows + q * DIM, DIM, false, items.rows, DIM, false,
                               1, ITEMS, DIM, false);
        device.kernels->matmul(&device, &one, true, 1, queries.rows + q * DIM, DIM, false, items.rows + q * DIM, DIM,
                               false, 1, 1, DIM, false);
        EXPECT(one == scores[q], "query %ld: %.9g alone, %.9g", (long)q, (double)one, (double)scores[q]);
        for (int64_t i = 0; i < ITEMS; i++) all[i] = (struct neighbour){scores[i], items.labels[i], items.samples[i]};
        qsort(all, ITEMS, sizeof *all, by_nearness);
        if (memcmp(all, found.nearest + q * MOST, MOST * sizeof *all)) wrong++, first = q;
    }
    EXPECT(!wrong, "%ld queries have other neighbours, %ld among them", (long)wrong, (long)first);
    free(all);
    free(scores);
    free(found.nearest);
    give_up(&items);
    give_up(&queries);
    device_close(&device);
}

static void neighbours_on_one_thread(void)
{
    same_as_sorting(1);
}
static void neighbours_on_three_threads(void)
{
    same_as_sorting(3);
}

/* Items at 0, 60, 120 and 180 degrees of classes 2 1 1 0; queries that see two of them alike. */
static void figures(void)
{
    static const float half = .8660254f;
    float items[] = {1, 0, .5f, half, -.5f, half, -1, 0}, queries[] = {half, .5f, 0, 1, 1, 0, 0, 2};
    const int64_t samples[] = {0, 1, 2, 3}, k[] = {1, 2, 4};
    const int32_t item_labels[] = {2, 1, 1, 0}, labels[] = {1, 1, 2, 3};
    struct labelled_rows a = {items, samples, item_labels, 4, 2}, b = {queries, samples, labels, 4, 2};
    struct knn_settings settings = {k, 3, .07};
    struct classification_scores scores[3];
    struct device device;
    struct error error = {0};
    EXPECT(device_open(&device, "cpu", "fp32", NULL, 1, 0, &error) == 0, "%s", error.text);
    EXPECT(knn_unit(b.rows, 4, 2) < 0 && queries[7] == 1, "%g", queries[7]);
    EXPECT(knn_score(&device, &world, &a, &b, 4, &settings, scores, NULL, &error) == 0, "%s", error.text);
    /* The first query has items 0 and 1 at one distance: sample 0 is nearer, of class 2; with both the lower class 1 is
     * ahead.  The last is of a class without items. */
    EXPECT(scores[0].acc1 == .5 && scores[1].acc1 == .75 && scores[2].samples == 4, "%g %g %ld", scores[0].acc1,
           scores[1].acc1, (long)scores[2].samples);
    EXPECT(scores[2].acc5 == .75 && fabs(scores[1].mean_per_class_recall - 2. / 3) < 1e-12, "%g %g", scores[2].acc5,
           scores[1].mean_per_class_recall);
    items[2] = NAN;
    EXPECT(knn_unit(a.rows, 4, 2) == 1, "a row that is no number has a length");
    device_close(&device);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"votes_by_hand", votes_by_hand},
                                     {"neighbours_on_one_thread", neighbours_on_one_thread},
                                     {"neighbours_on_three_threads", neighbours_on_three_threads},
                                     {"figures", figures},
                                     {0}});
}
