/* The metric davis: masks of a DAVIS folder and those that were predicted.
 *
 *   truth        Annotations/480p/SEQUENCE/00000.png ..., the sequences of ImageSets/2017/val.txt where that is there;
 *                or a folder of SEQUENCE folders
 *   predictions  SEQUENCE/NAME.png for each frame that is scored: all but the first and the last
 *
 * Pixels are palette indices or 8-bit grey.  An object that is never predicted counts with empty masks, a predicted
 * number above the truth's is an error, as in the official evaluation. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/str.h"
#include "data/mask.h"
#include "evaluator/metrics/davis.h"
#include "evaluator/metrics/metric.h"
#include "evaluator/metrics/pairs.h"
#include "evaluator/sequences.h"
#include "serve/texts.h"

extern const struct metric metric_davis;

struct self {
    char *list; /* option */
    int64_t count;
    struct davis_sequence *sequences; /* [count] */
    struct davis_scores scores;
};

#define AT(field) offsetof(struct self, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_STRING, "davis-sequences", AT(list), NULL, 0, 0, NULL, "file with the names of the sequences, one a line; else ImageSets/2017/val.txt of --truth, else all"},
    {0}};
/* clang-format on */

/* A sequence while it is read. */
struct reading {
    const char *truth, *predicted; /* folders */
    char *const *names;            /* of all frames */
    int width, height;             /* of its first mask; 0 before that is read */
    struct davis_sequence *sequence;
};

static int check_mask(const struct reading *r, const char *path, const struct mask *mask, int64_t objects,
                      struct error *error)
{
    if (mask->bits == 16)
        return error_set(error, ERROR_FAILED, "%s: 16-bit grey is no mask: save objects as palette index", path);
    if (r->width && (mask->width != r->width || mask->height != r->height))
        return error_set(error, ERROR_FAILED, "%s: %d x %d, the first mask of the truth is %d x %d", path, mask->width,
                         mask->height, r->width, r->height);
    int highest = 0;
    for (int64_t i = 0; i < (int64_t)mask->width * mask->height; i++)
        if (mask->pixels[i] > highest) highest = mask->pixels[i];
    if (highest > objects)
        return error_set(error, ERROR_FAILED, "%s: object %d, the truth has %ld (DAVIS's evaluation refuses this)",
                         path, highest, (long)objects);
    return 0;
}

/* objects: the highest number it may hold. */
static int read_mask(const struct reading *r, const char *folder, const char *name, int64_t objects, struct mask *mask,
                     struct error *error)
{
    char *path = fs_join(folder, name);
    int rc = mask_read(path, PAIRS_MOST_PIXELS, mask, error);
    if (rc == 0) rc = check_mask(r, path, mask, objects, error);
    free(path);
    return rc;
}

static int read_frame(void *context, int64_t frame, struct error *error)
{
    const struct reading *r = context;
    const char *name = r->names[frame + 1];
    struct mask truth = {0}, predicted = {0};
    int rc = read_mask(r, r->truth, name, UINT8_MAX, &truth, error);
    if (rc == 0) rc = read_mask(r, r->predicted, name, r->sequence->objects, &predicted, error);
    if (rc == 0) davis_sequence_add(r->sequence, frame, truth.pixels, predicted.pixels, r->height, r->width);
    mask_free(&truth);
    mask_free(&predicted);
    return rc;
}

/* The .png of a folder, moved to the front of the list. */
static int64_t keep_masks(struct fs_list *list)
{
    int64_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        char *name = list->names[i];
        if (!str_ends_with(name, ".png")) continue;
        list->names[i] = list->names[count];
        list->names[count++] = name;
    }
    return count;
}

static int read_sequence(struct reading *r, const char *name, const struct fs_list *list, int64_t frames,
                         struct error *error)
{
    if (frames < 3)
        return error_set(error, ERROR_FAILED,
                         "%s: %ld masks: the first and the last are not scored, and no other is there", r->truth,
                         (long)frames);
    struct mask first = {0};
    int rc = read_mask(r, r->truth, list->names[0], UINT8_MAX, &first, error),
        objects = davis_objects(first.pixels, (int64_t)first.width * first.height);
    r->names = list->names;
    r->width = first.width;
    r->height = first.height;
    mask_free(&first);
    if (rc < 0) return -1;
    if (!objects) return error_set(error, ERROR_FAILED, "%s/%s: no object in it", r->truth, list->names[0]);
    davis_sequence_open(r->sequence, name, objects, frames - 2);
    return pairs_each(frames - 2, read_frame, r, error);
}

static int open_sequence(struct davis_sequence *sequence, const char *truth, const char *predictions, const char *name,
                         struct error *error)
{
    struct fs_list list = {0};
    char *from = fs_join(truth, name), *to = fs_join(predictions, name);
    struct reading r = {.truth = from, .predicted = to, .sequence = sequence};
    int rc = fs_list(from, &list, error);
    if (rc == 0) rc = read_sequence(&r, name, &list, keep_masks(&list), error);
    fs_list_free(&list);
    free(from);
    free(to);
    return rc;
}

static int open_sequences(struct self *x, const char *truth, const char *predictions, struct error *error)
{
    char **names = NULL, *folder = fs_join(truth, "Annotations/480p");
    int64_t count = 0;
    const char *below = fs_is_folder(folder) ? folder : truth;
    int rc = sequences_read(truth, below, x->list, &names, &count, error);
    x->sequences = mem_zalloc((size_t)count + 1, sizeof *x->sequences);
    for (; rc == 0 && x->count < count; x->count++)
        rc = open_sequence(&x->sequences[x->count], below, predictions, names[x->count], error);
    texts_free(names, count);
    free(folder);
    return rc;
}

static int open_davis(void *self, const char *truth, const char *predictions, struct metric_result *result,
                      struct error *error)
{
    struct self *x = self;
    if (open_sequences(x, truth, predictions, error) < 0) return -1;
    davis_scores_open(&x->scores, x->sequences, x->count, result->figures);
    int64_t frames = 0;
    for (int64_t i = 0; i < x->count; i++) frames += x->sequences[i].frames;
    json_object_set_new(result->figures, "sequences", json_integer(x->count));
    json_object_set_new(result->figures, "frames", json_integer(frames));
    result->units = result->samples = x->scores.objects;
    result->values = x->scores.values;
    result->keys = x->scores.keys;
    return 0;
}

static void close_davis(void *self)
{
    struct self *x = self;
    for (int64_t i = 0; i < x->count; i++) davis_sequence_close(&x->sequences[i]);
    free(x->sequences);
    davis_scores_close(&x->scores);
}

const struct metric metric_davis = {
    .name = "davis",
    .summary = "masks of objects followed through a video: J, F and their mean, over objects",
    .headline = davis_headline,
    .options = options,
    .bytes = sizeof(struct self),
    .open = open_davis,
    .close = close_davis,
};
