/* Probes whose heads are trained, called as pe-evaluator calls them, several times in one process: what features are
 * made standard by, samples without a label, one layer alone, and what is refused. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "data/writer.h"
#include "evaluator/heads/classes.h"
#include "models/weights.h"
#include "test/harness.h"

enum { SAMPLES = 40, CLASSES = 4, BARE = 7 }; /* each BARE-th sample has no label */

static const struct world world = {.size = 1, .node_ranks = 1};
static const char *const classes[] = {"a", "b", "c", "d", "e"};
static char *weights, *data, *output;

static int32_t label_of(int64_t sample)
{
    return sample % BARE == BARE - 1 ? -1 : (int32_t)(sample % CLASSES);
}

/* A data set of the test's pictures; kinds: of so many classes, 0: none; names: of the first classes. */
static char *write_data(const char *name, int32_t kinds, int64_t names)
{
    struct error e = {0};
    struct writer w;
    struct writer_index index;
    char *folder = fs_join(test_folder(), name), path[300], *bytes;
    size_t len;
    json_t *recipe = json_object();
    int rc = writer_claim(folder, recipe, NULL, 0, &e);
    if (rc == 0) rc = writer_begin(&w, folder, 0, &e);
    for (int64_t i = 0; i < SAMPLES && rc == 0; i++) {
        snprintf(path, sizeof path, "%s/pictures/%04ld.%s", test_folder(), (long)i, i % 2 ? "webp" : "jpg");
        if ((rc = fs_read(path, &bytes, &len, &e)) < 0) break;
        struct record r = {.media = i % 2 ? RECORD_WEBP : RECORD_JPEG,
                           .width = 48,
                           .height = 48,
                           .label = kinds && label_of(i) >= 0 ? label_of(i) % kinds : -1,
                           .bytes = (const uint8_t *)bytes,
                           .len = len};
        struct str record = {0};
        record_encode(&r, &record);
        rc = writer_append(&w, &record, false, &e);
        str_free(&record);
        free(bytes);
    }
    if (rc == 0) rc = writer_finish(&w, &e);
    if (rc == 0) rc = writer_gather(folder, 1, &index, &e);
    struct writer_names labels = {.classes = (char *const *)(uintptr_t)classes, .class_count = names};
    if (rc == 0) rc = writer_commit(folder, &index, &labels, recipe, &e);
    EXPECT(rc == 0, "%s", e.text);
    if (rc == 0) writer_index_free(&index);
    json_decref(recipe);
    return folder;
}

static void make(void)
{
    struct error e = {0};
    struct model_config config;
    struct towers towers;
    if (weights) return;
    const char *build = getenv("BUILD");
    EXPECT(test_shell(NULL, "%s/test/make_pictures %s/pictures %d", build ? build : "build/release", test_folder(),
                      SAMPLES) == 0,
           "no pictures");
    weights = fs_join(test_folder(), "weights.safetensors");
    output = fs_join(test_folder(), "results.json");
    data = write_data("data", CLASSES, CLASSES);
    EXPECT(model_config_load(&config, "PE-Core-Test8-32", &e) == 0, "%s", e.text);
    towers_open(&towers, &config);
    towers_init(&towers, 3);
    EXPECT(weights_save(&towers, weights, WEIGHTS_PE, NULL, &e) == 0, "%s", e.text);
    towers_close(&towers);
}

/* Runs a probe with these words behind those that all have (a later one wins), into `output` anew. */
static int probe(const struct head_kind *kind, struct error *error, const char *words)
{
    enum { WORDS = 64 };
    char *argv[WORDS], *line, *rest = NULL;
    struct str all = {0};
    int argc = 0;
    struct error none = {0};
    make();
    char *run = fs_join(test_folder(), "results.run");
    EXPECT(fs_remove_tree(run, &none) == 0 && fs_remove_tree(output, &none) == 0, "%s", none.text);
    str_printf(&all,
               "--weights %s --model PE-Core-Test8-32 --threads 1 --train-data %s --data %s --output %s --steps 2 "
               "--global-batch-size 8 --slices 2 --batch-size 7 --norm-samples 16 --aug none %s",
               weights, data, data, output, words);
    line = str_steal(&all);
    for (char *word = strtok_r(line, " ", &rest); word && argc < WORDS; word = strtok_r(NULL, " ", &rest))
        argv[argc++] = word;
    *error = (struct error){0};
    int rc = heads_run(kind, &world, argc, argv, error);
    free(line);
    free(run);
    return rc;
}

static json_t *metrics(json_t **root)
{
    struct error e = {0};
    *root = json_read(output, &e);
    EXPECT(*root, "%s", e.text);
    return json_object_get(*root, "metrics");
}

static int64_t whole(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* --- mean and scale --- */

/* Sums over the rows of labelled samples, of each want. */
struct sums {
    double *sum, *square; /* [wants, cols] */
    int64_t rows[2], cols;
};

static int add(void *self, int want, const struct feature_rows *r, struct error *error)
{
    struct sums *s = self;
    (void)error;
    s->cols = r->cols;
    EXPECT(r->label == label_of(r->sample), "label %d of sample %ld", r->label, (long)r->sample);
    for (int64_t i = 0; i < r->rows * r->cols && r->label >= 0; i++) {
        s->sum[want * 4096 + i % r->cols] += (double)r->data[i];
        s->square[want * 4096 + i % r->cols] += (double)r->data[i] * (double)r->data[i];
    }
    if (r->label >= 0) s->rows[want] += r->rows;
    return 0;
}

static void features(struct sums *s, enum feature feature)
{
    struct error e = {0};
    struct model_config config;
    struct device device;
    struct towers towers;
    struct tape tape;
    struct collection set;
    struct want wants[2] = {{1, feature}, {2, feature}};
    struct taker taker = {.wants = wants, .count = 2, .take = add, .self = s};
    *s = (struct sums){.sum = mem_zalloc(2 * 4096, sizeof(double)), .square = mem_zalloc(2 * 4096, sizeof(double))};
    EXPECT(model_config_load(&config, "PE-Core-Test8-32", &e) == 0 && collection_open(&set, &data, 1, &e) == 0 &&
               device_open(&device, "cpu", "fp32", NULL, 1, 0, &e) == 0,
           "%s", e.text);
    towers_open(&towers, &config);
    EXPECT(weights_load(&towers, weights, true, &e) == 0, "%s", e.text);
    towers_place(&towers, &device, false);
    tape_init(&tape, &device);
    struct embedder embedder = {.world = &world,
                                .device = &device,
                                .tape = &tape,
                                .encoder = encoder_of_vision(&towers.vision, 2),
                                .batch = 5,
                                .media = {.frames = 1, .limits = {.seconds = 60, .max_pixels = 1000000}},
                                .threads = 1};
    struct picture_source source = {.data = &set, .count = set.samples};
    EXPECT(features_pass(&embedder, &source, &taker, 1, &e) == 0, "%s", e.text);
    tape_free(&tape);
    towers_close(&towers);
    device_close(&device);
    collection_close(&set);
}

/* A run whose first step's batch is an epoch of all that are taught. */
static void measured(const struct head_kind *kind, enum feature feature, const char *words)
{
    struct error e;
    struct sums s;
    struct safetensors file;
    struct arena arena;
    arena_open(&arena, 1 << 24);
    EXPECT(probe(kind, &e, words) == 0, "%s", e.text);
    features(&s, feature);
    char *path = fs_join(test_folder(), "results.run/checkpoints/latest/model.safetensors");
    EXPECT(safetensors_open(&file, path, &e) == 0, "%s", e.text);
    for (int64_t layer = 1; layer <= 2; layer++) {
        char name[2][64];
        float mean[4096], scale[4096];
        int64_t n = s.rows[layer - 1], count = 0;
        for (int64_t k = 0; k < s.cols; k++) {
            double m = s.sum[(layer - 1) * 4096 + k] / (double)n,
                   v = s.square[(layer - 1) * 4096 + k] / (double)n - m * m;
            mean[k] = (float)m;
            scale[k] = (float)(1 / sqrt(v + 1e-6));
        }
        snprintf(name[0], sizeof name[0], "layers.%ld.mean", (long)layer);
        snprintf(name[1], sizeof name[1], "layers.%ld.scale", (long)layer);
        const float *got = test_vector(&arena, &file, name[0], &count);
        EXPECT(got && count == s.cols, "%s: %ld of %ld", name[0], (long)count, (long)s.cols);
        if (got) test_close(name[0], got, mean, s.cols, 1e-6);
        got = test_vector(&arena, &file, name[1], &count);
        if (got) test_close(name[1], got, scale, s.cols, 1e-5);
    }
    safetensors_close(&file);
    arena_close(&arena);
    free(path);
    free(s.sum);
    free(s.square);
}

static void features_are_made_standard(void)
{
    /* 40 samples, 5 of them without label: a batch of 35 */
    const char *all = "--global-batch-size 35 --slices 5 --steps 1 --norm-samples 35 --choose-on test";
    char words[256];
    snprintf(words, sizeof words, "%s --feature mean", all);
    measured(&head_linear, FEATURE_MEAN, words);
    measured(&head_linear, FEATURE_POOLED, all);
    measured(&head_attention, FEATURE_TOKENS, all);
}

/* --- results --- */

static void unlabelled_samples_are_counted(void)
{
    struct error e;
    json_t *root;
    EXPECT(probe(&head_linear, &e, "--held-out 0.2 --lr-grid 0.01,0.1,1") == 0, "%s", e.text);
    const json_t *m = metrics(&root);
    EXPECT(whole(m, "samples") == 35 && whole(m, "unlabelled") == 5 && whole(m, "train_unlabelled") == 5 &&
               whole(m, "held_out_samples") == 7 && whole(m, "train_samples") == 28 && whole(m, "classes") == CLASSES,
           "counts");
    EXPECT(json_array_size(json_object_get(json_array_get(json_object_get(m, "layers"), 0), "rates")) == 3, "rates");
    json_decref(root);
}

/* Trained on one set and tested on another: of 35 samples `unseen` are of a class that is not learned, and those alone
 * are wrong among the first five. */
static void tested(const struct head_kind *kind, const char *train, const char *test, int64_t classes_there,
                   int64_t unseen)
{
    char words[512];
    struct error e;
    json_t *root;
    snprintf(words, sizeof words, "--train-data %s --data %s", train, test);
    EXPECT(probe(kind, &e, words) == 0, "%s: %s", words, e.text);
    const json_t *m = metrics(&root);
    double acc5 = json_real_value(json_object_get(json_array_get(json_object_get(m, "layers"), 0), "acc5"));
    EXPECT(whole(m, "unseen") == unseen && whole(m, "samples") == 35 && whole(m, "classes") == classes_there &&
               acc5 == (double)(35 - unseen) / 35,
           "%s: %ld unseen, %ld classes, acc5 %g", words, (long)whole(m, "unseen"), (long)whole(m, "classes"), acc5);
    json_decref(root);
}

static void classes_that_are_not_learned_count_as_wrong(void)
{
    make();
    char *other = write_data("other", CLASSES, CLASSES + 1), *three = write_data("three", 3, 3);
    char *numbers = write_data("numbers", CLASSES, 0), *three_numbers = write_data("three-numbers", 3, 0);
    tested(&head_linear, data, other, CLASSES, 0); /* class e has a name and no sample */
    tested(&head_linear, three, data, CLASSES, 9);
    tested(&head_attention, three, data, CLASSES, 9);
    tested(&head_linear, three_numbers, numbers, CLASSES, 9);
    tested(&head_linear, data, three, CLASSES, 0);
    free(other), free(three), free(numbers), free(three_numbers);
}

/* Layer 2's figures do not depend on who learns beside it. */
static void heads_learn_as_if_alone(void)
{
    static const struct head_kind *const kinds[] = {&head_linear, &head_attention};
    for (int i = 0; i < 2; i++) {
        struct error e;
        json_t *both, *one;
        EXPECT(probe(kinds[i], &e, "--layers 1,2 --steps 6 --lr-grid 1,0.5") == 0, "%s", e.text);
        const json_t *of_both = json_array_get(json_object_get(metrics(&both), "layers"), 1);
        EXPECT(probe(kinds[i], &e, "--layers last --steps 6 --lr-grid 1,0.5") == 0, "%s", e.text);
        const json_t *alone = json_array_get(json_object_get(metrics(&one), "layers"), 0);
        EXPECT(json_equal(of_both, alone) && whole(alone, "layer") == 2, "layer 2 of both, and alone");
        json_decref(both);
        json_decref(one);
    }
}

static void refused(const struct head_kind *kind, const char *words, int code, const char *says)
{
    struct error e;
    EXPECT(probe(kind, &e, words) < 0 && e.code == code && strstr(e.text, says), "\"%s\": %d, \"%s\"", words, e.code,
           e.text);
    EXPECT(!fs_exists(output), "%s: a result", words);
}

static void mistakes_are_refused(void)
{
    char words[512];
    make();
    refused(&head_linear, "--grad-clip-norm 1", ERROR_USAGE, "no norm in common");
    refused(&head_linear, "--lr-grid 1e-3,,2", ERROR_USAGE, "--lr-grid 1e-3,,2: give positive numbers");
    refused(&head_linear, "--held-out 0.01", ERROR_USAGE, "leaves none of 35 samples");
    refused(&head_linear, "--layers 3", ERROR_USAGE, "the encoder has layers 0 to 2");
    refused(&head_attention, "--probe-heads 5", ERROR_USAGE, "does not divide 64 columns");
    refused(&head_linear, "--epochs 1", ERROR_USAGE, "--steps or as --epochs");
    char *bare = write_data("bare", 0, CLASSES), *few = write_data("few", CLASSES, CLASSES - 1);
    char *unnamed = write_data("unnamed", CLASSES, 0);
    snprintf(words, sizeof words, "--train-data %s", bare);
    refused(&head_linear, words, ERROR_FAILED, "bare: no sample has a label");
    snprintf(words, sizeof words, "--data %s", bare);
    refused(&head_linear, words, ERROR_FAILED, "bare: no sample has a label");
    snprintf(words, sizeof words, "--train-data %s --data %s", few, few);
    refused(&head_linear, words, ERROR_FAILED, "few: sample 3 has label 3, there are 3 classes");
    snprintf(words, sizeof words, "--data %s", unnamed);
    refused(&head_linear, words, ERROR_FAILED, "names no classes, and other data sets do");
    free(bare), free(few), free(unnamed);
}

int main(int argc, char **argv)
{
    return test_main(
        argc, argv,
        (struct test[]){{"features_are_made_standard", features_are_made_standard},
                        {"unlabelled_samples_are_counted", unlabelled_samples_are_counted},
                        {"classes_that_are_not_learned_count_as_wrong", classes_that_are_not_learned_count_as_wrong},
                        {"heads_learn_as_if_alone", heads_learn_as_if_alone},
                        {"mistakes_are_refused", mistakes_are_refused},
                        {0}});
}
