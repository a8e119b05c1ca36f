/* The metric miou: label maps of classes, as mmsegmentation scores them.
 *
 *   truth        .png of class numbers (ADE20K: the folder that holds annotations/validation will do)
 *   predictions  .png of the same names and sizes
 *
 * Over the whole set, of the pixels whose truth is not --miou-ignore (class_counts.h). */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "data/mask.h"
#include "evaluator/metrics/class_counts.h"
#include "evaluator/metrics/metric.h"
#include "evaluator/metrics/pairs.h"

extern const struct metric metric_miou;

/* The classes that a picture has, the rest would be 0. */
struct tally {
    int64_t count;
    struct of_class {
        int64_t class;
        struct class_counts counts;
    } * list;
};

struct self {
    char *list; /* options, to reduce */
    int64_t classes, ignore, first;
    bool reduce;
    struct pairs pairs;
    struct tally *tallies; /* [pictures] */
};

#define AT(field) offsetof(struct self, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_INT, "miou-classes", AT(classes), NULL, 0, 65536, NULL, "how many there are (ADE20K: 150)"},
    {OPTION_INT, "miou-ignore", AT(ignore), "255", -1, 65535, NULL, "number in the truth that is not scored; -1: none"},
    {OPTION_BOOL, "miou-reduce-zero-label", AT(reduce), NULL, 0, 0, NULL, "0 in the truth is not scored, and class 0 is its number 1 (ADE20K)"},
    {OPTION_INT, "miou-first", AT(first), "0", 0, 1, NULL, "the number of the first class in predictions; 1: their 0 is no class"},
    {OPTION_STRING, "miou-list", AT(list), NULL, 0, 0, NULL, "file that names the pictures of the truth to score, one a line; else all"},
    {0}};
/* clang-format on */

/* --- a picture --- */

/* The class, NO_CLASS for what is not scored, or what the truth cannot hold: at least x->classes. */
static int64_t true_class(const struct self *x, int64_t value)
{
    if (value == x->ignore || (x->reduce && value == 0)) return NO_CLASS;
    return value - x->reduce;
}

static int64_t predicted_class(const struct self *x, int64_t value)
{
    if (value == x->ignore || value < x->first) return NO_CLASS;
    return value - x->first;
}

static int refuse(const struct self *x, const char *path, const struct mask *mask, int64_t at, struct error *error)
{
    return error_set(error, ERROR_FAILED, "%s: %d at row %ld, column %ld is none of the %ld classes: see --miou-%s",
                     path, mask->pixels[at], (long)(at / mask->width), (long)(at % mask->width), (long)x->classes,
                     "classes, --miou-ignore and --miou-first");
}

/* counts [classes] */
static int count(const struct self *x, int64_t i, const struct mask *truth, const struct mask *predicted,
                 struct class_counts *counts, struct error *error)
{
    if (truth->width != predicted->width || truth->height != predicted->height)
        return error_set(error, ERROR_FAILED, "%s: %d x %d, the truth is %d x %d: predictions are scored at its size",
                         x->pairs.predicted[i], predicted->width, predicted->height, truth->width, truth->height);
    for (int64_t at = 0; at < (int64_t)truth->width * truth->height; at++) {
        int64_t t = true_class(x, truth->pixels[at]), p = predicted_class(x, predicted->pixels[at]);
        if (t >= x->classes) return refuse(x, x->pairs.truth[i], truth, at, error);
        if (p >= x->classes) return refuse(x, x->pairs.predicted[i], predicted, at, error);
        class_counts_add(counts, t, p);
    }
    return 0;
}

static struct tally tally_of(const struct class_counts *counts, int64_t classes)
{
    struct tally out = {0};
    out.list = mem_alloc((size_t)classes, sizeof *out.list);
    for (int64_t c = 0; c < classes; c++)
        if (counts[c].truth || counts[c].predicted) out.list[out.count++] = (struct of_class){c, counts[c]};
    out.list = mem_realloc(out.list, (size_t)out.count + 1, sizeof *out.list);
    return out;
}

static int read_pair(void *self, int64_t i, struct error *error)
{
    struct self *x = self;
    struct mask truth = {0}, predicted = {0};
    struct class_counts *counts = mem_zalloc((size_t)x->classes, sizeof *counts);
    int rc = mask_read(x->pairs.truth[i], PAIRS_MOST_PIXELS, &truth, error);
    if (rc == 0) rc = mask_read(x->pairs.predicted[i], PAIRS_MOST_PIXELS, &predicted, error);
    if (rc == 0) rc = count(x, i, &truth, &predicted, counts, error);
    if (rc == 0) x->tallies[i] = tally_of(counts, x->classes);
    mask_free(&truth);
    mask_free(&predicted);
    free(counts);
    return rc;
}

/* --- all of them --- */

/* If picture i had been there times[i] times (NULL: once); the caller frees. */
static struct class_counts *add_up(const struct self *x, const int32_t *times)
{
    struct class_counts *sums = mem_zalloc((size_t)x->classes, sizeof *sums);
    for (int64_t i = 0; i < x->pairs.count; i++)
        for (const struct of_class *c = x->tallies[i].list; c < x->tallies[i].list + x->tallies[i].count; c++) {
            int64_t n = times ? times[i] : 1;
            sums[c->class].common += n * c->counts.common;
            sums[c->class].truth += n * c->counts.truth;
            sums[c->class].predicted += n * c->counts.predicted;
        }
    return sums;
}

static double resample(void *self, const int32_t *times)
{
    struct self *x = self;
    struct class_counts *sums = add_up(x, times);
    double out = class_counts_miou(sums, x->classes);
    free(sums);
    return out;
}

static int report(const struct self *x, const char *truth, json_t *figures, struct error *error)
{
    struct class_counts *sums = add_up(x, NULL);
    class_counts_figures(sums, x->classes, figures);
    free(sums);
    return json_integer_value(json_object_get(figures, "pixels"))
               ? 0
               : error_set(error, ERROR_FAILED, "%s: no pixel of it counts: see --miou-ignore", truth);
}

static int open_miou(void *self, const char *truth, const char *predictions, struct metric_result *result,
                     struct error *error)
{
    struct self *x = self;
    if (!x->classes) return error_set(error, ERROR_USAGE, "--miou-classes: how many classes are there?");
    char *ade = fs_join(truth, "annotations/validation");
    int rc = pairs_open(&x->pairs, fs_is_folder(ade) ? ade : truth, x->list, predictions, NULL, error);
    free(ade);
    x->tallies = mem_zalloc((size_t)x->pairs.count + 1, sizeof *x->tallies);
    if (rc == 0) rc = pairs_each(x->pairs.count, read_pair, x, error);
    if (rc == 0) rc = report(x, truth, result->figures, error);
    result->units = result->samples = x->pairs.count;
    result->keys = x->pairs.names;
    return rc;
}

static void close_miou(void *self)
{
    struct self *x = self;
    for (int64_t i = 0; x->tallies && i < x->pairs.count; i++) free(x->tallies[i].list);
    free(x->tallies);
    pairs_close(&x->pairs);
}

const struct metric metric_miou = {
    .name = "miou",
    .summary = "label maps of classes: mean intersection over union",
    .headline = "mIoU",
    .options = options,
    .bytes = sizeof(struct self),
    .open = open_miou,
    .resample = resample,
    .close = close_miou,
};
