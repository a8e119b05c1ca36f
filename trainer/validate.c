/* Validation during a run: retrieval among the first samples of the validation data, with the text of caption 0. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "log/log.h"
#include "models/embed.h"
#include "nn/metrics.h"
#include "trainer/trainer.h"

enum { BATCH = 64 }; /* pictures or texts at a time */

static int first_captions(const struct collection *data, int64_t count, char **texts, struct error *error)
{
    if (!count) return error_set(error, ERROR_FAILED, "--val-data: the data set holds no sample");
    for (int64_t i = 0; i < count; i++) {
        struct record r;
        if (collection_read(data, i, &r, error) < 0) return -1;
        if (!r.caption_count) return error_set(error, ERROR_FAILED, "--val-data: sample %ld has no caption", (long)i);
        size_t len;
        const char *text = record_caption(&r, 0, &len);
        texts[i] = mem_zalloc(len + 1, 1);
        memcpy(texts[i], text, len);
    }
    return 0;
}

static void report(struct trainer *t, const struct retrieval *m, int64_t count, double seconds)
{
    const struct {
        const char *key;
        double value;
        bool logged;
    } figures[] = {{"image_to_text_R@1", m->text[0], true}, {"image_to_text_R@5", m->text[1], true}, {"image_to_text_R@10", m->text[2], true},
                   {"text_to_image_R@1", m->image[0], true}, {"text_to_image_R@5", m->image[1], true}, {"text_to_image_R@10", m->image[2], true},
                   {"image_to_text_median_rank", m->text_median_rank, false}, {"text_to_image_median_rank", m->image_median_rank, false}};
    json_t *row = json_object();
    struct str line = {0};
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        json_object_set_new(row, figures[i].key, json_real(figures[i].value));
        if (figures[i].logged) str_printf(&line, " %s: %.4f\t", figures[i].key, figures[i].value);
    }
    json_object_set_new(row, "num_samples", json_integer(count));
    log_info("Eval Step: %ld%snum_samples: %ld\t(%.1f s)", (long)t->run->step, line.data, (long)count, seconds);
    training_row(t->run, "val", t->run->step, row);
    str_free(&line);
}

int trainer_validate(struct trainer *t, struct error *error)
{
    double start = clock_seconds();
    const struct world *world = t->run->world;
    int64_t most = t->config.val_samples, count = t->validation.samples < most ? t->validation.samples : most, dim = t->clip.config.embed_dim;
    struct embedder e = {.world = world, .device = &t->run->device, .clip = &t->clip, .tape = &t->run->tape, .tokenizer = t->tokenizer, .batch = BATCH,
                         .media = t->media, .average_unit = true, .threads = (int)t->config.data.workers};
    float *images = mem_map((size_t)(2 * count * dim), sizeof *images), *texts = images + count * dim;
    char **captions = mem_zalloc((size_t)count, sizeof *captions);
    int32_t *owner = mem_alloc((size_t)count, sizeof *owner);
    int rc = world_agree(world, first_captions(&t->validation, count, captions, error), error);
    if (rc == 0) rc = embed_images(&e, &t->validation, count, images, NULL, error);
    if (rc == 0) rc = embed_texts(&e, captions, count, texts, error);
    if (rc == 0) {
        for (int64_t i = 0; i < count; i++) owner[i] = (int32_t)i;
        struct retrieval m = metrics_retrieval(&t->host, world, images, count, texts, owner, count, dim);
        report(t, &m, count, clock_seconds() - start);
    }
    for (int64_t i = 0; i < count; i++) free(captions[i]);
    free(captions);
    free(owner);
    mem_unmap(images, (size_t)(2 * count * dim), sizeof *images);
    return rc;
}
