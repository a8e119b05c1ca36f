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

static int read_captions(struct retrieval *r, const struct collection *data, int64_t samples, int64_t captions,
                         struct error *error)
{
    int64_t room = 0;
    for (int64_t i = 0; i < samples; i++) {
        struct record record;
        if (collection_read(data, i, &record, error) < 0) return -1;
        for (uint32_t k = 0; k < record.caption_count && (!captions || k < captions); k++) {
            size_t len;
            const char *text = record_caption(&record, k, &len);
            add_text(r, &room, i, text, len);
        }
        bool any = record.caption_count > 0;
        record_release(&record);
        if (!any) return error_set(error, ERROR_FAILED, "sample %ld has no caption", (long)i);
    }
    return samples ? 0 : error_set(error, ERROR_FAILED, "%s: the data set holds no sample", data->sets[0].folder);
}

int retrieval_open(struct retrieval *r, const struct encoder *encoder, const struct collection *data, int64_t samples,
                   int64_t captions, enum feature feature, struct error *error)
{
    *r = (struct retrieval){0};
    feature_table_open(&r->table, encoder, samples, (struct want){encoder->layers, feature});
    return read_captions(r, data, samples, captions, error);
}

struct taker retrieval_taker(struct retrieval *r)
{
    return feature_table_taker(&r->table);
}

int retrieval_score(const struct retrieval *r, const struct embedder *e, struct device *host,
                    struct retrieval_scores *scores, struct error *error)
{
    const struct feature_table *t = &r->table;
    float *texts = mem_map((size_t)(r->text_count * t->cols), sizeof *texts);
    int rc = texts_embed(e, r->texts, r->text_count, texts, error);
    if (rc == 0) *scores = score_retrieval(host, e->world, t->rows, t->count, texts, r->owner, r->text_count, t->cols);
    mem_unmap(texts, (size_t)(r->text_count * t->cols), sizeof *texts);
    return rc;
}

void retrieval_close(struct retrieval *r)
{
    texts_free(r->texts, r->text_count);
    free(r->owner);
    feature_table_close(&r->table);
    *r = (struct retrieval){0};
}
