/* Numbers drawn as colours, over a picture or alone. */
#ifndef EVALUATOR_REPORT_DRAWING_H
#define EVALUATOR_REPORT_DRAWING_H

#include "data/image.h"
#include "data/mask.h"

/* The picture, which takes the mask's size, with the mask's numbers laid over it in the colours of mask_palette, their
 * borders full; 0 and 255 leave it as it is. */
void draw_labels(struct image *picture, const struct mask *mask);
/* values [height, width] from near (warm, light) at `low` to far (cold, dark) at `high`; not finite, or <= 0: grey. */
void draw_depth(struct image *out, const double *values, int width, int height, double low, double high);

/* CIELAB's lightness 0 .. 100 and a, b -> sRGB, what lies outside clipped (D65). */
void colour_of_lab(double lightness, double a, double b, uint8_t rgb[3]);

#endif
