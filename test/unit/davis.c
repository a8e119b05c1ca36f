/* DAVIS's measure on masks small enough to type in; figures of the official code (aligner-evaluator 4.7 of the
 * reference pages, and test/golden/dense for whole sequences). */
#include "evaluator/metrics/davis.h"

#include <math.h>
#include <string.h>

#include "test/harness.h"

enum { HEIGHT = 48, WIDTH = 64 };

static void box(uint16_t *labels, int id, int top, int bottom, int left, int right)
{
    for (int y = top; y < bottom; y++)
        for (int x = left; x < right; x++) labels[y * WIDTH + x] = (uint16_t)id;
}

static void expect(const char *what, struct davis_measure m, double j, double f)
{
    EXPECT(fabs(m.j - j) < 1e-7 && fabs(m.f - f) < 1e-7, "%s: J %.9g, F %.9g instead of %.9g, %.9g", what, m.j, m.f, j,
           f);
}

static void two_boxes(void)
{
    uint16_t truth[HEIGHT * WIDTH] = {0}, predicted[HEIGHT * WIDTH] = {0}, none[HEIGHT * WIDTH] = {0};
    box(truth, 7, 10, 30, 12, 40);
    box(predicted, 7, 12, 33, 15, 42);
    expect("boxes", davis_measure(truth, predicted, HEIGHT, WIDTH, 7), .66469719, .0625);
    expect("same", davis_measure(truth, truth, HEIGHT, WIDTH, 7), 1, 1);
    expect("no such object", davis_measure(truth, predicted, HEIGHT, WIDTH, 1), 1, 1);
    expect("nothing predicted", davis_measure(truth, none, HEIGHT, WIDTH, 7), 0, 0);
    expect("nothing there", davis_measure(none, predicted, HEIGHT, WIDTH, 7), 0, 0);
    box(none, 7, 0, HEIGHT, 0, WIDTH); /* a picture full of it has no outline */
    expect("all of it", davis_measure(none, none, HEIGHT, WIDTH, 7), 1, 1);
    expect("all of it predicted", davis_measure(truth, none, HEIGHT, WIDTH, 7), 560. / (HEIGHT * WIDTH), 0);
}

/* The disk at the radius of 480 x 854 (8): a column of truth and one of prediction, n apart. */
static void radius(void)
{
    enum { H = 480, W = 854 };
    static uint16_t truth[H * W], predicted[H * W];
    for (int apart = 7; apart <= 10; apart++) {
        memset(truth, 0, sizeof truth);
        memset(predicted, 0, sizeof predicted);
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                truth[y * W + x] = x < 120;
                predicted[y * W + x] = x < 120 + apart;
            }
        expect("columns", davis_measure(truth, predicted, H, W, 1), 120. / (120 + apart), apart <= 8);
    }
}

static void statistics(void)
{
    double values[10], half[3] = {.5, .5000001, 1};
    for (int i = 0; i < 10; i++) values[i] = 1 - .8 * i / 9;
    struct davis_statistics s = davis_statistics(values, 10);
    EXPECT(fabs(s.mean - .6) < 1e-12 && fabs(s.recall - .6) < 1e-12 && fabs(s.decay - .622222222222) < 1e-9,
           "mean %g, recall %g, decay %g", s.mean, s.recall, s.decay);
    s = davis_statistics(half, 3);
    EXPECT(fabs(s.recall - 2. / 3) < 1e-12, "recall %g: .5 is not above .5", s.recall);
    s = davis_statistics(half, 1);
    EXPECT(s.mean == .5 && s.recall == 0 && s.decay == 0, "of one frame: %g %g %g", s.mean, s.recall, s.decay);
}

static void void_is_no_object(void)
{
    uint16_t first[4] = {0, 255, 2, 1};
    EXPECT(davis_objects(first, 4) == 2, "%d", davis_objects(first, 4));
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"two_boxes", two_boxes},
                                     {"radius", radius},
                                     {"statistics", statistics},
                                     {"void_is_no_object", void_is_no_object},
                                     {0}});
}
