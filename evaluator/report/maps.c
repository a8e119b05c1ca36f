/* Features as colours: what the task pca has written, a row a picture. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "evaluator/report/choice.h"
#include "evaluator/report/figures.h"
#include "evaluator/report/html.h"
#include "evaluator/report/picture.h"
#include "evaluator/report/report.h"

enum { COLUMNS = 5 }; /* layers that are shown, the last among them */

static int put_cell(struct str *out, const char *folder, const char *name, enum picture_kind kind, const char *text,
                    struct error *error)
{
    char *path = fs_join(folder, name);
    struct image image = {0};
    int rc = picture_read(path, LARGE_SIDE, &image, error);
    str_puts(out, "<figure>");
    if (rc == 0) rc = picture_put(out, &image, kind, name, error);
    html_put(out, "<figcaption>", text, "</figcaption></figure>\n");
    image_free(&image);
    free(path);
    return rc;
}

/* The i-th of `shown` columns among `layers`, spread evenly, the last one last. */
static size_t column(size_t i, size_t shown, size_t layers)
{
    return (i + 1) * layers / shown - 1;
}

static int put_row(struct str *out, const json_t *metrics, size_t picture, size_t shown, struct error *error)
{
    const json_t *layers = json_object_get(metrics, "layers");
    const char *name = json_string_value(json_array_get(json_object_get(metrics, "pictures"), picture));
    if (!name) return error_set(error, ERROR_FAILED, "\"pictures\" holds something else than names");
    int rc = put_cell(out, text_of(metrics, "images"), name, PICTURE_PHOTO, "picture", error);
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; i < shown && rc == 0; i++) {
        long layer = (long)json_integer_value(
            json_object_get(json_array_get(layers, column(i, shown, json_array_size(layers))), "layer"));
        struct str file = {0}, text = {0};
        str_printf(&file, "layer-%02ld/%.*s.png", layer, (int)(dot ? dot - name : (long)strlen(name)), name);
        str_printf(&text, "layer %ld", layer);
        rc = put_cell(out, text_of(metrics, "maps"), file.data, PICTURE_FLAT, text.data, error);
        str_free(&file);
        str_free(&text);
    }
    return rc;
}

int report_maps(struct str *out, const struct result *result, int64_t examples, struct error *error)
{
    const json_t *m = json_object_get(result->json, "metrics"), *pictures = json_object_get(m, "pictures");
    size_t count = json_array_size(pictures), layers = json_array_size(json_object_get(m, "layers")),
           shown = layers < COLUMNS ? layers : COLUMNS;
    if (strcmp(text_of(result->json, "task"), "pca")) return 0;
    if (!count || !layers || !*text_of(m, "maps"))
        return error_set(error, ERROR_FAILED, "%s: no colour maps of pca (\"pictures\", \"layers\", \"maps\")",
                         result->path);
    struct choice *choices = mem_alloc((size_t)(3 * examples) + 1, sizeof *choices);
    int64_t chosen = choose_examples(NULL, (int64_t)count, examples, choices);
    int rc = 0;
    html_put(out, "<section>\n<h2>What ", text_of(result->json, "model"), " sees as alike</h2>\n");
    str_printf(out,
               "<p>The three main directions in which the features of a picture's patches differ, as colours: patches "
               "of one colour are alike to the encoder. They hold %.0f&nbsp;%% of the differences at the last layer "
               "shown. Each map has its own colours.</p>\n<div class=\"sheet\" "
               "style=\"grid-template-columns:repeat(%zu,minmax(0,1fr))\">\n",
               100 * number_of(json_array_get(json_object_get(m, "layers"), layers - 1), "explained"), shown + 1);
    for (int64_t i = 0; i < chosen && rc == 0; i++) rc = put_row(out, m, (size_t)choices[i].item, shown, error);
    str_puts(out, "</div>\n</section>\n");
    if (rc < 0) error_prefix(error, "%s", result->path);
    free(choices);
    return rc;
}
