/* Parts of a report: escaping, choice of examples, sizes, colours, charts, pairs of files, principal components. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/rng.h"
#include "evaluator/principal.h"
#include "evaluator/report/chart.h"
#include "evaluator/report/choice.h"
#include "evaluator/report/drawing.h"
#include "evaluator/report/figures.h"
#include "evaluator/report/files.h"
#include "evaluator/report/html.h"
#include "evaluator/report/picture.h"
#include "nn/score.h"
#include "optim/eigen.h"
#include "test/harness.h"

static void escaping(void)
{
    static const char *const cases[][2] = {{"<b a=\"x\">&'", "&lt;b a=&quot;x&quot;&gt;&amp;&#39;"},
                                           {"tab\tline\nend", "tab\tline\nend"},
                                           {"a\x01"
                                            "b\x7f\x1b[31m\r",
                                            "a\xef\xbf\xbd"
                                            "b\xef\xbf\xbd\xef\xbf\xbd[31m\xef\xbf\xbd"},
                                           {"caf\xc3\xa9 \xff\xc3", "caf\xc3\xa9 \xef\xbf\xbd\xef\xbf\xbd"},
                                           {"next\xc2\x85line\xef\xbf\xbe", "next\xef\xbf\xbdline\xef\xbf\xbd"},
                                           {"", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str out = {0};
        html_put(&out, "", cases[i][0], "");
        EXPECT(!strcmp(out.data, cases[i][1]), "%zu: %s", i, out.data);
        str_free(&out);
    }
    struct str brief = {0};
    html_brief(&brief, "\xc3\xa9t\xc3\xa9 <", 3);
    EXPECT(!strcmp(brief.data, "\xc3\xa9t\xc3\xa9\xe2\x80\xa6"), "%s", brief.data);
    str_free(&brief);
}

static void base64(void) /* RFC 4648, 10 */
{
    static const char *const cases[][2] = {{"f", "Zg=="},        {"fo", "Zm8="},        {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str out = {0};
        html_base64(&out, cases[i][0], strlen(cases[i][0]));
        EXPECT(!strcmp(out.data, cases[i][1]), "%s: %s", cases[i][0], out.data);
        str_free(&out);
    }
}

static void choosing(void)
{
    static const double scores[] = {.5, .1, .9, .1, .7, .3, .8, .2};
    static const int64_t wanted[] = {1, 3, 2, 6, 4, 7};
    struct choice c[12];
    int64_t n = choose_examples(scores, 8, 2, c);
    EXPECT(n == 6, "%ld", (long)n);
    for (int64_t i = 0; i < n; i++)
        EXPECT(c[i].item == wanted[i] && (int64_t)c[i].why == i / 2, "%ld: %ld", (long)i, (long)c[i].item);
    n = choose_examples(scores, 3, 2, c);
    EXPECT(n == 3 && c[0].item == 1 && c[1].item == 0 && c[2].item == 2 && c[2].why == CHOSEN_BEST, "%ld", (long)n);
    n = choose_examples(NULL, 100, 1, c);
    EXPECT(n == 3 && c[0].item == 16 && c[1].item == 50 && c[2].item == 83 && c[0].why == CHOSEN_SAMPLE, "%ld %ld %ld",
           (long)c[0].item, (long)c[1].item, (long)c[2].item);
    EXPECT(choose_examples(NULL, 0, 4, c) == 0, "of nothing");
}

static void sizes(void)
{
    static const int cases[][5] = {
        {300, 100, 96, 96, 32}, {100, 300, 96, 32, 96}, {40, 20, 96, 40, 20}, {900, 2, 96, 96, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int *c = cases[i];
        struct image image = {c[0], c[1], mem_zalloc((size_t)(c[0] * c[1]), 3)};
        picture_fit(&image, c[2]);
        EXPECT(image.width == c[3] && image.height == c[4], "%zu: %d x %d", i, image.width, image.height);
        image_free(&image);
    }
}

/* What was encoded exactly comes back. */
static void exact_png(void)
{
    struct image image = {7, 5, mem_alloc(7 * 5, 3)}, back;
    struct error error = {0};
    uint8_t *bytes;
    size_t len;
    for (int i = 0; i < 7 * 5 * 3; i++) image.pixels[i] = (uint8_t)(i * 37);
    EXPECT(image_encode(&image, IMAGE_PNG, 1, &bytes, &len, &error) == 0, "%s", error.text);
    EXPECT(image_decode(bytes, len, 1000, &back, &error) == 0, "%s", error.text);
    EXPECT(back.width == 7 && back.height == 5 && !memcmp(back.pixels, image.pixels, 7 * 5 * 3), "other pixels");
    image_free(&image);
    image_free(&back);
    free(bytes);
}

static void lab(void) /* sRGB's white, black, middle grey, red and blue */
{
    static const double colours[][3] = {
        {100, 0, 0}, {0, 0, 0}, {53.585, 0, 0}, {53.241, 80.092, 67.203}, {32.297, 79.188, -107.860}};
    static const int wanted[][3] = {{255, 255, 255}, {0, 0, 0}, {128, 128, 128}, {255, 0, 0}, {0, 0, 255}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        uint8_t rgb[3];
        colour_of_lab(colours[i][0], colours[i][1], colours[i][2], rgb);
        for (int c = 0; c < 3; c++) EXPECT(abs(rgb[c] - wanted[i][c]) <= 1, "%zu: %d", i, rgb[c]);
    }
}

static int count_of(const char *text, const char *what)
{
    int count = 0;
    for (; (text = strstr(text, what)); text++) count++;
    return count;
}

static void charts(void)
{
    struct series lines[2] = {{.name = (char *)"a <b"}, {.name = (char *)"c"}};
    struct str out = {0};
    for (int i = 0; i < 5000; i++) series_add(&lines[0], i, 2 + sin(i));
    for (int i = 0; i < 3; i++) series_add(&lines[1], 1000. * i, 2);
    chart_put(&out, &(struct chart){"T & U", "steps", false, lines, 2});
    EXPECT(count_of(out.data, "<polyline") == 2 && count_of(out.data, "T &amp; U") == 1 && !strstr(out.data, "nan") &&
               strstr(out.data, "a &lt;b"),
           "%s", out.data);
    EXPECT(count_of(out.data, ",") < 400, "%d points of 5000 are drawn", count_of(out.data, ","));
    for (int i = 0; i < 2; i++) lines[i].name = NULL, series_free(&lines[i]);
    str_free(&out);
    EXPECT(chart_step(.9) == 1 && chart_step(1.1) == 2 && chart_step(30) == 50 && chart_step(70) == 100, "steps");
}

static void chance(void)
{
    json_t *r = json_pack("{s:s, s:{s:i, s:i}}", "task", "zeroshot_retrieval", "metrics", "images", 4, "texts", 8);
    double image = figure_chance(r, "image_retrieval_recall@1"), text = figure_chance(r, "text_retrieval_recall@5");
    EXPECT(image == .25, "%g", image);
    EXPECT(fabs(text - (1 - 3. / 28)) < 1e-15, "%.17g", text); /* 1 - C(3, 2) / C(8, 2): none of its two among five */
    json_decref(r);
    r = json_pack("{s:s, s:{s:f, s:i}}", "task", "zeroshot_classification", "metrics", "acc1", .5, "classes", 50);
    EXPECT(figure_chance(r, "acc1") == .02 && figure_chance(r, "acc5") == .1, "%g", figure_chance(r, "acc5"));
    EXPECT(!strcmp(figure_headline(r), "acc1"), "%s", figure_headline(r));
    json_decref(r);
}

/* --- principal components --- */

enum { N = 48 };

/* Row k of a known orthonormal basis: the cosine transform. */
static double axis(int n, int k, int i)
{
    return sqrt((k ? 2. : 1.) / n) * cos(M_PI * (i + .5) * k / n);
}

static void eigenvectors(void)
{
    static const double known[] = {9, 8.9, 3, 1, .5, .25};
    double a[N * N] = {0}, values[3], vectors[3 * N], again[3], more[3 * N];
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            for (int k = 0; k < 6; k++) a[i * N + j] += known[k] * axis(N, k + 1, i) * axis(N, k + 1, j);
    EXPECT(eigen_leading(values, vectors, a, N, 3, 1e-12, 1), "not settled");
    for (int k = 0; k < 3; k++) {
        double along = 0;
        for (int i = 0; i < N; i++) along += vectors[k * N + i] * axis(N, k + 1, i);
        EXPECT(fabs(values[k] - known[k]) < 1e-12, "value %d: %.17g", k, values[k]);
        EXPECT(fabs(fabs(along) - 1) < 1e-11, "vector %d: cosine %.17g", k, along);
    }
    eigen_leading(again, more, a, N, 3, 1e-12, 3);
    EXPECT(!memcmp(values, again, sizeof values) && !memcmp(vectors, more, sizeof vectors), "other bits of 3 threads");
    for (int i = 0; i < N * N; i++) a[i] = 4 * axis(N, 2, i / N) * axis(N, 2, i % N); /* one is all there is */
    EXPECT(eigen_leading(values, vectors, a, N, 3, 1e-12, 1), "not settled");
    EXPECT(fabs(values[0] - 4) < 1e-12 && fabs(values[1]) < 1e-12, "%g %g", values[0], values[1]);
    memset(a, 0, sizeof a);
    EXPECT(eigen_leading(values, vectors, a, N, 3, 1e-12, 1) && values[0] == 0, "of nothing: %g", values[0]);
    double one = 7;
    EXPECT(eigen_leading(values, vectors, &one, 1, 3, 1e-12, 1) && values[0] == 7 && values[2] == 0, "%g", values[0]);
}

/* Rows that vary along known axes, by known amounts of known shape: more rows than columns, and fewer. */
static void components(int rows, int width)
{
    static const double sizes_of[] = {5, 3, 2, 1};
    double *x = mem_zalloc((size_t)(rows * width), sizeof *x), *scores = mem_alloc((size_t)(3 * rows), sizeof *x);
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < width; c++) {
            x[r * width + c] = 100 + c; /* a mean of its own */
            for (int k = 0; k < 4; k++) x[r * width + c] += sizes_of[k] * axis(rows, k + 1, r) * axis(width, k + 2, c);
        }
    double share = principal_scores(x, rows, width, scores, 2);
    EXPECT(fabs(share - 38. / 39) < 1e-12, "%d x %d: share %.17g", rows, width, share);
    for (int k = 0; k < 3; k++) {
        double cubes = 0;
        for (int r = 0; r < rows; r++) {
            double found = fabs(scores[k * rows + r]), wanted = fabs(sizes_of[k] * axis(rows, k + 1, r));
            EXPECT(fabs(found - wanted) < 1e-7, "%d x %d, component %d, row %d: %g, %g", rows, width, k, r, found,
                   wanted);
            cubes += pow(scores[k * rows + r], 3);
        }
        EXPECT(cubes > -1e-9, "component %d points down: %g", k, cubes);
    }
    free(x);
    free(scores);
}

static void principal(void)
{
    components(60, 12);
    components(12, 60);
    components(16, 16);
}

/* Two halves of a picture have two colours, the same features one. */
static void colours(void)
{
    enum { SIDE = 8, WIDTH = 5 };
    float features[SIDE * SIDE * WIDTH];
    struct image a, b;
    for (int i = 0; i < SIDE * SIDE * WIDTH; i++) features[i] = i / WIDTH % SIDE < 4 ? 1.f : (float)(i % WIDTH);
    double share = principal_colours(features, extent_square(SIDE), WIDTH, &a, 1);
    EXPECT(fabs(share - 1) < 1e-12, "share %.17g", share);
    EXPECT(memcmp(a.pixels, a.pixels + 3 * (SIDE - 1), 3) && !memcmp(a.pixels, a.pixels + 3 * SIDE * (SIDE - 1), 3),
           "left %d, right %d", a.pixels[0], a.pixels[3 * (SIDE - 1)]);
    principal_colours(features, extent_square(SIDE), WIDTH, &b, 3);
    EXPECT(!memcmp(a.pixels, b.pixels, 3 * SIDE * SIDE), "other colours of 3 threads");
    image_free(&a);
    image_free(&b);
    for (int i = 0; i < SIDE * SIDE * WIDTH; i++) features[i] = 1;
    EXPECT(principal_colours(features, extent_square(SIDE), WIDTH, &a, 1) == 0, "no difference");
    for (int i = 3; i < 3 * SIDE * SIDE; i++) EXPECT(a.pixels[i] == a.pixels[i % 3], "pixel %d", i / 3);
    image_free(&a);
}

/* --- examples --- */

static void nearest(void)
{
    enum { IMAGES = 300, TEXTS = 290, DIM = 16, MOST = 4 };
    static float images[IMAGES * DIM], texts[TEXTS * DIM];
    static int32_t owner[TEXTS];
    struct device device;
    struct world world = {.size = 1};
    struct error error = {0};
    EXPECT(device_open(&device, "cpu", "fp32", NULL, 2, 0, &error) == 0, "%s", error.text);
    for (int i = 0; i < IMAGES * DIM; i++) {
        struct rng rng = rng_open(1, RNG_TEST, (uint64_t)(i % (200 * DIM)), 0); /* the last 100 are the first again */
        images[i] = (float)rng_below(&rng, 200) / 400;
    }
    for (int i = 0; i < TEXTS * DIM; i++) {
        struct rng rng = rng_open(2, RNG_TEST, (uint64_t)i, 0);
        owner[i / DIM] = i / DIM;
        texts[i] = images[i] / 2 + (float)rng_below(&rng, 200) / 800;
    }
    for (int dual = 0; dual < 2; dual++) {
        struct retrieval_scores r = score_retrieval(&device, &world, images, IMAGES, texts, owner, TEXTS, DIM, dual);
        struct nearest n = score_nearest(&device, &world, texts, TEXTS, images, IMAGES, DIM, owner, MOST, dual);
        int first = 0, among = 0;
        for (int i = 0; i < TEXTS; i++) {
            first += n.places[i] == 0;
            among += n.places[i] < 5;
            EXPECT((n.places[i] == 0) == (n.items[i * MOST] == owner[i]), "text %d: %d", i, n.places[i]);
            for (int k = 1; k < MOST; k++) {
                const float *s = n.scores + i * MOST;
                const int32_t *item = n.items + i * MOST;
                EXPECT(s[k] < s[k - 1] || (s[k] == s[k - 1] && item[k] > item[k - 1]), "text %d, %d", i, k);
            }
        }
        EXPECT(first == (int)lround(r.image[0] * TEXTS) && among == (int)lround(r.image[1] * TEXTS), "%d, recall %g",
               first, r.image[0] * TEXTS);
        nearest_free(&n);
    }
    device_close(&device);
}

static void pairing(void)
{
    struct error error = {0};
    char *root = fs_join(test_folder(), "pairs");
    test_shell(NULL,
               "mkdir -p %s/p %s/t && cd %s && touch p/7.png p/scene_012.npy t/7.jpg t/7.png t/rgb_012.jpg "
               "t/sync_012.png t/other_12.jpg",
               root, root, root);
    char *words[3] = {fs_join(root, "t"), fs_join(root, "p"), NULL};
    words[2] = words[0];
    struct predicted_files f;
    EXPECT(predicted_open(&f, "depth", &(struct option_list){words, 3}, true, &error) == 0, "%s", error.text);
    EXPECT(f.count == 2 && strstr(f.list[0].picture, "/t/7.jpg") && strstr(f.list[0].truth, "/t/7.png"), "%ld",
           (long)f.count);
    EXPECT(strstr(f.list[1].picture, "rgb_012.jpg") && strstr(f.list[1].truth, "sync_012.png"), "%s, %s",
           f.list[1].picture, f.list[1].truth);
    predicted_close(&f);
    EXPECT(predicted_open(&f, "depth", &(struct option_list){words, 1}, true, &error) < 0 && error.code == ERROR_USAGE,
           "one folder was taken");
    predicted_close(&f);
    error = (struct error){0};
    test_shell(NULL, "rm %s/t/7.png; touch %s/p/99.png", root, root);
    EXPECT(predicted_open(&f, "labels", &(struct option_list){words, 2}, false, &error) < 0 &&
               strstr(error.text, "99.png"),
           "%s", error.text);
    predicted_close(&f);
    free(words[0]);
    free(words[1]);
    free(root);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"text_is_escaped", escaping},
                                     {"bytes_as_text", base64},
                                     {"worst_best_and_sample", choosing},
                                     {"pictures_become_small", sizes},
                                     {"png_is_exact", exact_png},
                                     {"colours_of_lab", lab},
                                     {"charts_have_few_points", charts},
                                     {"what_guessing_reaches", chance},
                                     {"leading_eigenvectors", eigenvectors},
                                     {"principal_components_of_known_axes", principal},
                                     {"features_as_colours", colours},
                                     {"nearest_as_recall_counts", nearest},
                                     {"predictions_find_their_pictures", pairing},
                                     {0}});
}
