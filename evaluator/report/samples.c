/* Examples of zero-shot classification and retrieval, from the predictions that the tasks keep. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "evaluator/report/choice.h"
#include "evaluator/report/figures.h"
#include "evaluator/report/html.h"
#include "evaluator/report/picture.h"
#include "evaluator/report/predictions.h"
#include "evaluator/report/report.h"
#include "serve/rows.h"

enum { TEXT = 90 }; /* characters of a caption */

/* A file of predictions with the data it speaks of. */
struct predictions {
    json_t *head, *rows; /* arrays of objects */
    struct collection data;
};

static const json_t *row_of(const struct predictions *p, int64_t i)
{
    return json_array_get(p->rows, (size_t)i);
}

static int64_t whole(const json_t *row, const char *key)
{
    return json_integer_value(json_object_get(row, key));
}

static int take(void *context, json_t *row, struct error *error)
{
    struct predictions *p = context;
    const json_t *top = json_object_get(row, "top"), *scores = json_object_get(row, "scores");
    if (!p->head) {
        if (!json_array_size(json_object_get(row, "data")))
            return error_set(error, ERROR_FAILED, "no predictions: the first row has no \"data\"");
        p->head = json_incref(row);
        return 0;
    }
    if (!json_is_integer(json_object_get(row, "sample")) || !json_is_integer(json_object_get(row, "place")) ||
        !json_array_size(top) || json_array_size(top) != json_array_size(scores))
        return error_set(error, ERROR_FAILED, "no prediction (\"sample\", \"place\", \"top\", \"scores\")");
    json_array_append(p->rows, row);
    return 0;
}

static int open_data(struct predictions *p, const char *path, struct error *error)
{
    const json_t *folders = json_object_get(p->head, "data"), *folder;
    char **list = mem_zalloc(json_array_size(folders) + 1, sizeof *list);
    size_t i, count = 0;
    json_array_foreach (folders, i, folder)
        if (json_is_string(folder)) list[count++] = (char *)(uintptr_t)json_string_value(folder);
    int rc = collection_open(&p->data, list, (int64_t)count, error);
    free(list);
    if (rc < 0)
        return error_prefix(error, "%s: the data it speaks of cannot be read (remove the file for a report without)",
                            path);
    return 0;
}

/* They may be left from another run of the task: the share that is right must be the result's figure. */
static int check_figure(const struct predictions *p, const struct result *result, const char *key, const char *path,
                        struct error *error)
{
    int64_t right = 0, count = (int64_t)json_array_size(p->rows);
    for (int64_t i = 0; i < count; i++) right += whole(row_of(p, i), "place") == 0;
    double figure = number_of(json_object_get(result->json, "metrics"), key);
    if (count && fabs((double)right / (double)count - figure) < 1e-9) return 0;
    return error_set(error, ERROR_FAILED, "%s: %ld of %ld are right, but %s of %s is %g: they are not of one run", path,
                     (long)right, (long)count, key, result->path, figure);
}

/* key: the figure that they make.  0 with p->rows NULL: there is no such file. */
static int predictions_open(struct predictions *p, const struct result *result, const char *key, struct error *error)
{
    char *path = report_beside(result->path, ".predictions.jsonl");
    *p = (struct predictions){0};
    int rc = 0;
    if (fs_exists(path)) {
        p->rows = json_array();
        rc = rows_each(path, take, p, error);
        if (rc == 0) rc = check_figure(p, result, key, path, error);
        if (rc == 0) rc = open_data(p, path, error);
    }
    free(path);
    return rc;
}

static void predictions_close(struct predictions *p)
{
    collection_close(&p->data);
    json_decref(p->head);
    json_decref(p->rows);
}

static int64_t top_of(const json_t *row, size_t k)
{
    return json_integer_value(json_array_get(json_object_get(row, "top"), k));
}

static double score_of(const json_t *row, size_t k)
{
    return json_number_value(json_array_get(json_object_get(row, "scores"), k));
}

/* <figure> of a sample; its caption is put between `open` and the end by the caller. */
static int put_sample(struct str *out, const struct predictions *p, int64_t sample, const char *class, const char *text,
                      struct error *error)
{
    struct image image = {0};
    if (sample < 0 || sample >= p->data.samples)
        return error_set(error, ERROR_FAILED, "predictions of sample %ld, the data has %ld: is it other data now?",
                         (long)sample, (long)p->data.samples);
    if (picture_sample(&p->data, sample, SMALL_SIDE, &image, error) < 0) return -1;
    str_printf(out, "<figure class=\"%s\">", class);
    int rc = picture_put(out, &image, PICTURE_PHOTO, text, error);
    image_free(&image);
    str_puts(out, "<figcaption>");
    return rc;
}

/* --- retrieval --- */

static int put_query(struct str *out, const struct predictions *p, const json_t *row, enum chosen_for why,
                     struct error *error)
{
    int64_t place = whole(row, "place"), right = whole(row, "sample");
    size_t all = json_array_size(json_object_get(row, "top")), count = place < (int64_t)all ? all : all - 1;
    int rc = 0;
    str_printf(out, "<div class=\"query\"><p class=\"%s\"><b>", place ? "" : "yes");
    html_brief(out, text_of(row, "text"), TEXT);
    str_printf(out, "</b>%s; the right picture is at place %ld</p>\n<div class=\"strip\">\n", chosen_words[why],
               (long)place + 1);
    for (size_t k = 0; k < count && rc == 0; k++) {
        bool is_right = top_of(row, k) == right;
        rc = put_sample(out, p, top_of(row, k), is_right ? "yes" : "no", is_right ? "the right one" : "", error);
        str_printf(out, "%s %.3f</figcaption></figure>\n", is_right ? "✓" : "✗", score_of(row, k));
    }
    if (rc == 0 && count < all) {
        rc = put_sample(out, p, right, "gap yes", "the right one", error);
        str_printf(out, "✓ at %ld</figcaption></figure>\n", (long)place + 1);
    }
    str_puts(out, "</div></div>\n");
    return rc;
}

/* One text of each picture, its first: their rows, and how well they fare; returns how many. */
static int64_t judge_texts(const struct predictions *p, int64_t *rows, double *scores)
{
    int64_t count = 0;
    for (int64_t i = 0; i < (int64_t)json_array_size(p->rows); i++) {
        const json_t *row = row_of(p, i);
        if (i && whole(row, "sample") == whole(row_of(p, i - 1), "sample")) continue;
        double sure = score_of(row, 0); /* of the first: decides among equal places */
        scores[count] = -(double)whole(row, "place") + .5 * sure / (1 + fabs(sure));
        rows[count++] = i;
    }
    return count;
}

int report_queries(struct str *out, const struct result *result, int64_t examples, struct error *error)
{
    struct predictions p;
    int rc = predictions_open(&p, result, "image_retrieval_recall@1", error);
    size_t room = json_array_size(p.rows) + 1;
    int64_t *rows = mem_alloc(room, sizeof *rows);
    double *scores = mem_alloc(room, sizeof *scores);
    struct choice *choices = mem_alloc((size_t)(3 * examples) + 1, sizeof *choices);
    int64_t texts = rc == 0 ? judge_texts(&p, rows, scores) : 0,
            chosen = choose_examples(scores, texts, examples, choices);
    if (texts) {
        html_put(out, "<section>\n<h2>What it finds for a text in ", text_of(result->json, "dataset"), "</h2>\n");
        str_printf(out,
                   "<p>%ld pictures, one text of each: those it fares worst and best with, and a sample spread over "
                   "all. Beside a text the pictures it thinks of first, with their scores; ✓ is the one the text "
                   "belongs to.</p>\n",
                   (long)texts);
        for (int64_t i = 0; i < chosen && rc == 0; i++)
            rc = put_query(out, &p, row_of(&p, rows[choices[i].item]), choices[i].why, error);
        str_puts(out, "</section>\n");
    }
    free(rows);
    free(scores);
    free(choices);
    predictions_close(&p);
    return rc;
}

/* --- zero-shot classification --- */

struct class_tally {
    int64_t class, samples, right, places; /* places: of the right class, added up */
};

/* Worst first: fewest right, then the right class farthest down, then most samples. */
static int by_worth(const void *a, const void *b)
{
    const struct class_tally *x = a, *y = b;
    double right = (double)x->right * (double)y->samples - (double)y->right * (double)x->samples,
           places = (double)x->places * (double)y->samples - (double)y->places * (double)x->samples;
    if (right != 0) return right > 0 ? 1 : -1;
    if (places != 0) return places < 0 ? 1 : -1;
    return (x->class > y->class) - (x->class < y->class);
}

static const char *class_name(const struct predictions *p, int64_t class)
{
    const char *name = json_string_value(json_array_get(json_object_get(p->head, "classes"), (size_t) class));
    return name ? name : "?";
}

/* What its samples were taken for, most often first: "tulip (4), rose (2)". */
static void put_mistakes(struct str *out, const struct predictions *p, const struct class_tally *t)
{
    enum { MOST = 4 };
    size_t classes = json_array_size(json_object_get(p->head, "classes"));
    int64_t *taken = mem_zalloc(classes + 1, sizeof *taken);
    for (size_t i = 0; i < json_array_size(p->rows); i++) {
        const json_t *row = row_of(p, (int64_t)i);
        int64_t top = top_of(row, 0);
        if (whole(row, "label") == t->class && top != t->class && top >= 0 && top < (int64_t)classes) taken[top]++;
    }
    for (int n = 0; n < MOST; n++) {
        size_t best = 0;
        for (size_t c = 0; c < classes; c++)
            if (taken[c] > taken[best]) best = c;
        if (!classes || !taken[best]) break;
        str_puts(out, n ? ", " : "taken for ");
        html_brief(out, class_name(p, (int64_t)best), TEXT);
        str_printf(out, " (%ld)", (long)taken[best]);
        taken[best] = 0;
    }
    free(taken);
}

static int put_class(struct str *out, const struct predictions *p, const struct class_tally *t, struct error *error)
{
    enum { MOST = 4 };
    int rc = 0, shown = 0;
    html_put(out, "<div class=\"query\"><p><b>", class_name(p, t->class), "</b>");
    str_printf(out, "%ld of %ld right", (long)t->right, (long)t->samples);
    if (t->right < t->samples) str_puts(out, "; ");
    put_mistakes(out, p, t);
    str_puts(out, "</p>\n<div class=\"strip\">\n");
    for (size_t i = 0; i < json_array_size(p->rows) && shown < MOST && rc == 0; i++) {
        const json_t *row = row_of(p, (int64_t)i);
        if (whole(row, "label") != t->class) continue;
        bool right = top_of(row, 0) == t->class;
        rc = put_sample(out, p, whole(row, "sample"), right ? "yes" : "no", class_name(p, top_of(row, 0)), error);
        str_puts(out, right ? "✓ " : "✗ ");
        html_brief(out, class_name(p, top_of(row, 0)), 40);
        str_puts(out, "</figcaption></figure>\n");
        shown++;
    }
    str_puts(out, "</div></div>\n");
    return rc;
}

/* Classes that have samples, worst first; returns how many.  -1: a label that is none. */
static int64_t tally(const struct predictions *p, struct class_tally *classes, int64_t count, struct error *error)
{
    int64_t present = 0;
    for (int64_t c = 0; c < count; c++) classes[c] = (struct class_tally){.class = c};
    for (size_t i = 0; i < json_array_size(p->rows); i++) {
        const json_t *row = row_of(p, (int64_t)i);
        int64_t label = whole(row, "label");
        if (label < 0 || label >= count)
            return error_set(error, ERROR_FAILED, "predictions of class %ld, of %ld classes", (long)label, (long)count);
        classes[label].samples++;
        classes[label].places += whole(row, "place");
        classes[label].right += whole(row, "place") == 0;
    }
    for (int64_t c = 0; c < count; c++)
        if (classes[c].samples) classes[present++] = classes[c];
    qsort(classes, (size_t)present, sizeof *classes, by_worth);
    return present;
}

static int put_classes(struct str *out, const struct result *result, const struct predictions *p,
                       const struct class_tally *classes, int64_t present, int64_t examples, struct error *error)
{
    int64_t worst = present < 2 * examples ? present : 2 * examples,
            best = present - worst < examples ? present - worst : examples, most = 0;
    int rc = 0;
    for (int64_t i = 0; i < present; i++)
        if ((i < worst || i >= present - best) && classes[i].samples > most) most = classes[i].samples;
    html_put(out, "<section>\n<h2>What it takes pictures of ", text_of(result->json, "dataset"), " for");
    str_printf(out, ", among %zu names</h2>\n", json_array_size(json_object_get(p->head, "classes")));
    str_printf(out,
               "<p>The %ld classes of %ld it knows least, worst first, and the %ld it knows best; under each picture "
               "the name it was given.</p>\n<div class=\"classes%s\">\n",
               (long)worst, (long)present, (long)best, most == 1 ? " one" : "");
    for (int64_t i = 0; i < worst && rc == 0; i++) rc = put_class(out, p, &classes[i], error);
    for (int64_t i = 0; i < best && rc == 0; i++) rc = put_class(out, p, &classes[present - 1 - i], error);
    str_puts(out, "</div>\n</section>\n");
    return rc;
}

int report_classes(struct str *out, const struct result *result, int64_t examples, struct error *error)
{
    struct predictions p;
    int rc = predictions_open(&p, result, "acc1", error);
    int64_t count = rc == 0 && p.rows ? (int64_t)json_array_size(json_object_get(p.head, "classes")) : 0, present = 0;
    struct class_tally *classes = mem_alloc((size_t)count + 1, sizeof *classes);
    if (count) present = tally(&p, classes, count, error);
    if (present < 0) rc = -1;
    if (present > 0) rc = put_classes(out, result, &p, classes, present, examples, error);
    free(classes);
    predictions_close(&p);
    return rc;
}
