/* The metric retrieval: recalls among features, or among scores.
 *
 *   truth        the image of each text, counted from 0 (labels.h)
 *   predictions  a folder with image.npy [images, dim] and text.npy [texts, dim], as pe-evaluator embed writes them,
 *                scored by their dot products; or with scores.npy [texts, images]
 *
 * A text finds its image (image_retrieval), an image any of its texts (text_retrieval); an image without one misses. */
#include "evaluator/metrics/retrieval.h"

#include <stdlib.h>

#include "base/fs.h"
#include "base/memory.h"
#include "data/npy.h"
#include "evaluator/metrics/features.h"
#include "evaluator/metrics/labels.h"
#include "evaluator/metrics/metric.h"

extern const struct metric metric_retrieval;

enum { BLOCK = 256 }; /* texts at a time */

struct self {
    int32_t *owner; /* [texts] */
    int64_t texts, images, dim;
    struct npy scores;                     /* [texts, images], or */
    float *text_features, *image_features; /* [texts, dim], [images, dim] */
    struct device device;
    float *products;                 /* [BLOCK, images] */
    double *block;                   /* [BLOCK, images] the scores of some texts */
    double *hits;                    /* [texts] whether the image comes first */
    int32_t *text_rank, *image_rank; /* from 0: [texts] of the image; [images] of the best of its texts */
};

void retrieval_metrics(json_t *figures, const struct retrieval_scores *scores, int64_t images, int64_t texts)
{
    char key[64];
    for (int k = 0; k < RECALL_LEVELS; k++) {
        snprintf(key, sizeof key, "image_retrieval_recall@%d", recall_at[k]);
        json_object_set_new(figures, key, json_real(scores->image[k]));
    }
    for (int k = 0; k < RECALL_LEVELS; k++) {
        snprintf(key, sizeof key, "text_retrieval_recall@%d", recall_at[k]);
        json_object_set_new(figures, key, json_real(scores->text[k]));
    }
    json_object_set_new(figures, "image_retrieval_median_rank", json_real(scores->image_median_rank));
    json_object_set_new(figures, "text_retrieval_median_rank", json_real(scores->text_median_rank));
    json_object_set_new(figures, "images", json_integer(images));
    json_object_set_new(figures, "texts", json_integer(texts));
}

/* --- scores --- */

static int open_features(struct self *x, const char *text_path, const char *image_path, int64_t *texts,
                         struct error *error)
{
    int64_t dim;
    if (features_read(text_path, &x->text_features, texts, &dim, error) < 0 ||
        features_read(image_path, &x->image_features, &x->images, &x->dim, error) < 0)
        return -1;
    if (dim != x->dim)
        return error_set(error, ERROR_FAILED, "%s: features of %ld, those of %s have %ld: of one model?", text_path,
                         (long)dim, image_path, (long)x->dim);
    return device_open(&x->device, "cpu", "fp32", NULL, 0, 0, error);
}

static int open_scores(struct self *x, const char *path, int64_t *texts, struct error *error)
{
    if (npy_open(&x->scores, path, error) < 0) return -1;
    if (x->scores.dims != 2 || !x->scores.count)
        return error_set(error, ERROR_FAILED, "%s: no scores [texts, images]", path);
    *texts = x->scores.shape[0];
    x->images = x->scores.shape[1];
    return 0;
}

/* x->block: texts [first, first + rows) */
static void fill(struct self *x, int64_t first, int64_t rows)
{
    if (!x->device.kernels) {
        npy_reals(&x->scores, first * x->images, rows * x->images, x->block);
        return;
    }
    x->device.kernels->matmul(&x->device, x->products, true, x->images, x->text_features + first * x->dim, x->dim,
                              false, x->image_features, x->dim, false, rows, x->images, x->dim, false);
    for (int64_t i = 0; i < rows * x->images; i++) x->block[i] = (double)x->products[i];
}

/* --- ranks --- */

/* The best of an image's own texts. */
struct best {
    double score;
    int64_t text; /* -1: none */
};

/* First pass: of each text the rank of its image, and of each image the best of its texts. */
static int rank_images(struct self *x, const char *path, struct best *best, struct error *error)
{
    for (int64_t i = 0; i < x->images; i++) best[i].text = -1;
    for (int64_t t = 0; t < x->texts; t++) {
        if (t % BLOCK == 0) fill(x, t, x->texts - t < BLOCK ? x->texts - t : BLOCK);
        const double *row = x->block + t % BLOCK * x->images;
        if (labels_check_scores(path, t, row, x->images, error) < 0) return -1;
        struct best *own = &best[x->owner[t]];
        if (own->text < 0 || row[x->owner[t]] > own->score) *own = (struct best){row[x->owner[t]], t};
        x->text_rank[t] = (int32_t)labels_rank(row, x->images, x->owner[t]);
        x->hits[t] = x->text_rank[t] == 0;
    }
    return 0;
}

/* Second pass: of each image how many texts are ahead of that one. */
static void rank_texts(struct self *x, const struct best *best)
{
    for (int64_t i = 0; i < x->images; i++) x->image_rank[i] = best[i].text < 0 ? (int32_t)x->texts : 0;
    for (int64_t t = 0; t < x->texts; t++) {
        if (t % BLOCK == 0) fill(x, t, x->texts - t < BLOCK ? x->texts - t : BLOCK);
        const double *row = x->block + t % BLOCK * x->images;
        for (int64_t i = 0; i < x->images; i++)
            x->image_rank[i] +=
                best[i].text >= 0 && (row[i] > best[i].score || (row[i] == best[i].score && t < best[i].text));
    }
}

static int rank_all(struct self *x, const char *path, json_t *figures, struct error *error)
{
    size_t texts = (size_t)x->texts, images = (size_t)x->images;
    x->products = mem_alloc(BLOCK * images, sizeof *x->products);
    x->block = mem_alloc(BLOCK * images, sizeof *x->block);
    x->hits = mem_alloc(texts, sizeof *x->hits);
    x->text_rank = mem_alloc(texts, sizeof *x->text_rank);
    x->image_rank = mem_alloc(images, sizeof *x->image_rank);
    struct best *best = mem_alloc(images, sizeof *best);
    int rc = rank_images(x, path, best, error);
    if (rc == 0) {
        struct retrieval_scores scores;
        rank_texts(x, best);
        score_ranks(x->text_rank, x->texts, scores.image, &scores.image_median_rank);
        score_ranks(x->image_rank, x->images, scores.text, &scores.text_median_rank);
        retrieval_metrics(figures, &scores, x->images, x->texts);
    }
    free(best);
    return rc;
}

/* --- the metric --- */

static int open_folder(struct self *x, const char *truth, const char *folder, json_t *figures, struct error *error)
{
    char *image = fs_join(folder, "image.npy"), *text = fs_join(folder, "text.npy"),
         *scores = fs_join(folder, "scores.npy");
    bool scored = fs_exists(scores);
    const char *path = scored ? scores : text;
    int64_t texts = 0;
    int rc = scored && (fs_exists(image) || fs_exists(text))
                 ? error_set(error, ERROR_FAILED, "%s: and features beside it: which are the predictions?", scores)
             : scored ? open_scores(x, scores, &texts, error)
                      : open_features(x, text, image, &texts, error);
    if (rc == 0 && texts != x->texts)
        rc = error_set(error, ERROR_FAILED, "%s: %ld texts, %s has %ld", path, (long)texts, truth, (long)x->texts);
    if (rc == 0) rc = labels_check(truth, x->owner, x->texts, x->images, "images", error);
    if (rc == 0) rc = rank_all(x, path, figures, error);
    free(image);
    free(text);
    free(scores);
    return rc;
}

static int open_retrieval(void *self, const char *truth, const char *predictions, struct metric_result *result,
                          struct error *error)
{
    struct self *x = self;
    if (labels_read(truth, &x->owner, &x->texts, error) < 0 ||
        open_folder(x, truth, predictions, result->figures, error) < 0)
        return -1;
    result->units = result->samples = x->texts;
    result->values = x->hits;
    return 0;
}

static void close_retrieval(void *self)
{
    struct self *x = self;
    free(x->text_features);
    free(x->image_features);
    if (x->device.kernels) device_close(&x->device);
    npy_close(&x->scores);
    free(x->owner);
    free(x->products);
    free(x->block);
    free(x->hits);
    free(x->text_rank);
    free(x->image_rank);
}

const struct metric metric_retrieval = {
    .name = "retrieval",
    .summary = "texts and images that find each other: image_retrieval_recall@K, text_retrieval_recall@K",
    .headline = "image_retrieval_recall@1",
    .bytes = sizeof(struct self),
    .open = open_retrieval,
    .close = close_retrieval,
};
