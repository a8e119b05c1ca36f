/* Figures over features on ranks: more queries than a rank takes at a time, the same as in a world of one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "nn/score.h"
#include "test/harness.h"

enum { IMAGES = 700, TEXTS = 1500, CLASSES = 12, DIM = 16 };

static struct world world, alone = {.size = 1, .node_ranks = 1};
static float images[IMAGES * DIM], texts[TEXTS * DIM];
static int32_t owner[TEXTS], labels[IMAGES];

static void draw(float *rows, int count, uint64_t seed)
{
    struct rng rng = rng_open(seed, RNG_TEST, 0, 0);
    for (int i = 0; i < count * DIM; i++) rows[i] = (float)rng_normal(&rng) / 8;
}

static void on_ranks(void)
{
    struct device d;
    struct error error = {0};
    EXPECT(device_open(&d, "cpu", "fp32", NULL, 1, 0, &error) == 0, "%s", error.text);
    draw(images, IMAGES, 1);
    draw(texts, TEXTS, 2);
    for (int i = 0; i < TEXTS; i++) owner[i] = i * 7 % IMAGES;
    for (int i = 0; i < IMAGES; i++) labels[i] = i % 5 ? i % CLASSES : -1;
    for (int dual = 0; dual < 2; dual++) {
        struct retrieval_scores one = score_retrieval(&d, &alone, images, IMAGES, texts, owner, TEXTS, DIM, dual),
                                all = score_retrieval(&d, &world, images, IMAGES, texts, owner, TEXTS, DIM, dual);
        EXPECT(!memcmp(&one, &all, sizeof one), "dual %d: recall@1 %g, %g", dual, one.image[0], all.image[0]);
    }
    struct classification_scores one = score_classification(&d, &alone, images, labels, IMAGES, texts, CLASSES, DIM),
                                 all = score_classification(&d, &world, images, labels, IMAGES, texts, CLASSES, DIM);
    EXPECT(!memcmp(&one, &all, sizeof one) && one.samples == IMAGES * 4 / 5, "acc1 %g, %g; %ld samples", one.acc1,
           all.acc1, (long)one.samples);
    device_close(&d);
}

int main(int argc, char **argv)
{
    world = world_join(&argc, &argv);
    int failed = test_main(argc, argv, (struct test[]){{"figures_on_ranks", on_ranks}, {0}});
    world_leave(&world, &(struct error){0});
    return failed;
}
