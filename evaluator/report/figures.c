/* Names and units of figures; chance. */
#include "evaluator/report/figures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "evaluator/metrics/metric.h"

static const struct figure_words words[] = {
    {"acc1", "first guess right", true},
    {"acc1_last", "first guess right, from the last layer", true},
    {"acc5", "right one among five guesses", true},
    {"mean_per_class_recall", "first guess right, mean over classes", true},
    {"image_retrieval_recall@1", "text to picture: the right one is first", true},
    {"image_retrieval_recall@5", "text to picture: among the first 5", true},
    {"image_retrieval_recall@10", "text to picture: among the first 10", true},
    {"text_retrieval_recall@1", "picture to text: a right one is first", true},
    {"text_retrieval_recall@5", "picture to text: among the first 5", true},
    {"text_retrieval_recall@10", "picture to text: among the first 10", true},
    {"image_retrieval_median_rank", "text to picture: median place of the right one", false},
    {"text_retrieval_median_rank", "picture to text: median place of the best right one", false},
    {"J&F-Mean", "overlap and outline of followed objects (J&F)", true},
    {"J&F-Mean_last", "overlap and outline, from the last layer", true},
    {"J-Mean", "overlap of followed objects (J)", true},
    {"F-Mean", "outline of followed objects (F)", true},
    {"mIoU", "overlap of regions, mean over classes (mIoU)", true},
    {"mAcc", "pixels right, mean over classes", true},
    {"aAcc", "pixels right", true},
    {"AP", "objects found, mean over overlaps of .5 to .95 (AP)", true},
    {"AP50", "objects found at an overlap of .5", true},
    {"AP75", "objects found at an overlap of .75", true},
    {"a1", "pixels within 25 % of the true depth", true},
    {"rmse", "error of depth, in metres (RMSE)", false},
    {"abs_rel", "error of depth, as a share of it", true},
    {"accuracy", "answers right", true},
    {"anls", "likeness to the true answers (ANLS)", true},
    {"relaxed_overall", "answers right, numbers within 5 %", true},
    {"exact_match", "answers right, letter by letter", true},
    {"ACC@0.5", "named things found at an overlap of .5", true},
    {"IoU", "overlap with the named thing", true},
    {"f1", "F1 of yes and no", true},
    {"CIDEr", "likeness to what people wrote (CIDEr)", false},
};

const struct figure_words *figure_words(const char *key)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(words[i].key, key)) return &words[i];
    return NULL;
}

const char *figure_headline(const json_t *result)
{
    json_t *metrics = json_object_get(result, "metrics"), *value;
    const char *key, *first = NULL;
    bool of_layers = json_object_get(metrics, "best_layer"); /* whose first figure chose it, and has a chance */
    for (int i = 0; metric_list[i] && !of_layers; i++)
        if (!strcmp(metric_list[i]->name, text_of(result, "task"))) return metric_list[i]->headline;
    json_object_foreach (metrics, key, value) {
        if (!json_is_real(value)) continue;
        if (figure_words(key)) return key;
        if (!first && strcmp(key, "stderr") && strcmp(key, "chance")) first = key;
    }
    return first;
}

const char *figure_task(const char *task)
{
    static const char *const tasks[][2] = {{"zeroshot_classification", "Naming pictures, never taught these names"},
                                           {"zeroshot_retrieval", "Finding pictures by text, and texts by picture"},
                                           {"video_object_segmentation", "Following objects through videos"},
                                           {"knn_probe", "Naming by the nearest known pictures"},
                                           {"linear_probe", "Naming by a linear layer"},
                                           {"logistic_probe", "Naming by logistic regression"},
                                           {"attention_probe", "Naming by an attention head"}};
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++)
        if (!strcmp(tasks[i][0], task)) return tasks[i][1];
    for (int i = 0; metric_list[i]; i++)
        if (!strcmp(metric_list[i]->name, task)) return metric_list[i]->summary;
    return task;
}

double number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* Of `all` things in any order one of `right` right ones is among the first `most`. */
static double any_of(double right, double all, double most)
{
    double none = 1;
    for (int i = 0; i < most; i++) none *= fmax(all - right - i, 0) / fmax(all - i, 1);
    return 1 - none;
}

double figure_chance(const json_t *result, const char *key)
{
    const json_t *m = json_object_get(result, "metrics");
    const char *recall = strstr(key, "recall@");
    double classes = number_of(m, "classes"), images = number_of(m, "images"), texts = number_of(m, "texts");
    double most = recall ? strtod(recall + strlen("recall@"), NULL) : 0;
    if (!strcmp(text_of(result, "task"), "zeroshot_classification"))
        return !strcmp(key, "acc5")                                            ? 5 / classes
               : !strcmp(key, "acc1") || !strcmp(key, "mean_per_class_recall") ? 1 / classes
                                                                               : NAN;
    if (recall && !strncmp(key, "image", 5)) return any_of(1, images, most);
    if (recall && !strncmp(key, "text", 4)) return any_of(texts / images, texts, most);
    const char *headline = figure_headline(result);
    return headline && !strcmp(key, headline) ? number_of(m, "chance") : NAN;
}

const char *figure_chance_name(const json_t *result)
{
    const char *name = text_of(json_object_get(result, "metrics"), "chance_name");
    return *name ? name : "guessing";
}

static int decimals(double value)
{
    double size = fabs(value);
    if (size >= 10 && value == floor(value)) return 0;
    return size >= 100 ? 1 : size >= .1 || size == 0 ? 2 : (int)ceil(-log10(size)) + 1;
}

/* Some tools write shares as per cent already. */
static bool as_share(const char *key, double value)
{
    const struct figure_words *w = figure_words(key);
    return ((w && w->share) || str_ends_with(key, "acc1")) && fabs(value) <= 1;
}

void figure_put_plain(struct str *out, const char *key, double value)
{
    double shown = as_share(key, value) ? 100 * value : value;
    if (fabs(shown) >= 1e6 || (shown != 0 && fabs(shown) < 1e-4))
        str_printf(out, "%.3g", shown);
    else
        str_printf(out, "%.*f", decimals(shown), shown);
}

void figure_put(struct str *out, const char *key, double value)
{
    figure_put_plain(out, key, value);
    if (as_share(key, value)) str_puts(out, "\xc2\xa0%");
}
