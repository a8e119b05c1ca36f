/* Boxes of objects, predicted beside the truth, from the files of COCO: --boxes PICTURES RESULTS.json TRUTH.json. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "evaluator/report/chart.h"
#include "evaluator/report/choice.h"
#include "evaluator/report/figures.h"
#include "evaluator/report/html.h"
#include "evaluator/report/picture.h"
#include "evaluator/report/report.h"

#define SURE .3     /* predictions of a lower score are not looked at */
enum { MOST = 24 }; /* boxes in a picture */

struct box {
    double x, y, width, height, score; /* score NaN: truth */
    int64_t category;
};

struct photo {
    int64_t id;
    const char *file;
    double width, height;
    struct box *found, *truth;
    int64_t found_count, truth_count;
};

struct photos {
    struct photo *list; /* ascending by id */
    int64_t count;
    json_t *truth;
};

static int by_id(const void *a, const void *b)
{
    const struct photo *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static int by_surety(const void *a, const void *b)
{
    const struct box *x = a, *y = b;
    return (x->score < y->score) - (x->score > y->score);
}

static struct photo *find(const struct photos *p, int64_t id)
{
    struct photo key = {.id = id};
    return bsearch(&key, p->list, (size_t)p->count, sizeof key, by_id);
}

static void add(struct box **list, int64_t *count, struct box box)
{
    if (*count % 16 == 0) *list = mem_realloc(*list, (size_t)*count + 16, sizeof **list);
    (*list)[(*count)++] = box;
}

/* Rows of annotations or results, into their pictures. */
static int take(struct photos *p, const json_t *rows, bool found, const char *path, struct error *error)
{
    size_t i, k;
    const json_t *row, *side;
    json_array_foreach (rows, i, row) {
        const json_t *sides = json_object_get(row, "bbox");
        double at[4] = {0};
        struct photo *photo = find(p, json_integer_value(json_object_get(row, "image_id")));
        if (json_is_true(json_object_get(row, "iscrowd")) || json_integer_value(json_object_get(row, "iscrowd")))
            continue;
        if (!photo || json_array_size(sides) != 4)
            return error_set(error, ERROR_FAILED,
                             "%s: row %zu has no \"bbox\" of 4, or an \"image_id\" that is none of the truth's", path,
                             i);
        json_array_foreach (sides, k, side) at[k] = json_number_value(side);
        struct box box = {at[0],
                          at[1],
                          at[2],
                          at[3],
                          found ? number_of(row, "score") : NAN,
                          json_integer_value(json_object_get(row, "category_id"))};
        if (!found)
            add(&photo->truth, &photo->truth_count, box);
        else if (box.score >= SURE)
            add(&photo->found, &photo->found_count, box);
    }
    return 0;
}

static int photos_open(struct photos *p, const char *truth, const char *results, struct error *error)
{
    p->truth = json_read(truth, error);
    const json_t *images = json_object_get(p->truth, "images"), *image;
    size_t i;
    if (!p->truth) return -1;
    if (!json_array_size(images) || !json_is_array(json_object_get(p->truth, "annotations")))
        return error_set(error, ERROR_FAILED, "%s: no annotations (\"images\", \"annotations\")", truth);
    p->list = mem_zalloc(json_array_size(images), sizeof *p->list);
    json_array_foreach (images, i, image) {
        struct photo *photo = &p->list[p->count++];
        *photo = (struct photo){.id = json_integer_value(json_object_get(image, "id")),
                                .file = text_of(image, "file_name"),
                                .width = number_of(image, "width"),
                                .height = number_of(image, "height")};
        if (!*photo->file || !(photo->width > 0 && photo->height > 0))
            return error_set(error, ERROR_FAILED, "%s: image %zu has no \"file_name\", \"width\" and \"height\"", truth,
                             i);
    }
    qsort(p->list, (size_t)p->count, sizeof *p->list, by_id);
    if (take(p, json_object_get(p->truth, "annotations"), false, truth, error) < 0) return -1;
    json_t *found = json_read(results, error);
    int rc = !found                 ? -1
             : json_is_array(found) ? take(p, found, true, results, error)
                                    : error_set(error, ERROR_FAILED, "%s: no array of results", results);
    json_decref(found);
    return rc;
}

static void photos_close(struct photos *p)
{
    for (int64_t i = 0; i < p->count; i++) {
        free(p->list[i].found);
        free(p->list[i].truth);
    }
    free(p->list);
    json_decref(p->truth);
}

/* --- how well --- */

static double overlap(const struct box *a, const struct box *b)
{
    double width = fmin(a->x + a->width, b->x + b->width) - fmax(a->x, b->x),
           height = fmin(a->y + a->height, b->y + b->height) - fmax(a->y, b->y),
           both = fmax(width, 0) * fmax(height, 0), all = a->width * a->height + b->width * b->height - both;
    return all > 0 ? both / all : 0;
}

/* F1 at an overlap of .5: surest first, each takes the free true box of its category that it overlaps most. */
static double judge(struct photo *photo)
{
    bool *taken = mem_zalloc((size_t)photo->truth_count + 1, sizeof *taken);
    int64_t right = 0;
    if (photo->found_count) qsort(photo->found, (size_t)photo->found_count, sizeof *photo->found, by_surety);
    for (int64_t i = 0; i < photo->found_count; i++) {
        int64_t best = -1;
        for (int64_t k = 0; k < photo->truth_count; k++)
            if (!taken[k] && photo->truth[k].category == photo->found[i].category &&
                overlap(&photo->found[i], &photo->truth[k]) >= .5 &&
                (best < 0 ||
                 overlap(&photo->found[i], &photo->truth[k]) > overlap(&photo->found[i], &photo->truth[best])))
                best = k;
        if (best >= 0) taken[best] = true, right++;
    }
    free(taken);
    int64_t all = photo->found_count + photo->truth_count;
    return all ? 2 * (double)right / (double)all : 1;
}

/* --- drawing --- */

static const char *category_name(const struct photos *p, int64_t id)
{
    size_t i;
    const json_t *category;
    json_array_foreach (json_object_get(p->truth, "categories"), i, category)
        if (json_integer_value(json_object_get(category, "id")) == id) return text_of(category, "name");
    return "?";
}

static int put_boxes(struct str *out, const struct photos *p, const struct photo *photo, const struct image *image,
                     bool found, struct error *error)
{
    const struct box *list = found ? photo->found : photo->truth;
    int64_t count = found ? photo->found_count : photo->truth_count;
    double scale = LARGE_SIDE / photo->width, height = photo->height * scale;
    str_printf(out, "<figure><svg viewBox=\"0 0 %d %.0f\" role=\"img\"><image width=\"%d\" height=\"%.0f\" href=\"",
               LARGE_SIDE, height, LARGE_SIDE, height);
    int rc = picture_uri(out, image, PICTURE_PHOTO, error);
    str_puts(out, "\"/>\n");
    for (int64_t i = 0; i < count && i < MOST; i++) {
        double x = list[i].x * scale, y = list[i].y * scale, right = fmin(x + list[i].width * scale, LARGE_SIDE);
        bool leftward = x > LARGE_SIDE / 2;
        str_printf(out,
                   "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" stroke=\"%s\" "
                   "stroke-width=\"3\"/><text class=\"name\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">",
                   x, y, list[i].width * scale, list[i].height * scale, chart_colour(list[i].category),
                   leftward ? right - 5 : x + 5, fmax(y + 19, 19), leftward ? "end" : "start");
        html_brief(out, category_name(p, list[i].category), 24);
        if (found) str_printf(out, " %.2f", list[i].score);
        str_puts(out, "</text>\n");
    }
    str_printf(out, "</svg><figcaption>%s</figcaption></figure>\n", found ? "predicted" : "truth");
    return rc;
}

static int put_photo(struct str *out, const struct photos *p, const struct photo *photo, const char *folder,
                     enum chosen_for why, double score, struct error *error)
{
    struct image image = {0};
    char *path = fs_join(folder, photo->file);
    int rc = picture_read(path, LARGE_SIDE, &image, error);
    if (rc == 0) {
        html_put(out, "<div class=\"pair\"><p>", chosen_words[why], "");
        html_put(out, ": ", photo->file, "");
        str_printf(out, "; F1 %.2f at an overlap of .5</p>\n<div class=\"row\">\n", score);
        rc = put_boxes(out, p, photo, &image, true, error);
        if (rc == 0) rc = put_boxes(out, p, photo, &image, false, error);
        str_puts(out, "</div></div>\n");
    }
    image_free(&image);
    free(path);
    return rc;
}

int report_boxes(struct str *out, const struct option_list *files, int64_t examples, struct error *error)
{
    struct photos p = {0};
    if (!files->count) return 0;
    if (files->count != 3)
        return error_set(error, ERROR_USAGE, "--boxes takes PICTURES RESULTS.json TRUTH.json, %ld words were given",
                         (long)files->count);
    int rc = photos_open(&p, files->items[2], files->items[1], error);
    double *scores = mem_alloc((size_t)p.count + 1, sizeof *scores);
    struct choice *choices = mem_alloc((size_t)(3 * examples) + 1, sizeof *choices);
    for (int64_t i = 0; i < p.count && rc == 0; i++) scores[i] = judge(&p.list[i]);
    int64_t chosen = rc == 0 ? choose_examples(scores, p.count, examples, choices) : 0;
    str_printf(out,
               "<section>\n<h2>Which objects are where</h2>\n<p>Boxes that it is at least %.0f&nbsp;%% sure of, with "
               "their score. Of %ld pictures the worst, the best, and a sample spread over all.</p>\n"
               "<div class=\"pairs\">\n",
               100 * SURE, (long)p.count);
    for (int64_t i = 0; i < chosen && rc == 0; i++) {
        int64_t item = choices[i].item;
        rc = put_photo(out, &p, &p.list[item], files->items[0], choices[i].why, scores[item], error);
    }
    str_puts(out, "</div>\n</section>\n");
    free(scores);
    free(choices);
    photos_close(&p);
    return rc;
}
