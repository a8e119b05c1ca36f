/* Layers as they are named, the figure of each, and curves as tables and picture. */
#include "evaluator/curves.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "evaluator/layers.h"
#include "test/harness.h"

static void choosing(void)
{
    struct layer_list list;
    struct error error = {0};
    EXPECT(layers_choose(&list, "all", 3, &error) == 0 && list.count == 3 && list.layers[0] == 1 && list.layers[2] == 3,
           "%ld", (long)list.count);
    layers_close(&list);
    EXPECT(layers_choose(&list, "last", 3, &error) == 0 && list.count == 1 && list.layers[0] == 3, "%ld",
           (long)list.count);
    layers_close(&list);
    EXPECT(layers_choose(&list, "3,0,2", 3, &error) == 0 && list.count == 3 && list.layers[0] == 0 &&
               list.layers[1] == 2,
           "%ld", (long)list.count);
    layers_close(&list);
    const char *const wrong[] = {"4", "-1", "1,1", "1,x", "", "1;2", "first"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct error e = {0};
        EXPECT(layers_choose(&list, wrong[i], 3, &e) < 0 && e.code == ERROR_USAGE, "\"%s\" was taken", wrong[i]);
        layers_close(&list);
    }
}

/* Metrics of layers 1 ... 4 with these values. */
static json_t *metrics_of(const double *values, double error)
{
    struct layer_list list;
    struct error none = {0};
    json_t *each[4];
    EXPECT(layers_choose(&list, "all", 4, &none) == 0, "%s", none.text);
    for (int i = 0; i < 4; i++) {
        each[i] = json_pack("{s:f}", "acc1", values[i]);
        if (isfinite(error)) json_object_set_new(each[i], "stderr", json_real(error));
    }
    json_t *metrics = layers_metrics(&list, "acc1", each);
    layers_close(&list);
    return metrics;
}

static void triple(void)
{
    json_t *m = metrics_of((double[]){.2, .5, .5, .3}, NAN);
    double best = json_real_value(json_object_get(m, "acc1")), last = json_real_value(json_object_get(m, "acc1_last"));
    long layer = (long)json_integer_value(json_object_get(m, "best_layer"));
    EXPECT(best == .5 && last == .3 && layer == 2, "best %g at %ld, last %g", best, layer, last);
    EXPECT(json_array_size(json_object_get(m, "layers")) == 4, "%zu rows",
           json_array_size(json_object_get(m, "layers")));
    json_decref(m);
}

static void add(struct curves *curves, const char *task, const char *encoder, const double *values, double error)
{
    struct error e = {0};
    json_t *result = json_pack("{s:s, s:s, s:o}", "task", task, "dataset", "a<b", "metrics", metrics_of(values, error));
    json_object_set_new(json_object_get(result, "metrics"), "chance", json_real(.1));
    EXPECT(curves_add(curves, result, encoder, &e) == 0, "%s", e.text);
    json_decref(result);
}

static int count_of(const char *text, const char *what)
{
    int count = 0;
    for (; (text = strstr(text, what)); text++) count++;
    return count;
}

static void tables(void)
{
    struct curves curves = {0};
    struct str csv = {0}, svg = {0};
    add(&curves, "knn", "trained, \"A\"", (double[]){.2, .5, .45, .3}, .01);
    add(&curves, "knn", "init:0", (double[]){.1, .12, .11, .1}, NAN);
    add(&curves, "track", "trained, \"A\"", (double[]){.2, .21, .22, .23}, NAN);
    json_t *json = curves_json(&curves), *first = json_array_get(json_object_get(json, "curves"), 0);
    EXPECT(json_integer_value(json_object_get(first, "best_layer")) == 2 &&
               json_real_value(json_object_get(first, "last")) == .3,
           "%s", json_dumps(first, 0));
    EXPECT(!strcmp(json_string_value(json_object_get(first, "key")), "acc1"), "the first member is the headline");
    curves_csv(&curves, &csv);
    EXPECT(count_of(csv.data, "\n") == 13 && strstr(csv.data, "knn,\"trained, \"\"A\"\"\",2,acc1,0.5,0.01\n") &&
               strstr(csv.data, "knn,init:0,1,acc1,0.10000000000000001,\n"),
           "%s", csv.data);
    curves_svg(&curves, "A & B", &svg);
    EXPECT(count_of(svg.data, "<polyline ") == 3 && count_of(svg.data, "<polygon ") == 1 &&
               count_of(svg.data, "class=\"title\"") == 2 && count_of(svg.data, "0.500 at layer 2") == 1,
           "%s", svg.data);
    EXPECT(!strstr(svg.data, "a<b") && strstr(svg.data, "A &amp; B") && !strstr(svg.data, "nan"), "%s", svg.data);
    EXPECT(count_of(svg.data, "<text") == count_of(svg.data, "</text>"), "%s", svg.data);
    json_decref(json);
    str_free(&csv);
    str_free(&svg);
    curves_free(&curves);
}

static void refused(void)
{
    const char *const wrong[] = {
        "{}", "{\"task\": \"knn\", \"dataset\": \"x\", \"metrics\": {\"acc1\": 1}}",
        "{\"task\": \"knn\", \"dataset\": \"x\", \"metrics\": {\"acc1\": 1, \"layers\": [{\"layer\": 1}]}}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct curves curves = {0};
        struct error error = {0};
        json_t *result = json_loads(wrong[i], 0, NULL);
        EXPECT(curves_add(&curves, result, "x", &error) < 0, "%s was taken", wrong[i]);
        json_decref(result);
        curves_free(&curves);
    }
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"layers_are_chosen", choosing},
                                     {"best_last_and_index", triple},
                                     {"curves_as_tables_and_picture", tables},
                                     {"results_that_are_no_curve", refused},
                                     {0}});
}
