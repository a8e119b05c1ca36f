/* Label maps and depth beside the picture and the truth. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "evaluator/metrics/depth_map.h"
#include "evaluator/metrics/pairs.h"
#include "evaluator/report/choice.h"
#include "evaluator/report/drawing.h"
#include "evaluator/report/files.h"
#include "evaluator/report/html.h"
#include "evaluator/report/picture.h"
#include "evaluator/report/report.h"

enum { FULL = 16384 }; /* a side: no scaling yet */

/* <figure>; the image is scaled and freed. */
static int put_figure(struct str *out, struct image *image, const char *text, struct error *error)
{
    picture_fit(image, LARGE_SIDE);
    str_puts(out, "<figure>");
    int rc = picture_put(out, image, PICTURE_PHOTO, text, error);
    html_put(out, "<figcaption>", text, "</figcaption></figure>\n");
    image_free(image);
    return rc;
}

static void open_pair(struct str *out, const char *name, enum chosen_for why, const char *what, double score)
{
    html_put(out, "<div class=\"pair\"><p>", chosen_words[why], "");
    html_put(out, ": ", name, "");
    if (isfinite(score)) str_printf(out, "; %.1f&nbsp;%% %s", 100 * score, what);
    str_puts(out, "</p>\n<div class=\"row\">\n");
}

/* What the two kinds differ in. */
struct kind {
    const char *option, *heading, *says, *score;
    bool arrays;
    struct label_numbers numbers;
    double scale;
    double (*judge)(const struct kind *kind, const struct predicted_file *file, struct error *error); /* of 1 */
    int (*put)(const struct kind *kind, struct str *out, const struct predicted_file *file, struct error *error);
};

struct judging {
    const struct kind *kind;
    const struct predicted_file *files;
    double *scores;
};

static int judge_file(void *context, int64_t i, struct error *error)
{
    const struct judging *j = context;
    j->scores[i] = j->kind->judge(j->kind, &j->files[i], error);
    return isnan(j->scores[i]) ? -1 : 0;
}

static int report_kind(const struct kind *kind, struct str *out, const struct option_list *folders, int64_t examples,
                       struct error *error)
{
    struct predicted_files files;
    if (!folders->count) return 0;
    int rc = predicted_open(&files, kind->option, folders, kind->arrays, error);
    double *scores = mem_alloc((size_t)files.count + 1, sizeof *scores);
    struct choice *choices = mem_alloc((size_t)(3 * examples) + 1, sizeof *choices);
    bool known = folders->count > 2;
    for (int64_t i = 0; i < files.count; i++) scores[i] = NAN;
    struct judging judging = {kind, files.list, scores};
    if (rc == 0 && known) rc = pairs_each(files.count, judge_file, &judging, error);
    int64_t chosen = rc == 0 ? choose_examples(known ? scores : NULL, files.count, examples, choices) : 0;
    html_put(out, "<section>\n<h2>", kind->heading, "</h2>\n<p>");
    str_printf(out, "%s %ld pictures%s.</p>\n<div class=\"pairs\">\n", kind->says, (long)files.count,
               known ? "; these are the worst, the best, and a sample spread over all"
                     : " without a known truth; these are a sample spread over all");
    for (int64_t i = 0; i < chosen && rc == 0; i++) {
        const struct predicted_file *file = &files.list[choices[i].item];
        open_pair(out, file->name, choices[i].why, kind->score, scores[choices[i].item]);
        rc = kind->put(kind, out, file, error);
        str_puts(out, "</div></div>\n");
    }
    str_puts(out, "</div>\n</section>\n");
    predicted_close(&files);
    free(scores);
    free(choices);
    return rc;
}

/* --- label maps --- */

/* The numbers of a prediction as those of the truth. */
static int read_labels(const struct kind *kind, const char *path, bool predicted, struct mask *mask,
                       struct error *error)
{
    if (mask_read(path, PAIRS_MOST_PIXELS, mask, error) < 0) return -1;
    for (int64_t i = 0; predicted && kind->numbers.lower && i < (int64_t)mask->width * mask->height; i++)
        mask->pixels[i] = (uint16_t)(mask->pixels[i] == 255 ? 0 : mask->pixels[i] + 1);
    return 0;
}

static double judge_labels(const struct kind *kind, const struct predicted_file *file, struct error *error)
{
    struct mask truth = {0}, predicted = {0};
    int64_t right = 0, all = 0;
    int rc = read_labels(kind, file->truth, false, &truth, error);
    if (rc == 0) rc = read_labels(kind, file->predicted, true, &predicted, error);
    if (rc == 0 && (truth.width != predicted.width || truth.height != predicted.height))
        rc = error_set(error, ERROR_FAILED, "%s: %d x %d, the truth is %d x %d", file->predicted, predicted.width,
                       predicted.height, truth.width, truth.height);
    for (int64_t i = 0; rc == 0 && i < (int64_t)truth.width * truth.height; i++) {
        if (truth.pixels[i] == kind->numbers.ignored || (kind->numbers.no_zero && truth.pixels[i] == 0)) continue;
        right += truth.pixels[i] == predicted.pixels[i];
        all++;
    }
    mask_free(&truth);
    mask_free(&predicted);
    return rc < 0 ? NAN : all ? (double)right / (double)all : 1;
}

static int put_mask(const struct kind *kind, struct str *out, const struct predicted_file *file, bool predicted,
                    struct error *error)
{
    struct mask mask = {0};
    struct image image = {0};
    int rc = read_labels(kind, predicted ? file->predicted : file->truth, predicted, &mask, error);
    if (rc == 0) rc = picture_read(file->picture, FULL, &image, error);
    if (rc == 0) draw_labels(&image, &mask);
    if (rc == 0) rc = put_figure(out, &image, predicted ? "predicted" : "truth", error);
    mask_free(&mask);
    return rc;
}

static int put_picture(struct str *out, const char *path, struct error *error)
{
    struct image image = {0};
    return picture_read(path, LARGE_SIDE, &image, error) < 0 ? -1 : put_figure(out, &image, "picture", error);
}

static int put_labels(const struct kind *kind, struct str *out, const struct predicted_file *file, struct error *error)
{
    int rc = put_picture(out, file->picture, error);
    if (rc == 0) rc = put_mask(kind, out, file, true, error);
    if (rc == 0 && file->truth) rc = put_mask(kind, out, file, false, error);
    return rc;
}

int report_labels(struct str *out, const struct option_list *folders, struct label_numbers numbers, int64_t examples,
                  struct error *error)
{
    struct kind kind = {.option = "labels",
                        .heading = "Which pixel is of what",
                        .says = "Each class has its colour, the same in prediction and truth.",
                        .score = "of the pixels right",
                        .numbers = numbers,
                        .judge = judge_labels,
                        .put = put_labels};
    return report_kind(&kind, out, folders, examples, error);
}

/* --- depth --- */

/* 1 - the mean share that a pixel is off. */
static double judge_depth(const struct kind *kind, const struct predicted_file *file, struct error *error)
{
    static const struct depth_range any = {0, INFINITY, false};
    struct depth_map truth = {0}, read = {0}, fitted = {0};
    struct depth_figures figures;
    double right = NAN;
    int rc = depth_map_read(&truth, file->truth, kind->scale, error);
    if (rc == 0) rc = depth_map_read(&read, file->predicted, kind->scale, error);
    if (rc == 0) {
        fitted = depth_map_resized(&read, truth.size);
        right = depth_map_measure(&figures, &any, &truth, &fitted) ? 1 - figures.of[DEPTH_ABS_REL] : 1;
    }
    free(truth.metres);
    free(read.metres);
    free(fitted.metres);
    return right;
}

static void range_of(const struct depth_map *map, double *low, double *high)
{
    *low = INFINITY;
    *high = 0;
    for (int64_t i = 0; i < extent_area(map->size); i++)
        if (map->metres[i] > 0) *low = fmin(*low, map->metres[i]), *high = fmax(*high, map->metres[i]);
    if (*low > *high) *low = 0, *high = 1;
}

static int put_map(struct str *out, const struct depth_map *map, double low, double high, const char *text,
                   struct error *error)
{
    struct image image = {0};
    draw_depth(&image, map->metres, (int)map->size.width, (int)map->size.height, low, high);
    return put_figure(out, &image, text, error);
}

static int put_depth(const struct kind *kind, struct str *out, const struct predicted_file *file, struct error *error)
{
    struct depth_map truth = {0}, predicted = {0};
    struct str text = {0};
    double low, high;
    int rc = put_picture(out, file->picture, error);
    if (rc == 0) rc = depth_map_read(&predicted, file->predicted, kind->scale, error);
    if (rc == 0 && file->truth) rc = depth_map_read(&truth, file->truth, kind->scale, error);
    if (rc == 0) {
        range_of(file->truth ? &truth : &predicted, &low, &high);
        str_printf(&text, "predicted; colours %.2f to %.2f m", low, high);
        rc = put_map(out, &predicted, low, high, text.data, error);
    }
    if (rc == 0 && file->truth) rc = put_map(out, &truth, low, high, "truth", error);
    free(truth.metres);
    free(predicted.metres);
    str_free(&text);
    return rc;
}

int report_depth(struct str *out, const struct option_list *folders, double scale, int64_t examples,
                 struct error *error)
{
    struct kind kind = {.option = "depth",
                        .heading = "How far away it is",
                        .says = "Near is light and warm, far is dark; grey is not known.",
                        .score = "of the depth right",
                        .arrays = true,
                        .scale = scale,
                        .judge = judge_depth,
                        .put = put_depth};
    return report_kind(&kind, out, folders, examples, error);
}
