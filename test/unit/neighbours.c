/* The metric knn: figures worked out by hand from the released votes, what is said of samples, and what must not be
 * scored. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "data/npy.h"
#include "evaluator/metrics/metric.h"
#include "test/harness.h"

extern const struct metric metric_knn;

enum { ITEMS = 4, TESTS = 3, DIM = 2 };

/* Of similarity .9 .8 .8 .1 to the first test, of any length; and far from all of them but the last. */
static const float items[] = {.9f, .43588989f, 1.6f, -1.2f, .8f, .6f, .01f, -.0994987437f};
static const float tests[] = {3, 0, 3, 0, 0, -1};

static void write_text(const char *folder, const char *name, const char *text)
{
    struct error error = {0};
    char *path = fs_join(folder, name);
    EXPECT(fs_make_folders(folder, &error) == 0 && fs_write(path, text, strlen(text), &error) == 0, "%s", error.text);
    free(path);
}

static void write_rows(const char *folder, const char *name, const float *rows, int64_t count, int64_t dim)
{
    struct error error = {0};
    char *path = fs_join(folder, name);
    EXPECT(fs_make_folders(folder, &error) == 0 && npy_write(path, rows, count, dim, &error) == 0, "%s", error.text);
    free(path);
}

static char *truth, *features;

/* The files as they should be; each case then spoils what it is about. */
static void write_all(void)
{
    static int number;
    char name[32];
    free(truth), free(features);
    snprintf(name, sizeof name, "truth-%d", number);
    truth = fs_join(test_folder(), name);
    snprintf(name, sizeof name, "features-%d", number++);
    features = fs_join(test_folder(), name);
    write_text(truth, "train.txt", "1\n0\n0\n1\n");
    write_text(truth, "test.txt", "1\n0\n2\n");
    write_rows(features, "train.npy", items, ITEMS, DIM);
    write_rows(features, "test.npy", tests, TESTS, DIM);
}

/* The figures, a new reference; NULL: error.  hits [TESTS] of acc1, where they are wanted. */
static json_t *score(const char *k, double temperature, double *hits, struct error *error)
{
    char list[32], degrees[32], *argv[] = {"--knn-k", list, "--knn-temperature", degrees};
    struct option_program program = {"test", NULL, "", metric_knn.options};
    void *self = mem_zalloc(1, metric_knn.bytes);
    struct metric_result result = {.figures = json_object()};
    snprintf(list, sizeof list, "%s", k);
    snprintf(degrees, sizeof degrees, "%g", temperature);
    *error = (struct error){0};
    EXPECT(options_parse(&program, self, 4, argv, true, error) == OPTIONS_OK, "%s", error->text);
    int rc = metric_knn.open(self, truth, features, &result, error);
    EXPECT(rc < 0 || (result.units == TESTS && result.samples == TESTS && !result.missing), "%ld units",
           (long)result.units);
    if (rc == 0 && hits) memcpy(hits, result.values, TESTS * sizeof *hits);
    metric_knn.close(self);
    options_free(&program, self);
    free(self);
    if (rc == 0) return result.figures;
    json_decref(result.figures);
    return NULL;
}

static double figure(const json_t *figures, const char *key)
{
    return json_real_value(json_object_get(figures, key));
}

/* At .07 class 1 of the nearest outvotes both of class 0 (.676 to .324); at 1 they outvote it from 3 on.  Class 2 was
 * never learned. */
static void figures_by_hand(void)
{
    struct error error;
    double hits[TESTS];
    write_all();
    json_t *f = score("1,3,4", .07, hits, &error);
    EXPECT(f, "%s", error.text);
    EXPECT(figure(f, "knn_1_acc1") == 1. / 3 && figure(f, "knn_3_acc1") == 1. / 3 &&
               figure(f, "knn_4_acc1") == 1. / 3 && figure(f, "acc1") == 1. / 3 && hits[0] == 1 && hits[1] == 0 &&
               hits[2] == 0,
           "%g %g %g", figure(f, "knn_1_acc1"), figure(f, "knn_3_acc1"), figure(f, "knn_4_acc1"));
    EXPECT(figure(f, "acc5") == 1. / 3 && fabs(figure(f, "mean_per_class_recall") - 1. / 3) < 1e-15, "acc5 %g",
           figure(f, "acc5"));
    EXPECT(json_integer_value(json_object_get(f, "k")) == 1 && figure(f, "chance") == 1. / 3, "chance %g",
           figure(f, "chance"));
    EXPECT(json_integer_value(json_object_get(f, "unseen")) == 1 &&
               json_integer_value(json_object_get(f, "classes")) == 3 &&
               json_integer_value(json_object_get(f, "train_samples")) == ITEMS,
           "of samples");
    json_decref(f);
    f = score("1,3", 1, hits, &error);
    EXPECT(f && figure(f, "knn_1_acc1") == 1. / 3 && figure(f, "knn_3_acc1") == 1. / 3 && hits[0] == 1, "%s",
           error.text);
    json_decref(f);
    f = score("3", 1, hits, &error);
    EXPECT(f && hits[0] == 0 && hits[1] == 1 && figure(f, "acc5") == 2. / 3, "3 neighbours at temperature 1: %g %g",
           hits[0], hits[1]);
    json_decref(f);
}

static void refused(const char *k, const char *says)
{
    struct error error;
    json_t *f = score(k, .07, NULL, &error);
    EXPECT(!f && strstr(error.text, says), "\"%s\", not \"%s\"", error.text, says);
    json_decref(f);
}

static void mistakes_are_refused(void)
{
    float other[sizeof items / sizeof *items];
    char *path;
    struct error error = {0};
    write_all();
    refused("5", "--knn-k 5: there are 4 labelled samples to choose 5 from");
    refused("3,1", "--knn-k 3,1: give numbers from 1 to 10000, ascending");
    write_rows(features, "test.npy", tests, TESTS - 1, DIM);
    refused("1", "test.npy: 2 rows, ");
    write_rows(features, "test.npy", tests, 1, 2 * DIM);
    write_text(truth, "test.txt", "1\n");
    refused("1", "train.npy has features of 2, test.npy of 4: of one model?");

    write_all();
    memcpy(other, items, sizeof other);
    other[5] = NAN;
    write_rows(features, "train.npy", other, ITEMS, DIM);
    refused("1", "train.npy: row 2, column 1 is ");
    memset(other, 0, sizeof other);
    write_rows(features, "train.npy", other, ITEMS, DIM);
    refused("1", "train.npy: row 0 is all zeroes: it has no direction");

    write_all();
    write_text(truth, "train.txt", "1\n0\nx\n1\n");
    refused("1", "train.txt: line 3: \"x\" is no whole number");
    write_text(truth, "train.txt", "1\n0\n0\n2000000000\n");
    refused("1", "number 4 is 2000000000, of 1048576 classes at most");
    write_text(truth, "train.npy", "");
    refused("1", "in train.txt or train.npy; each is there");
    write_all();
    path = fs_join(truth, "test.txt");
    EXPECT(fs_remove_tree(path, &error) == 0, "%s", error.text);
    refused("1", "in test.txt or test.npy; neither is there");
    free(path);
    write_all();
    path = fs_join(features, "train.npy");
    EXPECT(fs_remove_tree(path, &error) == 0, "%s", error.text);
    refused("1", "train.npy: ");
    free(path);
}

int main(int argc, char **argv)
{
    int failed = test_main(
        argc, argv,
        (struct test[]){{"figures_by_hand", figures_by_hand}, {"mistakes_are_refused", mistakes_are_refused}, {0}});
    free(truth), free(features);
    return failed;
}
