/* Masks as runs against masks as pixels, JSON numbers against strtod, and what no file of COCO or LVIS may hold. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "evaluator/metrics/coco_files.h"
#include "evaluator/metrics/json_reader.h"
#include "test/harness.h"

enum { HEIGHT = 13, WIDTH = 9, PIXELS = HEIGHT * WIDTH };

/* Blobs of pixels, at most a few runs long or many; all or nothing now and then. */
static void draw(struct rng *rng, uint8_t pixels[PIXELS])
{
    uint64_t kind = rng_below(rng, 8);
    uint8_t value = rng_below(rng, 2);
    for (int i = 0; i < PIXELS; i++) {
        if (kind > 1 && rng_below(rng, kind) == 0) value = !value;
        pixels[i] = value;
    }
}

/* With runs of 0 here and there, as a file may have them. */
static int64_t list_counts(struct rng *rng, const uint8_t pixels[PIXELS], int64_t *counts)
{
    int64_t n = 0;
    uint8_t value = 0;
    counts[n++] = 0;
    for (int i = 0; i < PIXELS; i++) {
        if (pixels[i] != value) counts[n++] = 0, value = pixels[i];
        if (rng_below(rng, 10) == 0) counts[n] = counts[n + 1] = 0, n += 2;
        counts[n - 1]++;
    }
    return n;
}

static void same_pixels(const char *what, struct mask mask, const uint8_t pixels[PIXELS])
{
    int64_t at = 0;
    for (int64_t i = 0; i < mask.count; i++) {
        EXPECT(mask.runs[i] > 0 || i == 0, "%s: run %d is 0", what, (int)i);
        for (uint32_t k = 0; k < mask.runs[i]; k++, at++)
            EXPECT(at < PIXELS && pixels[at] == (i & 1), "%s: pixel %d", what, (int)at);
    }
    EXPECT(at == PIXELS, "%s: %d pixels", what, (int)at);
}

static void box_of(const uint8_t pixels[PIXELS], double box[4])
{
    int x0 = WIDTH, y0 = HEIGHT, x1 = -1, y1 = -1;
    for (int i = 0; i < PIXELS; i++) {
        if (!pixels[i]) continue;
        int x = i / HEIGHT, y = i % HEIGHT;
        x0 = x < x0 ? x : x0, x1 = x > x1 ? x : x1, y0 = y < y0 ? y : y0, y1 = y > y1 ? y : y1;
    }
    for (int k = 0; k < 4; k++) box[k] = x1 < 0 ? 0 : (int[]){x0, y0, x1 - x0 + 1, y1 - y0 + 1}[k];
}

static void masks_are_pixels(void)
{
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct rng rng = rng_open(seed, RNG_TEST, 0, 0);
        uint8_t pixels[2][PIXELS], united[PIXELS];
        struct runs runs[2] = {{0}, {0}}, both = {0}, again = {0};
        int64_t counts[4 * PIXELS], shared = 0, area = 0;
        for (int k = 0; k < 2; k++) {
            draw(&rng, pixels[k]);
            int64_t n = list_counts(&rng, pixels[k], counts);
            const char *wrong = rle_from_counts(&runs[k], counts, n, PIXELS);
            EXPECT(!wrong, "seed %d: %s", (int)seed, wrong);
            same_pixels("from counts", mask_of(&runs[k]), pixels[k]);
        }
        for (int i = 0; i < PIXELS; i++) {
            united[i] = pixels[0][i] | pixels[1][i];
            shared += pixels[0][i] & pixels[1][i];
            area += pixels[0][i];
        }
        rle_union(&both, mask_of(&runs[0]), mask_of(&runs[1]));
        same_pixels("union", mask_of(&both), united);
        EXPECT(rle_area(mask_of(&runs[0])) == area, "area");
        EXPECT(rle_intersection(mask_of(&runs[0]), mask_of(&runs[1])) == shared, "intersection");
        double box[4], expected[4];
        rle_box(mask_of(&runs[0]), HEIGHT, box);
        box_of(pixels[0], expected);
        EXPECT(!memcmp(box, expected, sizeof box), "box %g %g %g %g", box[0], box[1], box[2], box[3]);
        struct str text = {0};
        rle_to_string(&text, mask_of(&runs[0]));
        const char *wrong = rle_from_string(&again, text.data, text.len, PIXELS);
        EXPECT(!wrong, "seed %d: %s: %s", (int)seed, text.data, wrong);
        same_pixels("from string", mask_of(&again), pixels[0]);
        str_free(&text);
        for (int k = 0; k < 2; k++) runs_free(&runs[k]);
        runs_free(&both);
        runs_free(&again);
    }
}

static void no_masks(void)
{
    static const struct {
        const char *text, *wrong;
    } cases[] = {{"", "less than"},
                 {"1", "less than"},
                 {"4", NULL},
                 {"5", "more than"},
                 {"11", "less than"},
                 {"22", NULL},
                 {"N5", "negative"},
                 {"oooooooooooo", "no run-length"},
                 {"P", "no run-length"},
                 {"2 2", "no run-length"},
                 {"112O", NULL},
                 {"0004", NULL},
                 {"1101N", "negative"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct runs runs = {0};
        const char *wrong = rle_from_string(&runs, cases[i].text, strlen(cases[i].text), 4);
        EXPECT(cases[i].wrong ? wrong && strstr(wrong, cases[i].wrong) : !wrong, "\"%s\": %s", cases[i].text,
               wrong ? wrong : "a mask");
        EXPECT(!wrong || !runs.count, "\"%s\" left runs", cases[i].text);
        runs_free(&runs);
    }
}

/* --- JSON --- */

static void numbers(void)
{
    for (uint64_t seed = 0; seed < 20000; seed++) {
        struct rng rng = rng_open(seed, RNG_TEST, 1, 0);
        char text[64];
        double value = ldexp(rng_normal(&rng), (int)rng_below(&rng, 60) - 30);
        snprintf(text, sizeof text, seed % 3 ? "%.*g" : "%.*e", (int)rng_below(&rng, 20), value);
        struct error error = {0};
        struct json_reader r = reader_open("numbers", text, strlen(text), &error);
        double got = reader_real(&r);
        reader_finish(&r);
        EXPECT(!r.failed && got == strtod(text, NULL), "%s: %.17g %s", text, got, error.text);
        reader_close(&r);
    }
    static const char *const integers[] = {"0",  "-7", "9223372036854775807", "12.0", "1e3", "1.5", "1e30", "9e99",
                                           "07", "x"};
    static const int64_t values[] = {0, -7, INT64_MAX, 12, 1000};
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        struct error error = {0};
        struct json_reader r = reader_open("integers", integers[i], strlen(integers[i]), &error);
        int64_t got = reader_integer(&r);
        EXPECT(i < 5 ? !r.failed && got == values[i] : r.failed, "%s: %ld", integers[i], (long)got);
        reader_close(&r);
    }
}

static void texts_and_faults(void)
{
    static const char text[] = "\xef\xbb\xbf{\"a\\u0041\\\\\\n\": [1, {\"b\": null}, \"c\"], \"aA\": true\n}";
    static const char *const keys[] = {"aA", "aA\\\n", NULL};
    struct error error = {0};
    struct json_reader r = reader_open("texts", text, sizeof text - 1, &error);
    unsigned seen = 0;
    EXPECT(reader_enter(&r, '{') && reader_key(&r, keys, &seen) == 1 && reader_skip(&r) == 3, "%s", error.text);
    EXPECT(reader_more(&r, '}') && reader_key(&r, keys, &seen) == 0 && reader_flag(&r), "%s", error.text);
    EXPECT(!reader_more(&r, '}') && !r.failed, "%s", error.text);
    reader_finish(&r);
    EXPECT(!r.failed, "%s", error.text);
    reader_close(&r);
    static const char *const faults[][2] = {
        {"[1,\n 2", "f:2:3: expected , or ]"}, {"{\"a\" 1}", "f:1:6: expected :"},
        {"[1]x", "f:1:4: something follows"},  {"[01]", "f:1:2: expected a value"},
        {"[\"a", "f:1:4: a string without"},   {"[\"\\x\"]", "f:1:4: not an escape"},
        {"[NaN]", "f:1:2: expected a value"},  {"[1,]", "f:1:4: expected a value"},
        {"", "f:1:1: expected a value"},       {"{1:2}", "f:1:2: expected a string"},
        {"[1.]", "f:1:2: expected a value"},   {"[\"\n\"]", "f:1:3: a string without"}};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct error fault = {0};
        struct json_reader f = reader_open("f", faults[i][0], strlen(faults[i][0]), &fault);
        reader_skip(&f);
        reader_finish(&f);
        EXPECT(strstr(fault.text, faults[i][1]), "%s: %s", faults[i][0], fault.text);
        reader_close(&f);
    }
}

/* --- files --- */

#define IMAGES "\"images\":[{\"id\":1,\"height\":4,\"width\":5},{\"id\":2,\"height\":4,\"width\":5}],"
#define CATEGORIES "\"categories\":[{\"id\":3}],"
#define TRUTH(...) "{" IMAGES CATEGORIES "\"annotations\":[" __VA_ARGS__ "]}"
#define BOXED "{\"id\":1,\"image_id\":1,\"category_id\":3,\"bbox\":[0,0,2,2],\"area\":4,\"iscrowd\":0}"
#define MASKED(mask) "{\"id\":1,\"image_id\":1,\"category_id\":3,\"area\":4,\"iscrowd\":0,\"segmentation\":" mask "}"
#define FOUND(what) "{\"image_id\":1,\"category_id\":3,\"score\":0.5," what "}"
#define BOX "\"bbox\":[0,0,1,1]"

static void no_files(void)
{
    static const struct {
        bool masks, lvis;
        const char *truth, *results, *says;
    } cases[] = {
        {0, 0, TRUTH(BOXED), "[" FOUND(BOX) "]", NULL},
        {0, 0, TRUTH(BOXED), "[]", NULL},
        {0, 0, "[]", "[]", "truth:1:1: expected {"},
        {0, 0, "{" IMAGES CATEGORIES "\"info\":1}", "[]", "no \"annotations\""},
        {0, 0, TRUTH(BOXED "," BOXED), "[]", "annotations: id 1 is there twice"},
        {0, 0, "{\"images\":[{\"id\":1},{\"id\":1}]," CATEGORIES "\"annotations\":[]}", "[]",
         "images: id 1 is there twice"},
        {0, 0, TRUTH("{\"id\":1,\"image_id\":1,\"category_id\":3,\"bbox\":[0,0,2,2],\"iscrowd\":0}"), "[]",
         "annotations[0]: no \"area\""},
        {0, 0, TRUTH("{\"id\":1,\"image_id\":1,\"category_id\":3,\"bbox\":[0,0,2,2],\"area\":4}"), "[]",
         "annotations[0]: no \"iscrowd\""},
        {0, 0, TRUTH("{\"id\":1,\"id\":2}"), "[]", "\"id\" is there twice"},
        {0, 0, TRUTH("{\"id\":\"1\"}"), "[]", "expected an integer"},
        {0, 0, TRUTH("{\"bbox\":[1,2,3]}"), "[]", "a bbox has four numbers"},
        {0, 0, TRUTH("{\"iscrowd\":2}"), "[]", "expected 0 or 1"},
        {1, 0, TRUTH(BOXED), "[]", "annotations[0]: no \"segmentation\""},
        {1, 0, TRUTH(MASKED("[[0,0,3,0,3,3]]")), "[" FOUND(BOX) "]", "results[0]: no \"segmentation\""},
        {1, 0, TRUTH(MASKED("[[0,0,3,3]]")), "[]", "less than three points"},
        {1, 0, TRUTH(MASKED("[]")), "[]", "without polygons"},
        {1, 0, TRUTH(MASKED("[[0,0,3,0,3,3,1]]")), "[]", "odd number"},
        {1, 0, TRUTH(MASKED("{\"size\":[5,4],\"counts\":[20]}")), "[]",
         "of size [5, 4], but its picture is 4 high and 5"},
        {1, 0, TRUTH(MASKED("{\"size\":[4,5],\"counts\":[19]}")), "[]", "add up to less"},
        {1, 0, TRUTH(MASKED("{\"size\":[4,5],\"counts\":[15,6]}")), "[]", "add up to more"},
        {1, 0, TRUTH(MASKED("{\"counts\":[20]}")), "[]", "needs \"size\""},
        {1, 0, TRUTH(MASKED("{\"size\":[4,5],\"counts\":\"4`0\"}")),
         "[" FOUND("\"segmentation\":{\"size\":[4,5],\"counts\":\"d0\"}") "]", NULL},
        {0, 0, TRUTH(BOXED), "{}", "results:1:1: expected ["},
        {0, 0, TRUTH(BOXED), "[{\"image_id\":9,\"category_id\":3,\"score\":1," BOX "}]", "image 9 is not in truth"},
        {0, 0, TRUTH(BOXED), "[{\"image_id\":1,\"category_id\":3," BOX "}]", "results[0]: no \"score\""},
        {0, 0, TRUTH(BOXED), "[{\"image_id\":1,\"category_id\":3,\"score\":NaN," BOX "}]", "expected a number"},
        {0, 0, TRUTH(BOXED), "[" FOUND("\"bbox\":[]") "]", "neither \"bbox\" nor"},
        {0, 0, TRUTH(BOXED), "[" FOUND(BOX) ",\n" FOUND("\"segmentation\":[]") "]",
         "results:2:1: results[1]: no \"bbox\", but"},
        {0, 1, TRUTH(BOXED), "[]", "categories[0]: no \"frequency\""},
        {0, 1, "{" IMAGES "\"categories\":[{\"id\":3,\"frequency\":\"r\"}],\"annotations\":[]}", "[]",
         "no \"neg_category_ids\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error = {0};
        struct coco c = {.masks = cases[i].masks, .d = {.federated = cases[i].lvis}};
        int rc = coco_parse_truth(&c, "truth", cases[i].truth, strlen(cases[i].truth), &error);
        if (rc == 0)
            rc = coco_parse_results(&c, "results", "truth", cases[i].results, strlen(cases[i].results), &error);
        EXPECT(cases[i].says ? rc < 0 && strstr(error.text, cases[i].says) : rc == 0, "case %d, %s and %s: %s", (int)i,
               cases[i].truth, cases[i].results, error.text);
        coco_free(&c);
    }
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"masks_are_pixels", masks_are_pixels},
                                     {"no_masks", no_masks},
                                     {"numbers", numbers},
                                     {"texts_and_faults", texts_and_faults},
                                     {"no_files", no_files},
                                     {0}});
}
