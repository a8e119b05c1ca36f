/* Objects followed through videos: a few frames of a sequence, predicted above, truth below. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "evaluator/clips.h"
#include "evaluator/metrics/davis.h"
#include "evaluator/metrics/pairs.h"
#include "evaluator/report/choice.h"
#include "evaluator/report/drawing.h"
#include "evaluator/report/html.h"
#include "evaluator/report/picture.h"
#include "evaluator/report/report.h"

enum { FRAMES = 4, FRAME_SIDE = 256, FULL = 16384 }; /* FULL: no scaling yet */

/* PREDICTED/SEQUENCE/FRAME.png; the caller frees. */
static char *predicted_path(const struct clips *s, const char *folder, const struct clip *clip, int64_t frame)
{
    const char *name = strrchr(s->frames[frame], '/') + 1;
    struct str path = {0};
    str_printf(&path, "%s/%s/%.*s.png", folder, clip->name, (int)(strrchr(name, '.') - name), name);
    return str_steal(&path);
}

static int read_predicted(const struct clips *s, const char *folder, const struct clip *clip, int64_t frame,
                          struct mask *mask, struct error *error)
{
    char *path = predicted_path(s, folder, clip, frame);
    int rc = mask_read(path, PAIRS_MOST_PIXELS, mask, error);
    if (rc == 0 && (mask->width != clip->size.width || mask->height != clip->size.height))
        rc = error_set(error, ERROR_FAILED, "%s: %d x %d, the frames are %ld x %ld", path, mask->width, mask->height,
                       (long)clip->size.width, (long)clip->size.height);
    free(path);
    return rc;
}

/* The overlap (J) of all objects, mean over the frames between the first and the last; NaN with `error`. */
static double judge(const struct clips *s, const char *folder, const struct clip *clip, struct error *error)
{
    double sum = 0, n = 0;
    int rc = 0;
    for (int64_t f = clip->first + 1; f < clip->first + clip->frames - 1 && rc == 0; f++) {
        struct mask truth = {0}, predicted = {0};
        rc = clips_mask(s, f, &truth, error);
        if (rc == 0) rc = read_predicted(s, folder, clip, f, &predicted, error);
        for (int id = 1; id <= clip->objects && rc == 0; id++, n++)
            sum += davis_measure(truth.pixels, predicted.pixels, truth.height, truth.width, id).j;
        mask_free(&truth);
        mask_free(&predicted);
    }
    return rc < 0 ? NAN : n > 0 ? sum / n : 1;
}

static int put_frame(struct str *out, const struct clips *s, const char *folder, const struct clip *clip, int64_t frame,
                     bool predicted, struct error *error)
{
    struct mask mask = {0};
    struct image image = {0};
    struct str text = {0};
    int rc = predicted ? read_predicted(s, folder, clip, frame, &mask, error) : clips_mask(s, frame, &mask, error);
    if (rc == 0) rc = picture_read(s->frames[frame], FULL, &image, error);
    if (rc == 0) {
        draw_labels(&image, &mask);
        picture_fit(&image, FRAME_SIDE);
        str_printf(&text, "%s, frame %ld", predicted ? "predicted" : "truth", (long)(frame - clip->first));
        str_puts(out, "<figure>");
        rc = picture_put(out, &image, PICTURE_PHOTO, text.data, error);
        html_put(out, "<figcaption>", text.data, "</figcaption></figure>\n");
    }
    str_free(&text);
    mask_free(&mask);
    image_free(&image);
    return rc;
}

static int put_clip(struct str *out, const struct clips *s, const char *folder, const struct clip *clip,
                    enum chosen_for why, double score, struct error *error)
{
    int rc = 0;
    html_put(out, "<div class=\"pair\"><p>", chosen_words[why], "");
    html_put(out, ": ", clip->name, "");
    if (isfinite(score)) str_printf(out, "; overlap %.1f&nbsp;%%", 100 * score);
    str_puts(out, "</p>\n");
    for (int truth = 0; truth <= s->scored; truth++) {
        str_puts(out, "<div class=\"row\">\n");
        for (int i = 0; i < FRAMES && rc == 0; i++)
            rc = put_frame(out, s, folder, clip, clip->first + (clip->frames - 1) * i / (FRAMES - 1), !truth, error);
        str_puts(out, "</div>\n");
    }
    str_puts(out, "</div>\n");
    return rc;
}

int report_tracks(struct str *out, const struct option_list *folders, int64_t examples, struct error *error)
{
    struct clips s = {0};
    if (!folders->count) return 0;
    if (folders->count != 2)
        return error_set(error, ERROR_USAGE, "--tracks takes DAVIS PREDICTED, %ld words were given",
                         (long)folders->count);
    int rc = clips_open(&s, folders->items[0], NULL, PAIRS_MOST_PIXELS, error);
    double *scores = mem_alloc((size_t)s.count + 1, sizeof *scores);
    struct choice *choices = mem_alloc((size_t)(3 * examples) + 1, sizeof *choices);
    for (int64_t i = 0; i < s.count && rc == 0; i++) {
        scores[i] = s.scored ? judge(&s, folders->items[1], &s.list[i], error) : NAN;
        if (s.scored && isnan(scores[i])) rc = -1;
    }
    int64_t chosen = rc == 0 ? choose_examples(s.scored ? scores : NULL, s.count, examples, choices) : 0;
    str_printf(
        out,
        "<section>\n<h2>Objects followed through videos</h2>\n<p>Given where the objects are in the first frame, "
        "it finds them in the others. %ld sequences.</p>\n<div class=\"pairs\">\n",
        (long)s.count);
    for (int64_t i = 0; i < chosen && rc == 0; i++)
        rc = put_clip(out, &s, folders->items[1], &s.list[choices[i].item], choices[i].why, scores[choices[i].item],
                      error);
    str_puts(out, "</div>\n</section>\n");
    free(scores);
    free(choices);
    clips_close(&s);
    return rc;
}
