/* Figures over features, as clip-benchmark's own code gives them (test/golden/zeroshot/, made by
 * scripts/reference/zeroshot.py). */
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "nn/score.h"
#include "test/harness.h"

enum { DIM = 24 };

static struct world world = {.size = 1};

struct golden {
    struct safetensors vectors;
    struct arena arena;
    struct device device;
    json_t *expected;
};

static float *rows(struct golden *g, const char *name, int64_t *count)
{
    int64_t floats = 0;
    float *values = test_vector(&g->arena, &g->vectors, name, &floats);
    *count = floats / DIM;
    return values;
}

static void golden_open(struct golden *g)
{
    struct error error = {0};
    *g = (struct golden){.expected = json_read("test/golden/zeroshot/expected.json", &error)};
    arena_open(&g->arena, (size_t)1 << 26);
    EXPECT(g->expected && safetensors_open(&g->vectors, "test/golden/zeroshot/vectors.safetensors", &error) == 0 &&
               device_open(&g->device, "cpu", "fp32", NULL, 2, 0, &error) == 0,
           "%s", error.text);
}

static void golden_close(struct golden *g)
{
    device_close(&g->device);
    safetensors_close(&g->vectors);
    arena_close(&g->arena);
    json_decref(g->expected);
}

/* The reference adds up in float. */
static void equal(const struct golden *g, const char *task, const char *key, double value)
{
    double want = json_number_value(json_object_get(json_object_get(g->expected, task), key));
    EXPECT(want > 0 && fabs(value - want) < 1e-6, "%s, %s: %.9g, expected %.9g", task, key, value, want);
}

static void classification(void)
{
    struct golden g;
    golden_open(&g);
    int64_t count, classes, labelled;
    int32_t labels[512];
    float *images = rows(&g, "images", &count), *vectors = rows(&g, "classes", &classes),
          *numbers = test_vector(&g.arena, &g.vectors, "labels", &labelled);
    EXPECT(labelled == count && count <= 512, "%ld labels of %ld pictures", (long)labelled, (long)count);
    for (int64_t i = 0; i < count; i++) labels[i] = (int32_t)numbers[i];
    struct classification_scores s =
        score_classification(&g.device, &world, images, labels, count, vectors, classes, DIM);
    equal(&g, "classification", "acc1", s.acc1);
    equal(&g, "classification", "acc5", s.acc5);
    equal(&g, "classification", "mean_per_class_recall", s.mean_per_class_recall);
    golden_close(&g);
}

static void recalls(const struct golden *g, const char *task, const struct retrieval_scores *s)
{
    static const char *const levels[] = {"1", "5", "10"};
    for (int k = 0; k < RECALL_LEVELS; k++) {
        char key[64];
        snprintf(key, sizeof key, "image_retrieval_recall@%s", levels[k]);
        equal(g, task, key, s->image[k]);
        snprintf(key, sizeof key, "text_retrieval_recall@%s", levels[k]);
        equal(g, task, key, s->text[k]);
    }
}

static void retrieval(void)
{
    struct golden g;
    golden_open(&g);
    int64_t all, texts;
    int32_t owner[512];
    float *images = rows(&g, "images", &all), *captions = rows(&g, "captions", &texts);
    EXPECT(texts <= 512, "%ld texts", (long)texts);
    for (int64_t i = 0; i < texts; i++) owner[i] = (int32_t)(i / 5);
    struct retrieval_scores plain =
        score_retrieval(&g.device, &world, images, texts / 5, captions, owner, texts, DIM, false);
    recalls(&g, "retrieval", &plain);
    struct retrieval_scores dual =
        score_retrieval(&g.device, &world, images, texts / 5, captions, owner, texts, DIM, true);
    recalls(&g, "dual_softmax", &dual);
    golden_close(&g);
}

int main(int argc, char **argv)
{
    return test_main(
        argc, argv,
        (struct test[]){{"figures_of_classification", classification}, {"figures_of_retrieval", retrieval}, {0}});
}
