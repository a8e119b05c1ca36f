/* Axes with round ends, a line a series. */
#include "evaluator/report/chart.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "evaluator/report/html.h"

enum { WIDTH = 380, HEIGHT = 220, LEFT = 48, RIGHT = 14, TOP = 10, BOTTOM = 42, TICKS = 5 }; /* pixels */

const char *chart_colour(int64_t i)
{
    static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"};
    return colours[i % (int64_t)(sizeof colours / sizeof *colours)];
}

double chart_step(double least)
{
    double power = pow(10, floor(log10(least)));
    for (int i = 0; i < 3; i++) {
        double step = power * (double[]){1, 2, 5}[i];
        if (step >= least * (1 - 1e-9)) return step;
    }
    return 10 * power;
}

void series_add(struct series *s, double x, double y)
{
    if (s->count % 256 == 0) {
        s->x = mem_realloc(s->x, (size_t)s->count + 256, sizeof *s->x);
        s->y = mem_realloc(s->y, (size_t)s->count + 256, sizeof *s->y);
    }
    s->x[s->count] = x;
    s->y[s->count++] = y;
}

void series_free(struct series *s)
{
    free(s->name);
    free(s->x);
    free(s->y);
    *s = (struct series){0};
}

/* What the axes show. */
struct axes {
    double first, last, low, high, step;
};

static struct axes fit(const struct chart *c)
{
    struct axes a = {INFINITY, -INFINITY, INFINITY, -INFINITY, 0};
    for (int64_t i = 0; i < c->count; i++)
        for (int64_t k = 0; k < c->series[i].count; k++) {
            a.first = fmin(a.first, c->series[i].x[k]);
            a.last = fmax(a.last, c->series[i].x[k]);
            a.low = fmin(a.low, c->series[i].y[k]);
            a.high = fmax(a.high, c->series[i].y[k]);
        }
    if (a.low > 0 && a.low < a.high / 2) a.low = 0; /* else the line would be a flat one far from 0 */
    a.step = chart_step(fmax(a.high - a.low, fmax(fabs(a.high), 1e-12) * 1e-3) / (TICKS - 1));
    a.low = floor(a.low / a.step) * a.step;
    a.high = fmax(ceil(a.high / a.step - 1e-9) * a.step, a.low + a.step);
    if (!(a.last > a.first)) a.last = a.first + 1;
    return a;
}

static double x_of(const struct axes *a, double x)
{
    return LEFT + (x - a->first) / (a->last - a->first) * (WIDTH - LEFT - RIGHT);
}

static double y_of(const struct axes *a, double y)
{
    return HEIGHT - BOTTOM - (y - a->low) / (a->high - a->low) * (HEIGHT - TOP - BOTTOM);
}

static void put_number(struct str *out, double value, double step, bool percent)
{
    double scale = percent ? 100 : 1, at = fabs(value) < step / 2 ? 0 : value * scale, apart = step * scale;
    if (apart >= 1 && fabs(at) >= 1e6)
        str_printf(out, "%gM", at / 1e6);
    else if (apart >= 1 && fabs(at) >= 1e4)
        str_printf(out, "%gk", at / 1e3);
    else if (apart < 1e-4 && at != 0)
        str_printf(out, "%.1e", at);
    else
        str_printf(out, "%.*f", apart >= 1 ? 0 : (int)ceil(-log10(apart) - 1e-9), at);
    if (percent) str_puts(out, " %");
}

static void draw_axes(const struct chart *c, const struct axes *a, struct str *out)
{
    for (int i = 0; a->low + i * a->step <= a->high + a->step / 2; i++) {
        double value = a->low + i * a->step, y = y_of(a, value);
        str_printf(out,
                   "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" class=\"grid\"/>"
                   "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">",
                   LEFT, y, WIDTH - RIGHT, y, LEFT - 7, y + 4);
        put_number(out, value, a->step, c->percent);
        str_puts(out, "</text>\n");
    }
    double every = chart_step((a->last - a->first) / 5);
    for (double x = ceil(a->first / every) * every; x <= a->last + every * 1e-6; x += every) {
        str_printf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", x_of(a, x), HEIGHT - BOTTOM + 17);
        put_number(out, x, every, false);
        str_puts(out, "</text>\n");
    }
    str_printf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">", WIDTH - RIGHT, HEIGHT - 6);
    html_text(out, c->across);
    str_puts(out, "</text>\n");
}

static void draw_line(const struct series *s, const struct axes *a, const char *colour, struct str *out)
{
    double last_x = 0, last_y = 0;
    str_puts(out, "<polyline class=\"line\" stroke=\"");
    str_printf(out, "%s\" points=\"", colour);
    for (int64_t i = 0, end; i < s->count; i = end) {
        double x = 0, y = 0, column = floor(x_of(a, s->x[i]));
        for (end = i; end < s->count && floor(x_of(a, s->x[end])) == column; end++) x += s->x[end], y += s->y[end];
        last_x = x_of(a, x / (double)(end - i));
        last_y = y_of(a, y / (double)(end - i));
        str_printf(out, "%.1f,%.1f ", last_x, last_y);
    }
    str_printf(out, "\"/>\n<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", last_x, last_y, colour);
}

void chart_put(struct str *out, const struct chart *c)
{
    struct axes a = fit(c);
    html_put(out, "<figure><h3>", c->title, "</h3>\n");
    str_printf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\">\n", WIDTH, HEIGHT);
    draw_axes(c, &a, out);
    for (int64_t i = c->count - 1; i >= 0; i--) draw_line(&c->series[i], &a, chart_colour(i), out);
    str_puts(out, "</svg>\n<figcaption>");
    for (int64_t i = 0; i < c->count && c->count > 1; i++) {
        str_printf(out, "<span class=\"key\"><i style=\"background:%s\"></i>", chart_colour(i));
        html_text(out, c->series[i].name);
        str_puts(out, "</span> ");
    }
    str_puts(out, "</figcaption></figure>\n");
}
