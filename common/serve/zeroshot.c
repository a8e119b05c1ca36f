/* Class vectors, and the labels they are held against. */
#include "serve/zeroshot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "log/log.h"

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

int zeroshot_open(struct zeroshot *z, const struct embedder *e, const struct zeroshot_config *config,
                  struct error *error)
{
    const struct prompts *p = config->prompts;
    int64_t dim = e->text->output, n = p->class_count * p->template_count;
    *z = (struct zeroshot){.config = *config};
    z->classes = mem_map((size_t)(p->class_count * dim), sizeof *z->classes);
    feature_table_open(&z->table, &e->encoder, config->samples, (struct want){e->encoder.layers, config->feature});
    z->table.skips = config->max_bad > 0;
    char **texts = mem_alloc((size_t)n, sizeof *texts);
    for (int64_t i = 0; i < n; i++)
        texts[i] = template_fill(p->templates[i % p->template_count], p->names[i / p->template_count]);
    float *features = mem_map((size_t)(n * dim), sizeof *features);
    int rc = texts_embed(e, texts, n, features, error);
    for (int64_t c = 0; c < p->class_count && rc == 0; c++)
        rc = class_vector(z->classes + c * dim, features + c * p->template_count * dim, p->template_count, dim,
                          p->names[c], error);
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
    int64_t outside = 0, first = 0, count = z->config.prompts->label_count;
    for (int64_t i = z->table.count - 1; i >= 0; i--)
        if (z->table.labels[i] >= count) outside++, first = i;
    if (!outside) return 0;
    return error_set(error, ERROR_FAILED,
                     "sample %ld has label %d, there are %ld class names; labels beyond them: %ld of %ld samples",
                     (long)first, z->table.labels[first], (long)count, (long)outside, (long)z->table.count);
}

/* The class of each sample, -1 of those that are left out, which are counted; the caller frees. */
static int32_t *sort_out(const struct zeroshot *z, struct zeroshot_scores *s)
{
    const struct feature_table *t = &z->table;
    const int32_t *class_of = z->config.prompts->class_of;
    int32_t *classes = mem_alloc((size_t)t->count, sizeof *classes);
    for (int64_t i = 0; i < t->count; i++) {
        int32_t label = t->labels[i];
        classes[i] = label < 0 ? -1 : class_of ? class_of[label] : label;
        s->missing += label == LABEL_MISSING;
        s->unlabelled += label < 0 && label != LABEL_MISSING;
        s->outside += label >= 0 && classes[i] < 0;
    }
    return classes;
}

static void say(const struct zeroshot_scores *s, int64_t count)
{
    if (s->unlabelled)
        log_warn("%ld of %ld samples have no label: they are left out", (long)s->unlabelled, (long)count);
    if (s->outside)
        log_warn("%ld of %ld samples are of classes that were not asked for: they are left out", (long)s->outside,
                 (long)count);
}

int zeroshot_score(const struct zeroshot *z, const struct world *world, struct device *host,
                   struct zeroshot_scores *scores, struct error *error)
{
    const struct feature_table *t = &z->table;
    struct zeroshot_scores s = {0};
    if (check_labels(z, error) < 0) return -1;
    int32_t *classes = sort_out(z, &s);
    if (missing_check(s.missing, t->count, z->config.max_bad, error) < 0) {
        free(classes);
        return -1;
    }
    s.of = score_classification(host, world, t->rows, classes, t->count, z->classes, z->config.prompts->class_count,
                                t->cols);
    free(classes);
    if (!s.of.samples) return error_set(error, ERROR_FAILED, "no sample has a label");
    if (!world->rank) say(&s, t->count);
    *scores = s;
    return 0;
}

void zeroshot_close(struct zeroshot *z)
{
    if (z->classes) mem_unmap(z->classes, (size_t)(z->config.prompts->class_count * z->table.cols), sizeof *z->classes);
    feature_table_close(&z->table);
    *z = (struct zeroshot){0};
}
