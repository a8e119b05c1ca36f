/* Figures of results: tiles, a table, curves over layers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "evaluator/report/chart.h"
#include "evaluator/report/figures.h"
#include "evaluator/report/html.h"
#include "evaluator/report/report.h"

/* --- tiles --- */

static void put_bar(struct str *out, double value, double chance)
{
    if (!(value >= 0 && value <= 1)) return;
    str_printf(out, "<div class=\"bar\"><i style=\"width:%.1f%%\"></i>", 100 * value);
    if (chance >= 0 && chance <= 1) str_printf(out, "<u style=\"left:%.1f%%\"></u>", 100 * chance);
    str_puts(out, "</div>");
}

static void put_tile(struct str *out, const json_t *result)
{
    const json_t *m = json_object_get(result, "metrics");
    const char *key = figure_headline(result);
    if (!key || !isfinite(number_of(m, key))) return;
    const struct figure_words *w = figure_words(key);
    double value = number_of(m, key), error = number_of(m, "stderr"), chance = figure_chance(result, key);
    str_puts(out, "<div class=\"tile\"><b>");
    figure_put(out, key, value);
    if (isfinite(error)) {
        str_puts(out, " <small>± ");
        figure_put_plain(out, key, error);
        str_puts(out, "</small>");
    }
    html_put(out, "</b><span>", w ? w->words : key, "</span>");
    if (w && w->share) put_bar(out, value, chance);
    char *task = mem_strdup(text_of(result, "task"));
    for (char *c = task; *c; c++)
        if (*c == '_') *c = ' ';
    html_put(out, "<small>", task, " · ");
    html_text(out, text_of(result, "dataset"));
    free(task);
    if (isfinite(number_of(m, "classes"))) str_printf(out, ", %.0f classes", number_of(m, "classes"));
    if (isfinite(chance)) {
        html_put(out, " · ", figure_chance_name(result), " reaches ");
        figure_put(out, key, chance);
    }
    str_puts(out, "</small></div>\n");
}

void report_tiles(struct str *out, const struct results *results)
{
    enum { MOST = 8 };
    str_puts(out, "<div class=\"tiles\">\n");
    for (int64_t i = 0; i < results->count && i < MOST; i++) put_tile(out, results->list[i].json);
    str_puts(out, "</div>\n");
}

/* --- the table --- */

/* "Against OTHER: 1.20 higher (95 %: 0.31 to 2.05)." */
static void put_difference(struct str *out, const json_t *result)
{
    const json_t *d = json_object_get(json_object_get(result, "metrics"), "difference");
    const char *key = text_of(d, "figure");
    double difference = number_of(d, "difference"), low = number_of(d, "low"), high = number_of(d, "high");
    if (!isfinite(difference)) return;
    html_put(out, "<tr><td>difference of ", key, "");
    html_put(out, " to ", text_of(result, "pretrained"), "</td><td class=\"n\">");
    figure_put(out, key, difference);
    str_puts(out, "</td><td class=\"n\">");
    if (isfinite(low) && isfinite(high)) {
        figure_put_plain(out, key, low);
        str_puts(out, " to ");
        figure_put_plain(out, key, high);
        str_puts(out, " (95&nbsp;%)");
    }
    str_puts(out, "</td></tr>\n");
}

static void put_row(struct str *out, const json_t *result, const char *key, double value)
{
    const struct figure_words *w = figure_words(key);
    const char *headline = figure_headline(result);
    double error = number_of(json_object_get(result, "metrics"), "stderr"), chance = figure_chance(result, key);
    html_put(out, "<tr><td>", w ? w->words : key, "</td><td class=\"n\">");
    figure_put(out, key, value);
    if (isfinite(error) && headline && !strcmp(key, headline)) {
        str_puts(out, " <small>± ");
        figure_put_plain(out, key, error);
        str_puts(out, "</small>");
    }
    str_puts(out, "</td><td class=\"n\">");
    if (isfinite(chance)) {
        html_put(out, "<small>", figure_chance_name(result), "</small> ");
        figure_put(out, key, chance);
    }
    str_puts(out, "</td></tr>\n");
}

static void put_result(struct str *out, const json_t *result)
{
    json_t *metrics = json_object_get(result, "metrics"), *value;
    const char *key;
    double samples = number_of(metrics, "samples");
    if (!figure_headline(result)) return; /* no figure at all: pictures alone */
    if (!isfinite(samples)) samples = number_of(metrics, "images");
    html_put(out, "<div>\n<h3>", figure_task(text_of(result, "task")), "</h3>\n");
    html_put(out, "<p class=\"soft\">", text_of(result, "dataset"), "");
    if (isfinite(samples)) str_printf(out, ", %.0f samples", samples);
    if (isfinite(number_of(metrics, "classes"))) str_printf(out, ", %.0f classes", number_of(metrics, "classes"));
    html_put(out, "; ", text_of(result, "model"), "");
    html_put(out, ", ", text_of(result, "pretrained"), "</p>\n");
    str_puts(out, "<table><thead><tr><th>figure</th><th class=\"n\">reached</th><th class=\"n\">knowing nothing</th>"
                  "</tr></thead><tbody>\n");
    json_object_foreach (metrics, key, value)
        if (json_is_real(value) && strcmp(key, "stderr") && strncmp(key, "chance", strlen("chance")))
            put_row(out, result, key, json_real_value(value));
    put_difference(out, result);
    str_puts(out, "</tbody></table>\n</div>\n");
}

void report_table(struct str *out, const struct results *results)
{
    if (!results->count) return;
    str_puts(out, "<section>\n<h2>All figures</h2>\n<p>± is one standard error. What stands beside a figure was "
                  "reached without knowing anything of the pictures: a figure says something when it stands clear of "
                  "it.</p>\n<div class=\"tables\">\n");
    for (int64_t i = 0; i < results->count; i++) put_result(out, results->list[i].json);
    str_puts(out, "</div>\n</section>\n");
}

/* --- layers --- */

void report_layers(struct str *out, const struct curves *curves)
{
    if (!curves->count) return;
    str_puts(out, "<section>\n<h2>What is known at which layer</h2>\n<p>Each figure from the features of one layer "
                  "alone, the encoder left as it is. The large dot is the best layer, the open one the last; the band "
                  "is one standard error.</p>\n<div class=\"plots\">\n");
    for (int64_t i = 0, n; i < curves->count; i += n) {
        n = curves_of_task(curves, i);
        str_puts(out, "<figure>\n");
        curves_panel(&curves->list[i], n, figure_task(curves->list[i].task), out);
        str_puts(out, "<figcaption>");
        for (int64_t k = 0; k < n; k++) {
            str_printf(out, "<span class=\"key\"><i style=\"background:%s\"></i>", chart_colour(k));
            html_text(out, curves->list[i + k].encoder);
            str_puts(out, "</span> ");
        }
        str_puts(out, "</figcaption></figure>\n");
    }
    str_puts(out, "</div>\n</section>\n");
}
