/* Palette, depth, CIELAB. */
#include "evaluator/report/drawing.h"

#include <math.h>

#include "base/memory.h"
#include "data/resize.h"

static bool is_border(const struct mask *m, int x, int y)
{
    uint16_t here = m->pixels[(int64_t)y * m->width + x];
    return (x + 1 < m->width && m->pixels[(int64_t)y * m->width + x + 1] != here) ||
           (y + 1 < m->height && m->pixels[(int64_t)(y + 1) * m->width + x] != here);
}

void draw_labels(struct image *picture, const struct mask *m)
{
    uint8_t colours[256][3];
    mask_palette(colours);
    if (picture->width != m->width || picture->height != m->height) {
        struct image sized = {m->width, m->height, mem_alloc((size_t)m->width * (size_t)m->height, 3)};
        resize_image(picture, sized.pixels, m->width, m->height);
        image_free(picture);
        *picture = sized;
    }
    for (int y = 0; y < m->height; y++)
        for (int x = 0; x < m->width; x++) {
            int64_t at = (int64_t)y * m->width + x;
            int number = m->pixels[at] % 256, weight = is_border(m, x, y) ? 100 : 60;
            if (number == 0 || number == 255) continue;
            for (int c = 0; c < 3; c++) {
                uint8_t *p = &picture->pixels[3 * at + c];
                *p = (uint8_t)((*p * (100 - weight) + colours[number][c] * weight) / 100);
            }
        }
}

static double curve(double linear)
{
    linear = fmin(fmax(linear, 0), 1);
    return linear <= .0031308 ? 12.92 * linear : 1.055 * pow(linear, 1 / 2.4) - .055;
}

static double inverse_f(double t)
{
    return t > 6. / 29 ? t * t * t : 3 * (6. / 29) * (6. / 29) * (t - 4. / 29);
}

void colour_of_lab(double lightness, double a, double b, uint8_t rgb[3])
{
    double y = (lightness + 16) / 116, x = .95047 * inverse_f(y + a / 500), z = 1.08883 * inverse_f(y - b / 200);
    y = inverse_f(y);
    double linear[3] = {3.2406 * x - 1.5372 * y - .4986 * z, -.9689 * x + 1.8758 * y + .0415 * z,
                        .0557 * x - .2040 * y + 1.0570 * z};
    for (int c = 0; c < 3; c++) rgb[c] = (uint8_t)(255 * curve(linear[c]) + .5);
}

void draw_depth(struct image *out, const double *values, int width, int height, double low, double high)
{
    *out = (struct image){width, height, mem_alloc((size_t)width * (size_t)height, 3)};
    for (int64_t i = 0; i < (int64_t)width * height; i++) {
        double at = fmin(fmax((values[i] - low) / fmax(high - low, 1e-9), 0), 1), angle = 1.4 + 3.5 * at;
        if (isfinite(values[i]) && values[i] > 0)
            colour_of_lab(90 - 70 * at, 60 * cos(angle), 60 * sin(angle), out->pixels + 3 * i);
        else
            for (int c = 0; c < 3; c++) out->pixels[3 * i + c] = 128;
    }
}
