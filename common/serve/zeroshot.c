/* Class vectors, and the labels they are held against. */
#include "serve/zeroshot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "log/log.h"

static bool same_classes(const struct dataset *a, const struct dataset *b)
{
    bool same = a->class_count == b->class_count;
    for (int64_t i = 0; same && i < a->class_count; i++) same = !strcmp(a->classes[i], b->classes[i]);
    return same;
}

int zeroshot_names(const struct collection *data, char ***names, int64_t *count, struct error *error)
{
    const struct dataset *first = &data->sets[0];
    if (!first->class_count)
        return error_set(error, ERROR_FAILED, "%s: the data set names no classes; give --classnames", first->folder);
    for (int64_t i = 1; i < data->count; i++)
        if (!same_classes(first, &data->sets[i]))
            return error_set(error, ERROR_FAILED, "%s: other classes than the first data set; give --classnames",
                             data->sets[i].folder);
    *names = first->classes;
    *count = first->class_count;
    return 0;
}

/* Where the name goes, and what comes after; NULL: nowhere. */
static const char *place(const char *template, const char **rest)
{
    const char *at = strstr(template, "{c}"), *other = strstr(template, "{}");
    *rest = at ? at + strlen("{c}") : other ? other + strlen("{}") : NULL;
    return at ? at : other;
}

int zeroshot_check_templates(char *const *templates, int64_t count, struct error *error)
{
    const char *rest;
    for (int64_t i = 0; i < count; i++)
        if (!place(templates[i], &rest))
            return error_set(error, ERROR_USAGE, "template \"%s\" has no {c}", templates[i]);
    return 0;
}

static char *fill(const char *template, const char *name)
{
    struct str out = {0};
    const char *rest, *at = place(template, &rest);
    str_append(&out, template, (size_t)(at - template));
    str_puts(&out, name);
    str_puts(&out, rest);
    return str_steal(&out);
}

/* to [dim] = the normalised mean of rows [count, dim]. */
static int class_vector(float *to, const float *rows, int64_t count, int64_t dim, const char *name, struct error *error)
{
    double squares = 0;
    memset(to, 0, (size_t)dim * sizeof *to);
    for (int64_t t = 0; t < count; t++)
        for (int64_t k = 0; k < dim; k++) to[k] += rows[t * dim + k];
    for (int64_t k = 0; k < dim; k++) squares += (double)to[k] * (double)to[k];
    if (!(squares > 0))
        return error_set(error, ERROR_FAILED, "class \"%s\": the text features of its templates add up to zero", name);
    for (int64_t k = 0; k < dim; k++) to[k] = (float)(to[k] / sqrt(squares));
    return 0;
}

int zeroshot_open(struct zeroshot *z, const struct embedder *e, char *const *names, int64_t class_count,
                  char *const *templates, int64_t template_count, int64_t samples, enum feature feature,
                  struct error *error)
{
    int64_t dim = e->text->output, n = class_count * template_count;
    *z = (struct zeroshot){.names = names, .class_count = class_count};
    z->classes = mem_map((size_t)(class_count * dim), sizeof *z->classes);
    feature_table_open(&z->table, &e->encoder, samples, (struct want){e->encoder.layers, feature});
    char **texts = mem_alloc((size_t)n, sizeof *texts);
    for (int64_t i = 0; i < n; i++) texts[i] = fill(templates[i % template_count], names[i / template_count]);
    float *features = mem_map((size_t)(n * dim), sizeof *features);
    int rc = texts_embed(e, texts, n, features, error);
    for (int64_t c = 0; c < class_count && rc == 0; c++)
        rc = class_vector(z->classes + c * dim, features + c * template_count * dim, template_count, dim, names[c],
                          error);
    mem_unmap(features, (size_t)(n * dim), sizeof *features);
    texts_free(texts, n);
    return rc;
}

struct taker zeroshot_taker(struct zeroshot *z)
{
    return feature_table_taker(&z->table);
}

static int check_labels(const struct zeroshot *z, struct error *error)
{
    int64_t outside = 0, first = 0;
    for (int64_t i = z->table.count - 1; i >= 0; i--)
        if (z->table.labels[i] >= z->class_count) outside++, first = i;
    if (!outside) return 0;
    return error_set(error, ERROR_FAILED,
                     "sample %ld has label %d, there are %ld class names; labels beyond them: %ld of %ld samples",
                     (long)first, z->table.labels[first], (long)z->class_count, (long)outside, (long)z->table.count);
}

int zeroshot_score(const struct zeroshot *z, const struct world *world, struct device *host,
                   struct classification_scores *scores, struct error *error)
{
    const struct feature_table *t = &z->table;
    if (check_labels(z, error) < 0) return -1;
    struct classification_scores s =
        score_classification(host, world, t->rows, t->labels, t->count, z->classes, z->class_count, t->cols);
    if (!s.samples) return error_set(error, ERROR_FAILED, "no sample has a label");
    if (s.unlabelled && !world->rank)
        log_warn("%ld of %ld samples have no label: they are left out", (long)s.unlabelled, (long)t->count);
    *scores = s;
    return 0;
}

void zeroshot_close(struct zeroshot *z)
{
    mem_unmap(z->classes, (size_t)(z->class_count * z->table.cols), sizeof *z->classes);
    feature_table_close(&z->table);
    *z = (struct zeroshot){0};
}
