/* Maps of metric depth and their figures (Eigen et al. 2014), of a picture and over pictures.
 *
 * Over the pixels with min < g < max, inside the crop, p clamped to [min, max], d = log p - log g:
 *   a1 a2 a3   share of max(p/g, g/p) < 1.25, 1.25^2, 1.25^3     abs_rel    mean |p - g| / g
 *   sq_rel     mean (p - g)^2 / g                                rmse       sqrt(mean (p - g)^2)
 *   rmse_log   sqrt(mean d^2)                                    log_10     mean |log10 p - log10 g|
 *   silog      100 sqrt(mean d^2 - (mean d)^2)
 * each of a picture alone, then the mean over pictures; rmse_pooled is over the pixels of all pictures together, as
 * some report it: a few per cent off. */
#ifndef EVALUATOR_METRICS_DEPTH_MAP_H
#define EVALUATOR_METRICS_DEPTH_MAP_H

#include "base/extent.h"
#include "base/json.h"

struct depth_map {
    struct extent size;
    double *metres; /* [area], owned: free */
};

/* What counts: metres, and "eigen": rows 45 to 470, columns 41 to 600 of NYU's 480 x 640. */
struct depth_range {
    double min, max;
    bool eigen;
};

enum {
    DEPTH_A1,
    DEPTH_A2,
    DEPTH_A3,
    DEPTH_ABS_REL,
    DEPTH_SQ_REL,
    DEPTH_RMSE,
    DEPTH_RMSE_LOG,
    DEPTH_LOG_10,
    DEPTH_SILOG
};
enum { DEPTH_FIGURES = DEPTH_SILOG + 1 };

struct depth_figures {
    double of[DEPTH_FIGURES];
    double squares, pixels; /* sum of (p - g)^2; pixels that count */
};

/* A .png of grey, scale to the metre; or a .npy [height, width] of metres (any number of 1 before).  What is not
 * finite is refused. */
int depth_map_read(struct depth_map *map, const char *path, double scale, struct error *error);
/* Bilinear: pixel centres, edges repeated, no antialiasing (align_corners false). */
struct depth_map depth_map_resized(const struct depth_map *map, struct extent size);
/* false: no pixel counts.  Both maps are of one size. */
bool depth_map_measure(struct depth_figures *out, const struct depth_range *range, const struct depth_map *truth,
                       const struct depth_map *predicted);
/* Means over pictures into `figures`: a1 ... silog, rmse_pooled, pixels. */
void depth_figures_report(const struct depth_figures *pictures, int64_t count, json_t *figures);

#endif
