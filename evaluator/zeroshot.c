/* pe-evaluator zeroshot: classification by the text features of class names in templates (clip_benchmark's protocol).
 *
 *   class vector = normalised mean over templates of text("a photo of a {c}.");   prediction = class of the largest cosine */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "evaluator/session.h"
#include "nn/metrics.h"

#define AT(field) offsetof(struct evaluator_config, field)
static const struct option options[] = {
    EVALUATOR_OPTIONS,
    {OPTION_STRINGS, "data", AT(data), "!", 0, 0, NULL, "data set with class labels"},
    {OPTION_CHOICE, "frame-average", AT(frame_average), "raw", 0, 0, "raw|unit", "of a video's frames: raw features averaged, then scaled to unit length; or features of unit length averaged"},
    {OPTION_STRING, "templates", AT(templates), NULL, 0, 0, NULL, "one template a line with {c} for the class name (\"a photo of a {c}.\")"},
    {OPTION_STRING, "classnames", AT(classnames), NULL, 0, 0, NULL, "one class name a line, in the order of the labels (those of the data set)"},
    {0}};
const struct option_program zeroshot_program = {"pe-evaluator", "zeroshot", "zero-shot classification: acc1, acc5, mean_per_class_recall", options};

static char *fill(const char *template, const char *name)
{
    struct str out = {0};
    const char *at = strstr(template, "{c}"), *rest = at ? at + 3 : NULL;
    if (!at && (at = strstr(template, "{}"))) rest = at + 2;
    str_append(&out, template, (size_t)(at - template));
    str_puts(&out, name);
    str_puts(&out, rest);
    return str_steal(&out);
}

/* classes [class_count, dim]. */
static int classifier(const struct session *s, char *const *names, int64_t class_count, char *const *templates, int64_t template_count, float *classes,
                      struct error *error)
{
    int64_t dim = s->clip.config.embed_dim, n = class_count * template_count;
    char **texts = mem_alloc((size_t)n, sizeof *texts);
    for (int64_t i = 0; i < n; i++) texts[i] = fill(templates[i % template_count], names[i / template_count]);
    float *features = mem_map((size_t)(n * dim), sizeof *features);
    int rc = embed_texts(&s->embedder, texts, n, features, error);
    for (int64_t c = 0; c < class_count && rc == 0; c++) {
        float *to = classes + c * dim;
        double squares = 0;
        memset(to, 0, (size_t)dim * sizeof *to);
        for (int64_t t = 0; t < template_count; t++)
            for (int64_t k = 0; k < dim; k++) to[k] += features[(c * template_count + t) * dim + k];
        for (int64_t k = 0; k < dim; k++) squares += (double)to[k] * (double)to[k];
        if (!(squares > 0)) rc = error_set(error, ERROR_FAILED, "class \"%s\": the text features of its templates add up to zero", names[c]);
        for (int64_t k = 0; k < dim; k++) to[k] = (float)(to[k] / sqrt(squares));
    }
    mem_unmap(features, (size_t)(n * dim), sizeof *features);
    lines_free(texts, n);
    return rc;
}

struct names {
    char **list;
    int64_t count;
    bool owned;
};

static int class_names(const struct session *s, const struct collection *data, struct names *names, struct error *error)
{
    if (s->config->classnames) {
        names->owned = true;
        return lines_read(s->config->classnames, false, &names->list, &names->count, error);
    }
    names->list = data->sets[0].classes;
    names->count = data->sets[0].class_count;
    for (int64_t i = 1; i < data->count; i++)
        if (data->sets[i].class_count != names->count) return error_set(error, ERROR_FAILED, "%s: other classes than the first data set; give --classnames", data->sets[i].folder);
    if (!names->count) return error_set(error, ERROR_FAILED, "%s: the data set names no classes; give --classnames", data->sets[0].folder);
    return 0;
}

static int check_templates(char *const *templates, int64_t count, const char *path, struct error *error)
{
    for (int64_t i = 0; i < count; i++)
        if (!strstr(templates[i], "{c}") && !strstr(templates[i], "{}"))
            return error_set(error, ERROR_USAGE, "%s: template \"%s\" has no {c}", path, templates[i]);
    return 0;
}

static int evaluate(struct session *s, const struct collection *data, const struct names *names, char *const *templates, int64_t template_count,
                    struct error *error)
{
    int64_t dim = s->clip.config.embed_dim, count = data->samples;
    float *features = mem_map((size_t)(count * dim), sizeof *features), *classes = mem_map((size_t)(names->count * dim), sizeof *classes);
    int32_t *labels = mem_alloc((size_t)count, sizeof *labels);
    int rc = classifier(s, names->list, names->count, templates, template_count, classes, error);
    s->embedder.average_unit = !strcmp(s->config->frame_average, "unit");
    if (rc == 0) rc = embed_images(&s->embedder, data, count, features, labels, error);
    for (int64_t i = 0; rc == 0 && i < count; i++)
        if (labels[i] >= names->count) rc = error_set(error, ERROR_FAILED, "sample %ld has label %d, there are %ld class names", (long)i, labels[i], (long)names->count);
    if (rc == 0) {
        struct classification m = metrics_classification(&s->host, s->world, features, labels, count, classes, names->count, dim);
        if (!m.samples) rc = error_set(error, ERROR_FAILED, "%s: no sample has a label", s->config->data.items[0]);
        else
            rc = session_report(s, "zeroshot_classification",
                                json_pack("{s:f, s:f, s:f, s:I, s:I}", "acc1", m.acc1, "acc5", m.acc5, "mean_per_class_recall", m.mean_per_class_recall, "samples",
                                          (json_int_t)m.samples, "classes", (json_int_t)names->count),
                                error);
    }
    mem_unmap(features, (size_t)(count * dim), sizeof *features);
    mem_unmap(classes, (size_t)(names->count * dim), sizeof *classes);
    free(labels);
    return rc;
}

int zeroshot_run(struct session *s, struct error *error)
{
    struct collection data = {0};
    struct names names = {0};
    char *standard[] = {(char[]){"a photo of a {c}."}}, **templates = standard;
    int64_t template_count = 1;
    int rc = collection_open(&data, s->config->data.items, s->config->data.count, error);
    if (rc == 0) rc = class_names(s, &data, &names, error);
    if (rc == 0 && s->config->templates) {
        rc = lines_read(s->config->templates, true, &templates, &template_count, error);
        if (rc == 0) rc = check_templates(templates, template_count, s->config->templates, error);
    }
    rc = world_agree(s->world, rc, error);
    if (rc == 0) rc = evaluate(s, &data, &names, templates, template_count, error);
    if (templates != standard) lines_free(templates, template_count);
    if (names.owned) lines_free(names.list, names.count);
    collection_close(&data);
    return rc;
}
