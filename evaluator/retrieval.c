/* pe-evaluator retrieval: text -> image and image -> text recall over a data set with captions (clip_benchmark's protocol: no prompts, every
 * caption is a query, any of an image's captions is right). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evaluator/session.h"
#include "nn/metrics.h"

#define AT(field) offsetof(struct evaluator_config, field)
static const struct option options[] = {
    EVALUATOR_OPTIONS,
    {OPTION_STRINGS, "data", AT(data), "!", 0, 0, NULL, "data set with captions"},
    {OPTION_CHOICE, "frame-average", AT(frame_average), "unit", 0, 0, "raw|unit", "of a video's frames: raw features averaged, then scaled to unit length; or features of unit length averaged"},
    {0}};
const struct option_program retrieval_program = {"pe-evaluator", "retrieval", "image_retrieval_recall@K and text_retrieval_recall@K, K = 1, 5, 10", options};

struct captions {
    char **texts;
    int32_t *owner;
    int64_t count;
};

static int read_captions(const struct collection *data, struct captions *c, struct error *error)
{
    if (!data->samples) return error_set(error, ERROR_FAILED, "%s: the data set holds no sample", data->sets[0].folder);
    for (int64_t i = 0; i < data->samples; i++) {
        struct record r;
        if (collection_read(data, i, &r, error) < 0) return -1;
        if (!r.caption_count) return error_set(error, ERROR_FAILED, "sample %ld has no caption", (long)i);
        for (uint32_t k = 0; k < r.caption_count; k++) {
            if (c->count % 1024 == 0) {
                c->texts = mem_realloc(c->texts, (size_t)c->count + 1024, sizeof *c->texts);
                c->owner = mem_realloc(c->owner, (size_t)c->count + 1024, sizeof *c->owner);
            }
            size_t len;
            const char *text = record_caption(&r, k, &len);
            c->texts[c->count] = mem_zalloc(len + 1, 1);
            memcpy(c->texts[c->count], text, len);
            c->owner[c->count++] = (int32_t)i;
        }
    }
    return 0;
}

static json_t *as_json(const struct retrieval *m, int64_t images, int64_t texts)
{
    json_t *metrics = json_object();
    char key[64];
    for (int k = 0; k < RECALL_LEVELS; k++) {
        snprintf(key, sizeof key, "image_retrieval_recall@%d", recall_at[k]);
        json_object_set_new(metrics, key, json_real(m->image[k]));
    }
    for (int k = 0; k < RECALL_LEVELS; k++) {
        snprintf(key, sizeof key, "text_retrieval_recall@%d", recall_at[k]);
        json_object_set_new(metrics, key, json_real(m->text[k]));
    }
    json_object_set_new(metrics, "image_retrieval_median_rank", json_real(m->image_median_rank));
    json_object_set_new(metrics, "text_retrieval_median_rank", json_real(m->text_median_rank));
    json_object_set_new(metrics, "images", json_integer(images));
    json_object_set_new(metrics, "texts", json_integer(texts));
    return metrics;
}

int retrieval_run(struct session *s, struct error *error)
{
    struct collection data = {0};
    struct captions captions = {0};
    int64_t dim = s->clip.config.embed_dim;
    int rc = collection_open(&data, s->config->data.items, s->config->data.count, error);
    if (rc == 0) rc = read_captions(&data, &captions, error);
    rc = world_agree(s->world, rc, error);
    float *images = mem_map((size_t)(data.samples * dim), sizeof *images), *texts = mem_map((size_t)(captions.count * dim), sizeof *texts);
    s->embedder.average_unit = !strcmp(s->config->frame_average, "unit");
    if (rc == 0) rc = embed_images(&s->embedder, &data, data.samples, images, NULL, error);
    if (rc == 0) rc = embed_texts(&s->embedder, captions.texts, captions.count, texts, error);
    if (rc == 0) {
        struct retrieval m = metrics_retrieval(&s->host, s->world, images, data.samples, texts, captions.owner, captions.count, dim);
        rc = session_report(s, "zeroshot_retrieval", as_json(&m, data.samples, captions.count), error);
    }
    mem_unmap(images, (size_t)(data.samples * dim), sizeof *images);
    mem_unmap(texts, (size_t)(captions.count * dim), sizeof *texts);
    lines_free(captions.texts, captions.count);
    free(captions.owner);
    collection_close(&data);
    return rc;
}
