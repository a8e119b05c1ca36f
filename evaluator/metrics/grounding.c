/* pe-evaluator score --metric grounding: is the box that a text asks for found (RefCOCO)?
 *
 *   IoU        mean intersection over union of the box replied and the right one, x1 y1 x2 y2
 *   ACC@0.5    share of IoU >= .5, as lmms-eval has it (ACC@0.1 .. ACC@0.9)
 *
 * A reply is an array of four numbers, or a text, whose first [x1, y1, x2, y2] counts; one without is wrong, and
 * unparsed.  Its numbers are in the truth's units, or with --grounding-scale S in S-ths of the picture's width and
 * height, which the truth's rows then give as width and height. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "evaluator/metrics/answers.h"
#include "evaluator/metrics/pattern.h"
#include "evaluator/metrics/python.h"

extern const struct metric metric_grounding;

struct self {
    char *corners; /* options */
    double scale;
    struct answers answers;
    struct pattern box;
};

#define AT(field) offsetof(struct self, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_CHOICE, "grounding-bbox", AT(corners), NULL, 0, 0, "xyxy|xywh", "what the truth's key bbox holds: two corners, or a corner, width and height (rows with answers: two corners)"},
    {OPTION_REAL, "grounding-scale", AT(scale), "0", 0, 1e9, NULL, "what a reply calls the picture's whole width and height, 1000 or 999 or 1; 0: its numbers are in the truth's units"},
    {0}};
/* clang-format on */

#define NUMBER "(-?\\d+(?:\\.\\d+)?)"
#define GAP "[" PYTHON_SPACES "]*"
static const char box_text[] = "\\[" GAP NUMBER "," GAP NUMBER "," GAP NUMBER "," GAP NUMBER GAP "\\]";

static bool read_box(const struct self *x, const json_t *value, double box[4])
{
    struct piece pieces[PATTERN_GROUPS];
    for (int k = 0; k < 4 && json_is_array(value); k++) box[k] = json_number_value(json_array_get(value, (size_t)k));
    if (json_is_array(value)) return true;
    const char *text = json_string_value(value);
    if (!pattern_find(&x->box, text, strlen(text), 0, pieces)) return false;
    for (int k = 0; k < 4; k++) {
        char *number = strndup(pieces[k + 1].begin, (size_t)(pieces[k + 1].end - pieces[k + 1].begin));
        CHECK(python_float(number, &box[k]), "%s", number);
        free(number);
    }
    return true;
}

static int read_truth(const struct self *x, const struct question *q, double box[4], struct error *error)
{
    const char *truth = x->answers.truth;
    bool named = !strcmp(x->answers.layout->name, "boxes");
    if (question_answers(q) != 1 || !read_box(x, json_array_get(q->answers, 0), box))
        return error_set(error, ERROR_FAILED, "%s: question %s: its answer must be one box [x1, y1, x2, y2]", truth,
                         q->id);
    if (named && !x->corners)
        return error_set(error, ERROR_USAGE, "%s: say with --grounding-bbox what bbox holds, xyxy or xywh", truth);
    if (named && !strcmp(x->corners, "xywh")) {
        box[2] += box[0];
        box[3] += box[1];
    }
    if (box[2] <= box[0] || box[3] <= box[1])
        return error_set(error, ERROR_FAILED, "%s: question %s: its box %g %g %g %g is empty%s", truth, q->id, box[0],
                         box[1], box[2], box[3], named ? "; is --grounding-bbox right?" : "");
    return 0;
}

/* From S-ths of the picture to its units. */
static int rescale(const struct self *x, const struct question *q, double box[4], struct error *error)
{
    static const char *const keys[] = {"width", "height"};
    for (int k = 0; k < 4 && x->scale > 0; k++) {
        double side = json_number_value(json_object_get(q->row, keys[k % 2]));
        if (side <= 0)
            return error_set(error, ERROR_FAILED, "%s: question %s: --grounding-scale needs its picture's %s",
                             x->answers.truth, q->id, keys[k % 2]);
        box[k] = box[k] / x->scale * side;
    }
    return 0;
}

static double length(double low, double high)
{
    return high > low ? high - low : 0;
}

static double overlap(const double a[4], const double b[4])
{
    double both = 1, first = 1, second = 1;
    for (int k = 0; k < 2; k++) {
        both *= length(a[k] > b[k] ? a[k] : b[k], a[k + 2] < b[k + 2] ? a[k + 2] : b[k + 2]);
        first *= length(a[k], a[k + 2]);
        second *= length(b[k], b[k + 2]);
    }
    return both / (first + second - both);
}

static int open_grounding(void *self, const char *truth, const char *predictions, struct metric_result *result,
                          struct error *error)
{
    static const double levels[] = {0.1, 0.3, 0.5, 0.7, 0.9};
    static const char *const names[] = {"ACC@0.1", "ACC@0.3", "ACC@0.5", "ACC@0.7", "ACC@0.9"};
    enum { LEVELS = sizeof levels / sizeof *levels, HEADLINE = 2 };
    struct self *x = self;
    struct answers *a = &x->answers;
    x->box = pattern_open(box_text, false, false);
    if (answers_read(a, truth, predictions, true, error) < 0) return -1;
    double sum = 0, box[4], reply[4];
    int64_t found[LEVELS] = {0};
    for (int64_t i = 0; i < a->count; i++) {
        const struct question *q = &a->questions[i];
        if (read_truth(x, q, box, error) < 0) return -1;
        bool parsed = q->reply && read_box(x, q->reply, reply);
        result->unparsed += q->reply && !parsed;
        if (!parsed) continue;
        if (rescale(x, q, reply, error) < 0) return -1;
        double iou = overlap(box, reply);
        sum += iou;
        for (int k = 0; k < LEVELS; k++) found[k] += iou >= levels[k];
        a->values[i] = iou >= levels[HEADLINE];
    }
    json_object_set_new(result->figures, "IoU", json_real(sum / (double)a->count));
    for (int k = 0; k < LEVELS; k++)
        json_object_set_new(result->figures, names[k], json_real((double)found[k] / (double)a->count));
    answers_report(a, names[HEADLINE], names[HEADLINE], result);
    return 0;
}

static void close_grounding(void *self)
{
    struct self *x = self;
    pattern_close(&x->box);
    answers_free(&x->answers);
}

const struct metric metric_grounding = {
    .name = "grounding",
    .summary = "boxes of what a text names (RefCOCO): IoU, ACC@0.5",
    .headline = "ACC@0.5",
    .options = options,
    .bytes = sizeof(struct self),
    .open = open_grounding,
    .close = close_grounding,
};
