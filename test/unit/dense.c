/* pe-evaluator score on dense predictions, labels and features: the figures of other implementations on small data sets
 * (test/golden/dense, made by scripts/reference/dense.py), those of the reference pages, and what is refused. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "data/mask.h"
#include "data/npy.h"
#include "evaluator/verb.h"
#include "test/harness.h"

extern const struct verb verb_score;

enum { MOST = 32 };
#define GOLDEN "test/golden/dense/"

static struct world world = {.size = 1};

/* The metrics of the result, a new reference; NULL with the error's text in `said`.  words: more of the command line,
 * separated by spaces. */
static json_t *score(const char *metric, const char *truth, const char *predictions, const char *words, char *said)
{
    struct error error = {0};
    char *output = fs_join(test_folder(), "result.json"), *more = mem_strdup(words), *rest = NULL;
    char *argv[MOST] = {"--metric",      (char *)metric,      "--truth",  (char *)truth,
                        "--predictions", (char *)predictions, "--output", output};
    int argc = 8;
    for (char *word = strtok_r(more, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) argv[argc++] = word;
    fs_remove_tree(output, &error);
    int rc = verb_score.run(&world, argc, argv, &error);
    json_t *root = rc == 0 ? json_read(output, &error) : NULL,
           *metrics = root ? json_incref(json_object_get(root, "metrics")) : NULL;
    strcpy(said, error.text);
    json_decref(root);
    free(output);
    free(more);
    return metrics;
}

static void expect_figures(const char *what, json_t *found, json_t *wanted)
{
    const char *key;
    json_t *value;
    json_object_foreach (wanted, key, value) {
        double want = json_number_value(value);
        json_t *have = json_object_get(found, key);
        EXPECT(json_is_number(have) && fabs(json_number_value(have) - want) <= 1e-9 * (1 + fabs(want)),
               "%s: %s is %.12g instead of %.12g", what, key, json_number_value(have), want);
    }
}

static void golden(const char *name, const char *metric, const char *truth, const char *predictions, const char *words)
{
    struct error error = {0};
    char said[sizeof error.text];
    json_t *expected = json_read(GOLDEN "expected.json", &error),
           *found = score(metric, truth, predictions, words, said);
    EXPECT(expected && found, "%s: %s%s", name, error.text, said);
    if (found) expect_figures(name, found, json_object_get(expected, name));
    json_decref(expected);
    json_decref(found);
}

static void golden_figures(void)
{
    golden("davis", "davis", GOLDEN "davis/truth", GOLDEN "davis/predictions", "");
    golden("miou", "miou", GOLDEN "miou/truth", GOLDEN "miou/predictions", "--miou-classes 12");
    golden("miou-reduced", "miou", GOLDEN "miou/truth", GOLDEN "miou/predictions",
           "--miou-classes 12 --miou-reduce-zero-label --miou-first 1");
    golden("depth", "depth", GOLDEN "depth/truth", GOLDEN "depth/predictions", "");
    golden("depth-range", "depth", GOLDEN "depth/truth", GOLDEN "depth/predictions", "--depth-min 1.5 --depth-max 6");
    golden("depth-eigen", "depth", GOLDEN "depth-eigen/truth", GOLDEN "depth-eigen/predictions", "--depth-crop eigen");
    golden("classification", "classification", GOLDEN "classification/labels.txt", GOLDEN "classification/scores.npy",
           "");
    golden("classification", "classification", GOLDEN "classification/labels.npy", GOLDEN "classification/scores.npy",
           "");
    golden("retrieval", "retrieval", GOLDEN "retrieval/owner.txt", GOLDEN "retrieval/features", "");
    golden("retrieval", "retrieval", GOLDEN "retrieval/owner.txt", GOLDEN "retrieval/scores", "");
}

/* The same as words: acc1 and mean_per_class_recall, no acc5. */
static void predicted_labels(void)
{
    char said[sizeof(struct error)];
    json_t *scored = score("classification", GOLDEN "classification/labels.txt", GOLDEN "classification/scores.npy", "",
                           said),
           *named = score("classification", GOLDEN "classification/labels.txt", GOLDEN "classification/predicted.txt",
                          "", said);
    EXPECT(named && !json_object_get(named, "acc5"), "acc5 of labels alone; %s", said);
    json_object_del(scored, "acc5");
    expect_figures("labels", named, scored);
    json_decref(scored);
    json_decref(named);
}

/* The figures that the reference pages give. */
static void pages(void)
{
    const struct {
        const char *metric, *words;
        const char *key;
        double value;
    } rows[] = {{"miou", "--miou-classes 4 --miou-reduce-zero-label", "mIoU", .333333},
                {"miou", "--miou-classes 4 --miou-reduce-zero-label", "aAcc", .571429},
                {"depth", "--depth-scale 2000", "a1", .75},
                {"depth", "--depth-scale 2000", "a2", 1},
                {"depth", "--depth-scale 2000", "a3", 1},
                {"depth", "--depth-scale 2000", "abs_rel", .21875},
                {"depth", "--depth-scale 2000", "sq_rel", .2925},
                {"depth", "--depth-scale 2000", "rmse", 1.12361},
                {"depth", "--depth-scale 2000", "rmse_log", .233508},
                {"depth", "--depth-scale 2000", "log_10", .0838852},
                {"depth", "--depth-scale 2000", "silog", 21.06598}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char said[sizeof(struct error)], truth[64], predictions[64];
        snprintf(truth, sizeof truth, GOLDEN "page-%s/truth", rows[i].metric);
        snprintf(predictions, sizeof predictions, GOLDEN "page-%s/predictions", rows[i].metric);
        json_t *found = score(rows[i].metric, truth, predictions, rows[i].words, said);
        double value = json_number_value(json_object_get(found, rows[i].key));
        EXPECT(found && fabs(value - rows[i].value) < 5e-6 * fmax(1, rows[i].value),
               "%s of the page: %s is %.9g, not %.9g; %s", rows[i].metric, rows[i].key, value, rows[i].value, said);
        json_decref(found);
    }
}

/* A resample in which every picture is there once is the whole: the interval of a comparison with itself is 0. */
static void against_itself(void)
{
    const char *metrics[] = {"miou", "depth", "davis"};
    for (size_t i = 0; i < 3; i++) {
        char said[sizeof(struct error)], truth[64], predictions[64], words[160];
        snprintf(truth, sizeof truth, GOLDEN "%s/truth", metrics[i]);
        snprintf(predictions, sizeof predictions, GOLDEN "%s/predictions", metrics[i]);
        snprintf(words, sizeof words, "--miou-classes 12 --bootstrap 50 --against %s", predictions);
        json_t *found = score(metrics[i], truth, predictions, words, said),
               *difference = json_object_get(found, "difference");
        EXPECT(difference && json_number_value(json_object_get(difference, "difference")) == 0 &&
                   json_number_value(json_object_get(difference, "stderr")) == 0 &&
                   json_number_value(json_object_get(found, "stderr")) > 0,
               "%s against itself: %s", metrics[i], said);
        json_decref(found);
    }
}

/* --- what is refused --- */

/* In a copy of the metric's golden folder, after `change` was done there. */
struct refusal {
    const char *change, *metric, *truth, *predictions, *words, *says;
};

#define DAVIS "davis", "davis/truth", "davis/predictions"
#define FRAME "davis/predictions/walk/00003.png"
#define WALK "davis/truth/Annotations/480p/walk"
#define MIOU "miou", "miou/truth", "miou/predictions"
#define DEPTH "depth", "depth/truth", "depth/predictions"
#define CLASSES "classification", "classification/labels.txt", "classification/scores.npy"
#define RETRIEVAL "retrieval", "retrieval/owner.txt", "retrieval/features"
/* FILE, OFFSET: a NaN there */
#define PATCH(file, offset) "printf '\\000\\000\\300\\177' | dd conv=notrunc status=none bs=1 of=" file " seek=" #offset

static const struct refusal refusals[] = {
    {"rm " FRAME, DAVIS, "", FRAME ": No such file"},
    {"cp " WALK "/00001.png " FRAME, DAVIS, "", FRAME ": object 255, the truth has 2"},
    {"cp $CASES/rgb/input " FRAME, DAVIS, "", FRAME ": PNG of colours where numbers are expected"},
    {"cp $CASES/grey-8/input " FRAME, DAVIS, "", FRAME ": 23 x 16, the first mask of the truth is 90 x 60"},
    {"cp $CASES/grey-16/input " WALK "/00000.png", DAVIS, "", WALK "/00000.png: 16-bit grey is no mask"},
    {"truncate -s 90 " FRAME, DAVIS, "", FRAME ": PNG: cut short"},
    {"echo walk >> davis/truth/ImageSets/2017/val.txt", DAVIS, "", "val.txt: walk is there twice"},
    {"rm " WALK "/0000[3-6].png " WALK "/00001.png", DAVIS, "", WALK ": 2 masks"},
    {"true", MIOU, "", "--miou-classes: how many classes are there?"},
    {"true", MIOU, "--miou-classes 12 --miou-ignore 254", "miou/truth/0.png: 255 at row"},
    {"true", MIOU, "--miou-classes 10", "miou/predictions/0.png: 10 at row"},
    {"cp miou/truth/a/1.png miou/predictions/0.png", MIOU, "--miou-classes 12",
     "miou/predictions/0.png: 51 x 99, the truth is 93 x 60"},
    {"rm miou/predictions/a/2.png", MIOU, "--miou-classes 12", "miou/predictions/a/2.png: no such file"},
    {"printf '0.png\\na/2.png\\n0.png\\n' > list", MIOU, "--miou-classes 12 --miou-list list",
     "list: 0.png is there twice"},
    {"cp depth/truth/1.png depth/predictions/", DEPTH, "", "1.npy: which is the prediction?"},
    {PATCH("depth/predictions/1.npy", 132), DEPTH, "", "depth/predictions/1.npy: nan at row 0, column 1"},
    {"cp $CASES/../npy/vector/input depth/predictions/1.npy", DEPTH, "", "1.npy: no array [height, width]"},
    {"cp $CASES/palette-8/input depth/truth/0.png", DEPTH, "", "0.png: palette indices are no depth"},
    {"true", DEPTH, "--depth-min 100 --depth-max 200", "truth/0.png: no depth between --depth-min and --depth-max"},
    {"true", DEPTH, "--depth-min 10", "--depth-min 10 is not below --depth-max"},
    {"true", DEPTH, "--depth-crop eigen", "truth/0.png: 34 x 21: --depth-crop eigen is for 640 x 480"},
    {"sed -i 1d classification/labels.txt", CLASSES, "", "scores.npy: 60 samples, classification/labels.txt has 59"},
    {"sed -i 1d classification/predicted.txt", "classification", "classification/labels.txt",
     "classification/predicted.txt", "", "predicted.txt: 59 samples"},
    {"sed -i 1s/.*/9/ classification/labels.txt", CLASSES, "", "labels.txt: number 1 is 9, of 9 classes"},
    {"sed -i 2s/.*/cat/ classification/labels.txt", CLASSES, "", "line 2: \"cat\" is no whole number"},
    {PATCH("classification/scores.npy", 128), CLASSES, "", "scores.npy: row 0, column 0 is nan"},
    {"cp retrieval/scores/scores.npy retrieval/features/", RETRIEVAL, "", "scores.npy: and features beside it"},
    {"sed -i 1s/.*/23/ retrieval/owner.txt", RETRIEVAL, "", "owner.txt: number 1 is 23, of 23 images"},
    {"sed -i 1d retrieval/owner.txt", RETRIEVAL, "", "text.npy: 53 texts, retrieval/owner.txt has 52"},
    {"cp $CASES/../npy/f4/input retrieval/features/image.npy", RETRIEVAL, "", "text.npy: features of 8"},
};

static void refused(void)
{
    char here[4096];
    EXPECT(getcwd(here, sizeof here) != NULL, "no current folder");
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const struct refusal *r = &refusals[i];
        char said[sizeof(struct error)];
        int rc = test_shell(
            NULL, "cd %s && rm -rf g && mkdir g && cp -r %s/" GOLDEN "%s g && cd g && CASES=%s/test/cases/mask && %s",
            test_folder(), here, r->metric, here, r->change);
        EXPECT(rc == 0 && chdir(test_folder()) == 0 && chdir("g") == 0, "%s: %d", r->change, rc);
        json_t *found = score(r->metric, r->truth, r->predictions, r->words, said);
        EXPECT(chdir(here) == 0, "%s", here);
        EXPECT(!found && strstr(said, r->says), "after %s, %s %s says: %s", r->change, r->metric, r->words, said);
        json_decref(found);
    }
}

/* A list chooses pictures; ADE20K's folders are known. */
static void chosen(void)
{
    char said[sizeof(struct error)], list[256], ade[256], words[300];
    snprintf(list, sizeof list, "%s/list", test_folder());
    snprintf(ade, sizeof ade, "%s/ade", test_folder());
    snprintf(words, sizeof words, "--miou-classes 12 --miou-list %s", list);
    EXPECT(test_shell(NULL,
                      "printf '0.png\\na/1.png\\n' > %s && mkdir -p %s/annotations && cp -r " GOLDEN
                      "miou/truth %s/annotations/validation",
                      list, ade, ade) == 0,
           "no list");
    json_t *some = score("miou", GOLDEN "miou/truth", GOLDEN "miou/predictions", words, said),
           *all = score("miou", ade, GOLDEN "miou/predictions", "--miou-classes 12", said);
    EXPECT(json_integer_value(json_object_get(some, "samples")) == 2, "%s", said);
    EXPECT(json_integer_value(json_object_get(all, "samples")) == 3, "%s", said);
    json_decref(some);
    json_decref(all);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"golden_figures", golden_figures},
                                     {"predicted_labels", predicted_labels},
                                     {"pages", pages},
                                     {"against_itself", against_itself},
                                     {"refused", refused},
                                     {"chosen", chosen},
                                     {0}});
}
