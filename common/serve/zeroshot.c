/* Class vectors, and the labels they are held against. */
#include "serve/zeroshot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "log/log.h"

/* --- class vectors --- */

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

/* --- class vectors --- */

static struct class_key key_of(char *const *texts, int64_t count)
{
    struct class_key key = {0};
    for (int64_t i = 0; i < count; i++) {
        XXH128_hash_t text = XXH3_128bits(texts[i], strlen(texts[i]));
        uint64_t chain[] = {key.low, key.high, text.low64, text.high64};
        XXH128_hash_t all = XXH3_128bits(chain, sizeof chain);
        key = (struct class_key){all.low64, all.high64};
    }
    return key;
}

/* NULL: it is not there. */
static const float *find(const struct class_vectors *v, struct class_key key)
{
    for (int64_t i = 0; v && i < v->count; i++)
        if (v->keys[i].low == key.low && v->keys[i].high == key.high) return v->rows + i * v->dim;
    return NULL;
}

static void keep(struct class_vectors *v, struct class_key key, const float *row, int64_t dim)
{
    v->dim = dim;
    if (v->count % 256 == 0) {
        v->keys = mem_realloc(v->keys, (size_t)v->count + 256, sizeof *v->keys);
        v->rows = mem_realloc(v->rows, (size_t)((v->count + 256) * dim), sizeof *v->rows);
    }
    memcpy(v->rows + v->count * dim, row, (size_t)dim * sizeof *row);
    v->keys[v->count++] = key;
}

void class_vectors_close(struct class_vectors *v)
{
    free(v->keys);
    free(v->rows);
    *v = (struct class_vectors){0};
}

/* (all) The vectors of classes that are not kept: `which` [count], each of `each` texts. */
static int make_vectors(struct zeroshot *z, const struct embedder *e, char *const *texts, const int64_t *which,
                        int64_t count, int64_t each, struct error *error)
{
    int64_t dim = z->table.cols, n = count * each;
    char **wanted = mem_alloc((size_t)n + 1, sizeof *wanted);
    for (int64_t i = 0; i < n; i++) wanted[i] = texts[which[i / each] * each + i % each];
    float *features = mem_map((size_t)(n * dim), sizeof *features);
    int rc = n ? texts_embed(e, wanted, n, features, error) : 0;
    for (int64_t i = 0; i < count && rc == 0; i++) {
        float *row = z->classes + which[i] * dim;
        rc = class_vector(row, features + i * each * dim, each, dim, z->config.prompts->names[which[i]], error);
        if (rc == 0 && z->config.kept) keep(z->config.kept, key_of(texts + which[i] * each, each), row, dim);
    }
    mem_unmap(features, (size_t)(n * dim), sizeof *features);
    free(wanted);
    return rc;
}

int zeroshot_open(struct zeroshot *z, const struct embedder *e, const struct zeroshot_config *config,
                  struct error *error)
{
    const struct prompts *p = config->prompts;
    int64_t dim = e->text->output, each = p->template_count, n = p->class_count * each, count = 0;
    *z = (struct zeroshot){.config = *config};
    z->classes = mem_map((size_t)(p->class_count * dim), sizeof *z->classes);
    feature_table_open(&z->table, &e->encoder, config->samples, (struct want){e->encoder.layers, config->feature});
    z->table.skips = config->max_bad > 0;
    char **texts = mem_alloc((size_t)n, sizeof *texts);
    int64_t *which = mem_alloc((size_t)p->class_count, sizeof *which);
    for (int64_t i = 0; i < n; i++) texts[i] = template_fill(p->templates[i % each], p->names[i / each]);
    for (int64_t c = 0; c < p->class_count; c++) {
        const float *row = find(config->kept, key_of(texts + c * each, each));
        if (row)
            memcpy(z->classes + c * dim, row, (size_t)dim * sizeof *row);
        else
            which[count++] = c;
    }
    int rc = make_vectors(z, e, texts, which, count, each, error);
    texts_free(texts, n);
    free(which);
    return rc;
}

/* --- figures --- */

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
    int64_t known = z->config.prompts->class_count;
    if (z->config.most && s.of.samples)
        s.nearest = score_nearest(host, world, t->rows, t->count, z->classes, known, t->cols, classes,
                                  z->config.most < known ? z->config.most : known, false);
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
