/* Figures over features: what chance scores, and that nothing is scored of features that are none. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/rng.h"
#include "models/towers.h"
#include "serve/zeroshot.h"
#include "test/harness.h"

enum { IMAGES = 301, TEXTS = 2 * IMAGES, CLASSES = 7, DIM = 24 };

static struct world world = {.size = 1};
static float images[IMAGES * DIM], texts[TEXTS * DIM], classes[CLASSES * DIM];
static int32_t owner[TEXTS], labels[IMAGES];

/* Rows of unit length, all the same when `constant`. */
static void draw(float *rows, int count, bool constant, uint64_t seed)
{
    for (int i = 0; i < count; i++) {
        struct rng rng = rng_open(seed, RNG_TEST, 0, constant ? 0 : (uint64_t)i);
        double squares = 0;
        for (int k = 0; k < DIM; k++) rows[i * DIM + k] = (float)rng_normal(&rng), squares += pow(rows[i * DIM + k], 2);
        for (int k = 0; k < DIM; k++) rows[i * DIM + k] /= (float)sqrt(squares);
    }
}

static void open_cpu(struct device *device, int threads)
{
    struct error error = {0};
    EXPECT(device_open(device, "cpu", "fp32", NULL, threads, 0, &error) == 0, "%s", error.text);
}

static void constant_encoders(void)
{
    struct device device;
    open_cpu(&device, 2);
    for (int i = 0; i < TEXTS; i++) owner[i] = i / 2;
    for (int i = 0; i < IMAGES; i++) labels[i] = i % CLASSES;
    for (int which = 1; which < 4; which++) {
        draw(images, IMAGES, which & 1, 1);
        draw(texts, TEXTS, which & 2, which == 3 ? 1 : 2); /* 3: pictures and texts all alike */
        draw(classes, CLASSES, which & 2, which == 3 ? 1 : 2);
        struct retrieval_scores r = score_retrieval(&device, &world, images, IMAGES, texts, owner, TEXTS, DIM, false);
        struct classification_scores c =
            score_classification(&device, &world, images, labels, IMAGES, classes, CLASSES, DIM);
        for (int k = 0; k < RECALL_LEVELS; k++)
            EXPECT(r.image[k] <= 1. * recall_at[k] / IMAGES && r.text[k] <= 1. * recall_at[k] / IMAGES,
                   "constant %d: recall@%d %g, %g", which, recall_at[k], r.image[k], r.text[k]);
        EXPECT(c.acc1 <= 1. / CLASSES + 1. / IMAGES && c.acc5 <= 5. / CLASSES + 5. / IMAGES,
               "constant %d: acc1 %g, acc5 %g", which, c.acc1, c.acc5);
        EXPECT(fabs(c.mean_per_class_recall - 1. / CLASSES) < 1e-12, "constant %d: mean per class %g", which,
               c.mean_per_class_recall);
    }
    device_close(&device);
}

static void numbers_only(void)
{
    struct device device;
    open_cpu(&device, 1); /* threads do not survive the fork */
    draw(images, IMAGES, false, 1);
    draw(classes, CLASSES, false, 2);
    images[200 * DIM + 3] = NAN;
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        fclose(stderr);
        score_classification(&device, &world, images, labels, IMAGES, classes, CLASSES, DIM);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "a figure was made of NaN: status %d", status);
    device_close(&device);
}

struct tower {
    struct device device;
    struct towers towers;
    struct tape tape;
    struct tokenizer *tokenizer;
    struct embedder embedder;
};

static void tower_open(struct tower *t)
{
    struct error error = {0};
    struct model_config config;
    *t = (struct tower){0};
    open_cpu(&t->device, 2);
    EXPECT(model_config_load(&config, "PE-Core-Test8-32", &error) == 0, "%s", error.text);
    towers_open(&t->towers, &config);
    towers_init(&t->towers, 1);
    towers_place(&t->towers, &t->device, false);
    tape_init(&t->tape, &t->device);
    t->tokenizer = tokenizer_open();
    t->embedder = (struct embedder){.world = &world,
                                    .device = &t->device,
                                    .tape = &t->tape,
                                    .tokenizer = t->tokenizer,
                                    .batch = 3,
                                    .encoder = encoder_of_vision(&t->towers.vision, config.vision.layers),
                                    .text = &t->towers.text,
                                    .media = {.limits = {.max_pixels = 1000000}},
                                    .threads = 2};
}

static void tower_close(struct tower *t)
{
    tokenizer_close(t->tokenizer);
    tape_free(&t->tape);
    towers_close(&t->towers);
    device_close(&t->device);
}

static int embed_files(const struct embedder *e, char *const *paths, int64_t count, struct error *error)
{
    struct feature_table table;
    feature_table_open(&table, &e->encoder, count, (struct want){e->encoder.layers, FEATURE_EMBEDDING});
    struct taker taker = feature_table_taker(&table);
    struct picture_source source = {.paths = paths, .count = count};
    int rc = features_pass(e, &source, &taker, 1, error);
    feature_table_close(&table);
    return rc;
}

static void features_without_direction(void)
{
    struct tower t;
    struct error error = {0};
    char *words[] = {"a cat", "a dog", "a cat", "a bird", "two dogs"}, *paths[5];
    float *features = mem_alloc((size_t)(5 * 1024), sizeof *features);
    tower_open(&t);
    EXPECT(t.towers.config.embed_dim <= 1024, "%ld", (long)t.towers.config.embed_dim);
    EXPECT(test_shell(NULL, "%s/test/make_pictures %s/pictures 5", getenv("BUILD") ? getenv("BUILD") : "build/release",
                      test_folder()) == 0,
           "no pictures");
    for (int i = 0; i < 5; i++) paths[i] = fs_join(test_folder(), "pictures/0000.jpg");
    EXPECT(texts_embed(&t.embedder, words, 5, features, &error) == 0 && embed_files(&t.embedder, paths, 5, &error) == 0,
           "%s", error.text);

    struct parameter *tokens = parameters_find(&t.towers.parameters, "token_embedding.weight");
    int32_t ids[128];
    tokenizer_encode(t.tokenizer, "bird", ids, t.towers.config.text.context_length);
    tokens->values[ids[1] * tokens->tensor.cols] = NAN;
    parameters_push(&t.towers.parameters);
    EXPECT(texts_embed(&t.embedder, words, 5, features, &error) < 0 &&
               strstr(error.text, "text 3 a bird: its feature is not finite"),
           "%s", error.text);

    struct parameter *proj = parameters_find(&t.towers.parameters, "visual.proj");
    memset(proj->values, 0, (size_t)tensor_count(&proj->tensor) * sizeof *proj->values);
    parameters_push(&t.towers.parameters);
    error = (struct error){0};
    EXPECT(embed_files(&t.embedder, paths, 5, &error) < 0 && strstr(error.text, "0000.jpg: its feature is zero"), "%s",
           error.text);
    for (int i = 0; i < 5; i++) free(paths[i]);
    free(features);
    tower_close(&t);
}

/* A table of features as if a pass had filled it: labels of the sample number modulo 4, -1 for each third; sample 5
 * cannot be read. */
static int classify(struct tower *t, struct prompts *prompts, double max_bad, struct zeroshot_scores *scores,
                    struct error *error)
{
    char *names[] = {"cat", "dog", "bird", "horse"}, *templates[] = {"{c}"};
    struct zeroshot z;
    prompts->names = names;
    prompts->templates = templates;
    prompts->template_count = 1;
    struct zeroshot_config config = {
        .prompts = prompts, .samples = 12, .feature = FEATURE_EMBEDDING, .max_bad = max_bad};
    EXPECT(zeroshot_open(&z, &t->embedder, &config, error) == 0, "%s", error->text);
    struct taker taker = zeroshot_taker(&z);
    EXPECT(taker.skips == (max_bad > 0), "skips %d", taker.skips);
    for (int64_t i = 0; i < 12; i++) {
        struct feature_rows row = {
            .sample = i, .label = i % 3 ? (int32_t)(i % 4) : -1, .rows = max_bad > 0 && i == 5 ? 0 : 1};
        row.cols = z.table.cols;
        row.data = row.rows ? z.classes : NULL; /* every sample looks like a cat */
        EXPECT(taker.take(taker.self, 0, &row, error) == 0, "%s", error->text);
    }
    int rc = zeroshot_score(&z, &world, &t->device, scores, error);
    zeroshot_close(&z);
    return rc;
}

static void labels_are_counted(void)
{
    struct tower t;
    struct error error = {0};
    struct zeroshot_scores s = {0};
    tower_open(&t);
    EXPECT(classify(&t, &(struct prompts){.class_count = 4, .label_count = 4}, 0, &s, &error) == 0, "%s", error.text);
    EXPECT(s.of.samples == 8 && s.unlabelled == 4 && s.of.acc1 == 0.25 && !s.missing && !s.outside,
           "%ld, %ld without, acc1 %g", (long)s.of.samples, (long)s.unlabelled, s.of.acc1);
    EXPECT(fabs(s.of.deviation - sqrt(0.25 * 0.75 / 7)) < 1e-12, "deviation %g", s.of.deviation);
    EXPECT(classify(&t, &(struct prompts){.class_count = 3, .label_count = 3}, 0, &s, &error) < 0 &&
               strstr(error.text, "sample 7 has label 3, there are 3 class names") &&
               strstr(error.text, "2 of 12 samples"),
           "%s", error.text);
    tower_close(&t);
}

static void missing_are_counted(void)
{
    struct tower t;
    struct error error = {0};
    struct zeroshot_scores s = {0};
    tower_open(&t);
    struct prompts four = {.class_count = 4, .label_count = 4};
    EXPECT(classify(&t, &four, 1. / 12, &s, &error) == 0, "%s", error.text);
    EXPECT(s.of.samples == 7 && s.missing == 1 && s.unlabelled == 4 && s.of.acc1 == 2. / 7, "%ld, %ld, %ld, acc1 %g",
           (long)s.of.samples, (long)s.missing, (long)s.unlabelled, s.of.acc1);
    EXPECT(classify(&t, &four, 1. / 13, &s, &error) < 0 && strstr(error.text, "1 of 12 samples could not be read"),
           "%s", error.text);
    tower_close(&t);
}

/* The data's labels 0 and 2 are classes 1 and 0 of a list of two; labels 1 and 3 are not among them. */
static void some_classes_are_asked_for(void)
{
    struct tower t;
    struct error error = {0};
    struct zeroshot_scores s = {0};
    int32_t class_of[] = {1, -1, 0, -1};
    tower_open(&t);
    EXPECT(classify(&t, &(struct prompts){.class_count = 2, .label_count = 4, .class_of = class_of}, 0, &s, &error) ==
               0,
           "%s", error.text);
    EXPECT(s.of.samples == 4 && s.outside == 4 && s.of.acc1 == 0.5 && s.of.mean_per_class_recall == 0.5,
           "%ld, %ld outside, acc1 %g", (long)s.of.samples, (long)s.outside, s.of.acc1);
    tower_close(&t);
}

/* A class is the direction of the mean of its texts' features. */
static void class_vectors(void)
{
    enum { NAMES = 3, TEMPLATES = 2, TEXT_COUNT = NAMES * TEMPLATES };
    struct tower t;
    struct error error = {0};
    struct zeroshot z;
    char *names[] = {"cat", "dog", "bird"}, *templates[] = {"a photo of a {c}.", "{c}!"};
    char *filled[] = {"a photo of a cat.", "cat!", "a photo of a dog.", "dog!", "a photo of a bird.", "bird!"};
    struct prompts p = {.names = names, .templates = templates, .class_count = NAMES, .template_count = TEMPLATES};
    struct zeroshot_config config = {.prompts = &p, .samples = 1, .feature = FEATURE_EMBEDDING};
    tower_open(&t);
    int64_t dim = t.towers.config.embed_dim;
    float *features = mem_alloc((size_t)(TEXT_COUNT * dim), sizeof *features);
    EXPECT(texts_embed(&t.embedder, filled, TEXT_COUNT, features, &error) == 0 &&
               zeroshot_open(&z, &t.embedder, &config, &error) == 0,
           "%s", error.text);
    for (int64_t c = 0; c < NAMES; c++) {
        double along = 0, squares = 0;
        for (int64_t k = 0; k < dim; k++) {
            double sum = features[2 * c * dim + k] + features[(2 * c + 1) * dim + k];
            along += sum * z.classes[c * dim + k];
            squares += sum * sum;
        }
        EXPECT(fabs(along - sqrt(squares)) < 1e-6, "class %ld: %g of %g", (long)c, along, sqrt(squares));
    }
    zeroshot_close(&z);

    /* kept ones are not made again: with other weights they stay what they were */
    struct class_vectors kept = {0};
    config.kept = &kept;
    EXPECT(zeroshot_open(&z, &t.embedder, &config, &error) == 0 && kept.count == NAMES, "%s", error.text);
    zeroshot_close(&z);
    float *first = mem_alloc((size_t)(2 * dim), sizeof *first);
    memcpy(first, kept.rows + dim, (size_t)(2 * dim) * sizeof *first);
    struct parameter *tokens = parameters_find(&t.towers.parameters, "token_embedding.weight");
    memset(tokens->values, 0, (size_t)tensor_count(&tokens->tensor) * sizeof *tokens->values);
    parameters_push(&t.towers.parameters);
    p.names = (char *[]){"dog", "bird", "horse"};
    EXPECT(zeroshot_open(&z, &t.embedder, &config, &error) == 0 && kept.count == NAMES + 1, "%ld kept, %s",
           (long)kept.count, error.text);
    EXPECT(!memcmp(z.classes, first, (size_t)(2 * dim) * sizeof *first), "kept vectors");
    zeroshot_close(&z);
    class_vectors_close(&kept);
    free(first);
    free(features);
    tower_close(&t);
}

/* Lines of a file, without the mark that some editors put first. */
static void lines(void)
{
    static const char text[] = "\xef\xbb\xbf"
                               "cat\r\n\ndog";
    struct error error = {0};
    char *path = fs_join(test_folder(), "lines.txt"), **read;
    int64_t count;
    EXPECT(fs_write(path, text, strlen(text), &error) == 0 && texts_read(path, true, &read, &count, &error) == 0, "%s",
           error.text);
    EXPECT(count == 2 && !strcmp(read[0], "cat") && !strcmp(read[1], "dog"), "%ld lines, \"%s\"", (long)count, read[0]);
    texts_free(read, count);
    free(path);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"constant_encoders_score_chance", constant_encoders},
                                     {"no_figure_of_nan", numbers_only},
                                     {"features_without_direction_are_errors", features_without_direction},
                                     {"class_vectors", class_vectors},
                                     {"labels_are_counted", labels_are_counted},
                                     {"missing_are_counted", missing_are_counted},
                                     {"some_classes_are_asked_for", some_classes_are_asked_for},
                                     {"lines_of_texts", lines},
                                     {0}});
}
