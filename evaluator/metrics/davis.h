/* DAVIS's measure of objects that are followed through a video (Perazzi et al. 2016; Pont-Tuset et al. 2017), as its
 * official evaluation computes it, over label maps in memory: a pixel is the number of its object, 0 the background.
 *
 *   J   intersection / union of an object's pixels in truth and prediction; 1 where both have none
 *   F   2PR / (P + R) of its outline: P the share of predicted outline pixels within r of a true one, R the reverse,
 *       r = ceil(.008 sqrt(height^2 + width^2)) in Euclidean distance.  Without a predicted outline P = 1, R = 0;
 *       without a true one P = 0, R = 1; without both F = 1
 *
 * A pixel is of the outline when it differs from the one right of it, below it, or right below, about the object; in
 * the last row only the one to the right counts, in the last column only the one below. */
#ifndef EVALUATOR_METRICS_DAVIS_H
#define EVALUATOR_METRICS_DAVIS_H

#include <stdint.h>

#include "base/json.h"

struct davis_measure {
    double j, f;
};
/* Of object `id` in one frame; truth, predicted [height, width]. */
struct davis_measure davis_measure(const uint16_t *truth, const uint16_t *predicted, int height, int width, int id);

/* Over the frames of an object: the mean, the share above .5, and the mean of the first quarter less that of the last
 * (quarters share their end frames). */
struct davis_statistics {
    double mean, recall, decay;
};
struct davis_statistics davis_statistics(const double *values, int64_t count);

/* Objects 1 .. n where n is the highest number of the first frame's truth; 255 is no object (void). */
int davis_objects(const uint16_t *first, int64_t pixels);

/* A sequence while it is measured.  By the rules of the semi-supervised task its first frame, which is given, and its
 * last are not: `frames` is without them. */
struct davis_sequence {
    char *name;
    int64_t objects, frames;
    double *j, *f; /* [objects, frames] */
};
void davis_sequence_open(struct davis_sequence *s, const char *name, int64_t objects, int64_t frames);
/* Measures all objects in a frame; different frames may be added by different threads. */
void davis_sequence_add(struct davis_sequence *s, int64_t frame, const uint16_t *truth, const uint16_t *predicted,
                        int height, int width);
void davis_sequence_close(struct davis_sequence *s);

/* Figures over all objects of all sequences (not a mean of sequences), under the official keys, in `figures`; with
 * J and F of each object as "objects": { "SEQUENCE/id": [J, F] }, which results keep in the file alone. */
struct davis_scores {
    int64_t objects;
    char **keys;    /* [objects] "SEQUENCE/id" */
    double *values; /* [objects] (J + F) / 2: their mean is the headline */
};
extern const char davis_headline[]; /* J&F-Mean */
void davis_scores_open(struct davis_scores *scores, const struct davis_sequence *sequences, int64_t count,
                       json_t *figures);
void davis_scores_close(struct davis_scores *scores);

#endif
