/* Labels carried through a video by the likeness of features: objects are followed without training (the evaluation of
 * DINO, Caron et al. 2021, section 4.2.2).
 *
 *   context          the first frame, whose labels are given, and the last `memory` frames with what was found for them
 *   w(s, t)          exp(<x_s, x_t> / temperature) of cells s of the context at most `radius` rows and columns from t,
 *                    x of unit length; the top_k largest of the whole context, and those equal to the last of them
 *   labels of t      sum over s of w(s, t) labels of s / sum of w(s, t)
 *
 * The products exist for a few lines of a frame at a time (a thread) and for the lines near them, never for all pairs;
 * lines run across the grid's shorter side, so that the window cuts the longer one.  Float throughout, sums in the
 * order of frames, then cells: results do not depend on threads. */
#ifndef SERVE_PROPAGATION_H
#define SERVE_PROPAGATION_H

#include "backend/device.h"
#include "config/options.h"

struct propagation_settings {
    int64_t memory, radius, top_k;
    double temperature;
};
extern const struct option propagation_options[];

/* host: the CPU.  Features have `cols` numbers a cell, labels `labels`; grids are read row by row. */
struct propagation;
struct propagation *propagation_open(struct device *host, const struct propagation_settings *settings,
                                     struct extent grid, int64_t cols, int64_t labels);
void propagation_close(struct propagation *p); /* NULL is fine */

/* The first frame: features [cells, cols] of any length, labels [cells, labels]. */
void propagation_begin(struct propagation *p, const float *features, const float *labels);
/* The next frame: its labels [cells, labels], until the next call. */
const float *propagation_next(struct propagation *p, const float *features);

#endif
