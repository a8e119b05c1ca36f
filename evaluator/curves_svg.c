/* The picture of the curves.  Small multiples: a panel a task, all of one size, so that shapes can be compared, each an
 * <svg class="panel"> of its own, which a page can lay out anew; the value axis of each fits its own figures.  A line
 * is named where it ends, its best layer by its value and number. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "evaluator/curves.h"
#include "evaluator/report/chart.h"
#include "evaluator/report/html.h"

/* Pixels. */
enum {
    COLUMNS = 3,
    PANEL_WIDTH = 380,
    PANEL_HEIGHT = 300,
    MARGIN = 28,
    HEAD = 64,
    LEFT = 46,
    RIGHT = 26,
    TOP = 54,
    BOTTOM = 62,
    TICKS = 5
};

/* Of a panel: where it is, and what its axes show. */
struct panel {
    const struct curve *curves; /* [count] of one task */
    const char *title;
    int64_t count;
    double x, y;        /* its corner */
    double low, high;   /* values */
    double first, last; /* layers */
};

static double x_of(const struct panel *p, double layer)
{
    double span = p->last > p->first ? p->last - p->first : 1;
    return p->x + LEFT + (layer - p->first) / span * (PANEL_WIDTH - LEFT - RIGHT);
}

static double y_of(const struct panel *p, double value)
{
    return p->y + PANEL_HEIGHT - BOTTOM - (value - p->low) / (p->high - p->low) * (PANEL_HEIGHT - TOP - BOTTOM);
}

/* Axes that hold all points, their errors and chance, with round ends. */
static double fit(struct panel *p)
{
    double low = INFINITY, high = -INFINITY;
    p->first = INFINITY;
    p->last = -INFINITY;
    for (int64_t i = 0; i < p->count; i++)
        for (int64_t k = 0; k < p->curves[i].count; k++) {
            const struct curve *c = &p->curves[i];
            double error = isfinite(c->errors[k]) ? c->errors[k] : 0;
            low = fmin(low, c->values[k] - error);
            high = fmax(high, c->values[k] + error);
            if (isfinite(c->chance)) low = fmin(low, c->chance), high = fmax(high, c->chance);
            p->first = fmin(p->first, (double)c->layers[k]);
            p->last = fmax(p->last, (double)c->layers[k]);
        }
    double step = chart_step(fmax(high - low, 1e-6) / (TICKS - 1));
    p->low = floor(low / step) * step;
    p->high = ceil(high / step + 0.15) * step; /* room for the name of the best */
    return step;
}

static void draw_axes(const struct panel *p, double step, struct str *out)
{
    const struct curve *c = p->curves;
    int decimals = step < 0.01 ? 3 : step < 1 ? 2 : 0;
    for (double value = p->low; value <= p->high + step / 2; value += step)
        str_printf(out,
                   "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"grid\"/>\n"
                   "<text x=\"%.1f\" y=\"%.1f\" class=\"tick\" text-anchor=\"end\">%.*f</text>\n",
                   p->x + LEFT, y_of(p, value), p->x + PANEL_WIDTH - RIGHT, y_of(p, value), p->x + LEFT - 7,
                   y_of(p, value) + 4, decimals, fabs(value) < step / 2 ? 0 : value);
    double every = fmax(1, chart_step((p->last - p->first) / 8));
    for (double layer = p->first; layer <= p->last; layer++)
        if (fmod(layer, every) == 0 || layer == p->last || (layer == p->first && every > p->first + 1))
            str_printf(out, "<text x=\"%.1f\" y=\"%.1f\" class=\"tick\" text-anchor=\"middle\">%.0f</text>\n",
                       x_of(p, layer), p->y + PANEL_HEIGHT - BOTTOM + 17, layer);
    str_printf(out, "<text x=\"%.1f\" y=\"%.1f\" class=\"title\">", p->x + LEFT, p->y + 18);
    html_text(out, p->title);
    str_printf(out, "</text>\n<text x=\"%.1f\" y=\"%.1f\" class=\"note\">", p->x + LEFT, p->y + 36);
    html_text(out, c->key);
    str_puts(out, " on ");
    html_text(out, c->dataset);
    if (c->samples) str_printf(out, ", %ld samples", (long)c->samples);
    str_puts(out, "</text>\n");
}

/* Its name stands on the side that has room. */
static void draw_chance(const struct panel *p, struct str *out)
{
    double chance = p->curves->chance, y = isfinite(chance) ? y_of(p, chance) : 0, right = p->x + PANEL_WIDTH - RIGHT;
    if (!isfinite(chance)) return;
    str_printf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"chance\"/>\n", p->x + LEFT, y, right,
               y);
    str_printf(out, "<text x=\"%.1f\" y=\"%.1f\" class=\"note\" text-anchor=\"end\">", right,
               y + 14 < p->y + PANEL_HEIGHT - BOTTOM ? y + 13 : y - 4);
    html_text(out, p->curves->chance_name);
    str_puts(out, "</text>\n");
}

/* A standard error to both sides of the line. */
static void draw_band(const struct panel *p, const struct curve *c, const char *colour, struct str *out)
{
    for (int64_t k = 0; k < c->count; k++)
        if (!isfinite(c->errors[k])) return;
    str_puts(out, "<polygon points=\"");
    for (int64_t k = 0; k < c->count; k++)
        str_printf(out, "%.1f,%.1f ", x_of(p, (double)c->layers[k]), y_of(p, c->values[k] + c->errors[k]));
    for (int64_t k = c->count - 1; k >= 0; k--)
        str_printf(out, "%.1f,%.1f ", x_of(p, (double)c->layers[k]), y_of(p, c->values[k] - c->errors[k]));
    str_printf(out, "\" fill=\"%s\" opacity=\"0.14\"/>\n", colour);
}

static void draw_curve(const struct panel *p, const struct curve *c, const char *colour, bool first, struct str *out)
{
    draw_band(p, c, colour, out);
    str_puts(out, "<polyline points=\"");
    for (int64_t k = 0; k < c->count; k++)
        str_printf(out, "%.1f,%.1f ", x_of(p, (double)c->layers[k]), y_of(p, c->values[k]));
    str_printf(out, "\" class=\"line\" stroke=\"%s\"%s/>\n", colour, first ? "" : " stroke-dasharray=\"5 3\"");
    for (int64_t k = 0; k < c->count; k++)
        str_printf(out,
                   "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%s\" fill=\"%s\" stroke=\"%s\"><title>layer %ld: "
                   "%.4f</title></circle>\n",
                   x_of(p, (double)c->layers[k]), y_of(p, c->values[k]), k == c->best ? "5" : "2.4",
                   k == c->last && k != c->best ? "#fff" : colour, colour, (long)c->layers[k], c->values[k]);
    if (!first) return;
    double x = x_of(p, (double)c->layers[c->best]);
    bool right = x > p->x + PANEL_WIDTH - 110;
    str_printf(out,
               "<text x=\"%.1f\" y=\"%.1f\" class=\"best\" fill=\"%s\" text-anchor=\"%s\">%.3f at layer %ld</text>\n",
               right ? p->x + PANEL_WIDTH - RIGHT : x, y_of(p, c->values[c->best]) - 11, colour,
               right                  ? "end"
               : x < p->x + LEFT + 60 ? "start"
                                      : "middle",
               c->values[c->best], (long)c->layers[c->best]);
}

static void draw_panel(struct panel *p, struct str *out)
{
    double step = fit(p);
    draw_axes(p, step, out);
    draw_chance(p, out);
    for (int64_t i = p->count - 1; i >= 0; i--) draw_curve(p, &p->curves[i], chart_colour(i), i == 0, out);
    const struct curve *c = p->curves;
    str_printf(out, "<text x=\"%.1f\" y=\"%.1f\" class=\"note\">layer (best: %ld of %ld, %.3f; last: %.3f)</text>\n",
               p->x + LEFT, p->y + PANEL_HEIGHT - 20, (long)c->layers[c->best], (long)c->layers[c->last],
               c->values[c->best], c->values[c->last]);
}

static void draw_legend(const struct curve *curves, int64_t count, struct str *out)
{
    double x = MARGIN + LEFT;
    for (int64_t i = 0; i < count; i++) {
        const char *colour = chart_colour(i);
        str_printf(out,
                   "<line x1=\"%.1f\" y1=\"52\" x2=\"%.1f\" y2=\"52\" class=\"line\" stroke=\"%s\"%s/>\n"
                   "<text x=\"%.1f\" y=\"56\" class=\"tick\">",
                   x, x + 26, colour, i ? " stroke-dasharray=\"5 3\"" : "", x + 33);
        html_text(out, curves[i].encoder);
        str_puts(out, "</text>\n");
        x += 33 + 7.2 * (double)strlen(curves[i].encoder) + 24;
    }
}

static const char style[] =
    "<style>text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:#222}"
    ".head{font-size:19px;font-weight:600}.title{font-size:15px;font-weight:600}.tick{font-size:12px;fill:#555}"
    ".note{font-size:12px;fill:#777}.best{font-size:13px;font-weight:600;paint-order:stroke;stroke:#fff;"
    "stroke-width:3px;fill:#222}.grid{stroke:#e6e6e6;stroke-width:1}.chance{stroke:#999;stroke-width:1;"
    "stroke-dasharray:2 3}.line{fill:none;stroke-width:2.2;stroke-linejoin:round;stroke-linecap:round}</style>\n";

int64_t curves_of_task(const struct curves *curves, int64_t first)
{
    int64_t end = first;
    while (end < curves->count && !strcmp(curves->list[end].task, curves->list[first].task) &&
           !strcmp(curves->list[end].key, curves->list[first].key))
        end++;
    return end - first;
}

void curves_panel(const struct curve *curves, int64_t count, const char *title, struct str *out)
{
    struct panel p = {.curves = curves, .title = title, .count = count};
    str_printf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\">\n", PANEL_WIDTH, PANEL_HEIGHT);
    draw_panel(&p, out);
    str_puts(out, "</svg>\n");
}

void curves_svg(const struct curves *curves, const char *title, struct str *out)
{
    int64_t panels = 0, n = 0;
    for (int64_t i = 0; i < curves->count; i += curves_of_task(curves, i)) panels++;
    int64_t columns = panels < COLUMNS ? panels : COLUMNS, rows = columns ? (panels + columns - 1) / columns : 0;
    int64_t width = 2 * MARGIN + columns * PANEL_WIDTH, height = HEAD + MARGIN + rows * PANEL_HEIGHT;
    str_printf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %ld %ld\" width=\"%ld\" height=\"%ld\">\n",
               (long)width, (long)height, (long)width, (long)height);
    str_puts(out, style);
    str_printf(out, "<rect width=\"%ld\" height=\"%ld\" fill=\"#fff\"/>\n<text x=\"%d\" y=\"32\" class=\"head\">",
               (long)width, (long)height, MARGIN + LEFT);
    html_text(out, title);
    str_puts(out, "</text>\n");
    if (curves->count) draw_legend(curves->list, curves_of_task(curves, 0), out);
    for (int64_t i = 0; i < curves->count; i += curves_of_task(curves, i), n++) {
        struct panel p = {.curves = &curves->list[i],
                          .title = curves->list[i].task,
                          .count = curves_of_task(curves, i),
                          .x = (double)(MARGIN + n % columns * PANEL_WIDTH),
                          .y = (double)(HEAD + n / columns * PANEL_HEIGHT)};
        str_printf(
            out, "<svg class=\"panel\" x=\"%.0f\" y=\"%.0f\" width=\"%d\" height=\"%d\" viewBox=\"%.0f %.0f %d %d\">\n",
            p.x, p.y, PANEL_WIDTH, PANEL_HEIGHT, p.x, p.y, PANEL_WIDTH, PANEL_HEIGHT);
        draw_panel(&p, out);
        str_puts(out, "</svg>\n");
    }
    str_puts(out, "</svg>\n");
}
