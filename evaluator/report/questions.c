/* Questions with their replies, from RESULT.replies.jsonl:
 *
 *   {"id", "image": path or "images": [paths], "question", "reply", "answers": [texts], "score": 0 .. 1} */
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
#include "serve/rows.h"

enum { TEXT = 280, ANSWERS = 3 };

static int take(void *context, json_t *row, struct error *error)
{
    if (!json_is_string(json_object_get(row, "question")) || !json_is_string(json_object_get(row, "reply")))
        return error_set(error, ERROR_FAILED, "no reply (\"question\", \"reply\")");
    json_array_append(context, row);
    return 0;
}

/* A path as it stands, or below the folder that the rows lie in. */
static int put_picture(struct str *out, const char *beside, const char *path, struct error *error)
{
    struct image image = {0};
    const char *slash = strrchr(beside, '/');
    struct str below = {0};
    if (slash) str_append(&below, beside, (size_t)(slash + 1 - beside));
    str_puts(&below, path);
    int rc = picture_read(fs_exists(path) || *path == '/' ? path : below.data, LARGE_SIDE, &image, error);
    if (rc == 0) rc = picture_put(out, &image, PICTURE_PHOTO, "", error);
    image_free(&image);
    str_free(&below);
    return rc;
}

static const char *picture_of(const json_t *row)
{
    const json_t *images = json_object_get(row, "images");
    const char *one = json_string_value(json_object_get(row, "image"));
    return one ? one : json_string_value(json_array_get(images, json_array_size(images) / 2));
}

static void put_answers(struct str *out, const json_t *row)
{
    const json_t *answers = json_object_get(row, "answers"), *answer;
    size_t i, shown = 0;
    if (json_is_string(answers)) html_brief(out, json_string_value(answers), TEXT);
    json_array_foreach (answers, i, answer) {
        bool seen = !json_is_string(answer);
        for (size_t k = 0; k < i && !seen; k++) seen = json_equal(json_array_get(answers, k), answer);
        if (seen || shown == ANSWERS) continue;
        if (shown++) str_puts(out, " / ");
        html_brief(out, json_string_value(answer), TEXT);
    }
}

static int put_card(struct str *out, const char *path, const json_t *row, struct error *error)
{
    double score = number_of(row, "score");
    const char *picture = picture_of(row);
    int rc = 0;
    str_puts(out, "<div class=\"card\"><div>");
    if (picture) rc = put_picture(out, path, picture, error);
    str_puts(out, "</div><div><p>");
    html_brief(out, text_of(row, "question"), TEXT);
    bool judged = isfinite(score), right = score >= .5;
    str_printf(out, "</p>\n<p><b class=\"%s\">%s",
               !judged ? ""
               : right ? "yes"
                       : "no",
               !judged ? ""
               : right ? "✓ "
                       : "✗ ");
    html_brief(out, text_of(row, "reply"), TEXT);
    str_puts(out, "</b>");
    if (judged && score != 0 && score != 1) str_printf(out, " <small>score %.2f</small>", score);
    str_puts(out, "</p>\n<p class=\"soft\">truth: ");
    put_answers(out, row);
    str_puts(out, "</p></div></div>\n");
    return rc;
}

static int put_section(struct str *out, const struct result *result, const char *path, const json_t *rows,
                       int64_t examples, struct error *error)
{
    int64_t count = (int64_t)json_array_size(rows), scored = 0;
    double *scores = mem_alloc((size_t)count + 1, sizeof *scores);
    struct choice *choices = mem_alloc((size_t)(3 * examples) + 1, sizeof *choices);
    for (int64_t i = 0; i < count; i++) {
        scores[i] = number_of(json_array_get(rows, (size_t)i), "score");
        scored += isfinite(scores[i]);
    }
    int64_t chosen = choose_examples(scored == count ? scores : NULL, count, examples, choices);
    int rc = 0, why = -1;
    html_put(out, "<section>\n<h2>Questions of ", text_of(result->json, "dataset"), " and its replies</h2>\n");
    str_printf(out, "<p>%ld questions; these are the worst replies, the best, and a sample spread over all.</p>\n",
               (long)count);
    for (int64_t i = 0; i < chosen && rc == 0; i++) {
        if ((int)choices[i].why != why) {
            str_puts(out, why < 0 ? "" : "</div>\n");
            html_put(out, "<h3>", chosen_words[choices[i].why], "</h3>\n<div class=\"cards\">\n");
        }
        why = (int)choices[i].why;
        rc = put_card(out, path, json_array_get(rows, (size_t)choices[i].item), error);
    }
    str_puts(out, "</div>\n</section>\n");
    free(scores);
    free(choices);
    return rc;
}

int report_questions(struct str *out, const struct result *result, int64_t examples, struct error *error)
{
    char *path = report_beside(result->path, ".replies.jsonl");
    json_t *rows = json_array();
    int rc = fs_exists(path) ? rows_each(path, take, rows, error) : 0;
    if (rc == 0 && json_array_size(rows)) rc = put_section(out, result, path, rows, examples, error);
    json_decref(rows);
    free(path);
    return rc;
}
