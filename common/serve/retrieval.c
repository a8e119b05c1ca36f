/* Captions, and whose they are. */
#include "serve/retrieval.h"

#include <stdlib.h>
#include <string.h>

static void add_text(struct retrieval *r, int64_t *room, int64_t sample, const char *text, size_t len)
{
    if (r->text_count == *room) {
        *room = 2 * *room + 1024;
        r->texts = mem_realloc(r->texts, (size_t)*room, sizeof *r->texts);
        r->owner = mem_realloc(r->owner, (size_t)*room, sizeof *r->owner);
    }
    char *copy = r->texts[r->text_count] = mem_zalloc(len + 1, 1);
    memcpy(copy, text, len);
    r->owner[r->text_count++] = (int32_t)sample;
}

/* One that cannot be read has none; that is the pass's to say. */
static int read_sample(struct retrieval *r, int64_t sample, int64_t *room, struct error *error)
{
    const struct retrieval_config *c = &r->config;
    struct record record;
    struct error why = {0};
    if (collection_read_texts(c->data, sample, &record, &why) < 0) {
        bool may_miss = c->max_bad > 0 && collection_reach(c->data, sample, NULL) == 0;
        return may_miss ? 0 : error_set(error, why.code, "%s", why.text);
    }
    for (uint32_t k = 0; k < record.caption_count && (!c->captions || k < c->captions); k++) {
        size_t len;
        const char *text = record_caption(&record, k, &len);
        add_text(r, room, sample, text, len);
    }
    bool any = record.caption_count > 0;
    record_release(&record);
    return any ? 0 : error_set(error, ERROR_FAILED, "sample %ld has no caption", (long)sample);
}

int retrieval_open(struct retrieval *r, const struct encoder *encoder, const struct retrieval_config *config,
                   struct error *error)
{
    int64_t room = 0;
    int rc = 0;
    *r = (struct retrieval){.config = *config};
    feature_table_open(&r->table, encoder, config->samples, (struct want){encoder->layers, config->feature});
    r->table.skips = config->max_bad > 0;
    for (int64_t i = 0; i < config->samples && rc == 0; i++) rc = read_sample(r, i, &room, error);
    if (rc == 0 && !r->text_count)
        rc = error_set(error, ERROR_FAILED, "%s: the data set holds no sample with a caption",
                       config->data->sets[0].folder);
    return rc;
}

struct taker retrieval_taker(struct retrieval *r)
{
    return feature_table_taker(&r->table);
}

/* What is scored: samples that were seen and have captions, and these, both in their order. */
struct chosen {
    float *images;
    char **texts;
    int32_t *owner, *place; /* [samples] of `images`, -1: it is not there */
    int64_t image_count, text_count;
};

static void choose(const struct retrieval *r, struct chosen *c)
{
    const struct feature_table *t = &r->table;
    c->images = mem_map((size_t)(t->count * t->cols), sizeof *c->images);
    c->texts = mem_alloc((size_t)r->text_count, sizeof *c->texts);
    c->owner = mem_alloc((size_t)r->text_count, sizeof *c->owner);
    c->place = mem_alloc((size_t)t->count, sizeof *c->place);
    for (int64_t i = 0; i < t->count; i++) c->place[i] = -1;
    for (int64_t k = 0; k < r->text_count; k++) {
        int32_t sample = r->owner[k];
        if (t->labels[sample] == LABEL_MISSING) continue;
        if (c->place[sample] < 0) {
            memcpy(c->images + c->image_count * t->cols, t->rows + sample * t->cols, (size_t)t->cols * sizeof(float));
            c->place[sample] = (int32_t)c->image_count++;
        }
        c->texts[c->text_count] = r->texts[k];
        c->owner[c->text_count++] = c->place[sample];
    }
}

static void let_go(const struct retrieval *r, struct chosen *c)
{
    mem_unmap(c->images, (size_t)(r->table.count * r->table.cols), sizeof *c->images);
    free(c->texts);
    free(c->owner);
    free(c->place);
}

int retrieval_score(const struct retrieval *r, const struct embedder *e, struct device *host,
                    struct retrieval_figures *figures, struct error *error)
{
    const struct retrieval_config *config = &r->config;
    int64_t cols = r->table.cols;
    struct chosen c = {0};
    choose(r, &c);
    int64_t missing = config->samples - c.image_count;
    int rc = missing_check(missing, config->samples, config->max_bad, error);
    if (rc == 0 && !c.image_count) rc = error_set(error, ERROR_FAILED, "no sample could be read");
    float *texts = mem_map((size_t)(r->text_count * cols), sizeof *texts);
    if (rc == 0) rc = texts_embed(e, c.texts, c.text_count, texts, error);
    if (rc == 0)
        *figures = (struct retrieval_figures){score_retrieval(host, e->world, c.images, c.image_count, texts, c.owner,
                                                              c.text_count, cols, config->dual_softmax),
                                              c.image_count, c.text_count, missing};
    if (rc == 0 && config->most)
        figures->nearest =
            score_nearest(host, e->world, texts, c.text_count, c.images, c.image_count, cols, c.owner,
                          config->most < c.image_count ? config->most : c.image_count, config->dual_softmax);
    mem_unmap(texts, (size_t)(r->text_count * cols), sizeof *texts);
    let_go(r, &c);
    return rc;
}

void retrieval_close(struct retrieval *r)
{
    texts_free(r->texts, r->text_count);
    free(r->owner);
    feature_table_close(&r->table);
    *r = (struct retrieval){0};
}
