/* Validation during a run: retrieval among the first samples of the validation data, with the text of caption 0. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "log/log.h"
#include "models/embed.h"
#include "nn/metrics.h"
#include "trainer/run.h"

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

static void report(struct run *r, const struct retrieval *m, int64_t count, double seconds)
{
    log_info("Eval Step: %ld image_to_text_R@1: %.4f\timage_to_text_R@5: %.4f\timage_to_text_R@10: %.4f\ttext_to_image_R@1: %.4f\ttext_to_image_R@5: %.4f\t"
             "text_to_image_R@10: %.4f\tnum_samples: %ld\t(%.1f s)",
             (long)r->step, m->text[0], m->text[1], m->text[2], m->image[0], m->image[1], m->image[2], (long)count, seconds);
    if (r->world->rank) return;
    metrics_write(&r->metrics, "val", r->step,
                  json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I}", "step", (json_int_t)r->step, "image_to_text_R@1", m->text[0],
                            "image_to_text_R@5", m->text[1], "image_to_text_R@10", m->text[2], "text_to_image_R@1", m->image[0], "text_to_image_R@5",
                            m->image[1], "text_to_image_R@10", m->image[2], "image_to_text_median_rank", m->text_median_rank, "text_to_image_median_rank",
                            m->image_median_rank, "num_samples", (json_int_t)count));
}

int validate(struct run *r, struct error *error)
{
    double start = clock_seconds();
    int64_t count = r->validation.samples < r->config.val_samples ? r->validation.samples : r->config.val_samples, dim = r->clip.config.embed_dim;
    struct embedder e = {.world = r->world, .device = &r->device, .clip = &r->clip, .tape = &r->tape, .tokenizer = r->tokenizer, .batch = 64,
                         .media = r->media, .average_unit = true, .threads = (int)r->config.workers};
    float *images = mem_map((size_t)(2 * count * dim), sizeof *images), *texts = images + count * dim;
    char **captions = mem_zalloc((size_t)count, sizeof *captions);
    int32_t *owner = mem_alloc((size_t)count, sizeof *owner);
    int rc = world_agree(r->world, first_captions(&r->validation, count, captions, error), error);
    if (rc == 0) rc = embed_images(&e, &r->validation, count, images, NULL, error);
    if (rc == 0) rc = embed_texts(&e, captions, count, texts, error);
    if (rc == 0) {
        for (int64_t i = 0; i < count; i++) owner[i] = (int32_t)i;
        struct retrieval m = metrics_retrieval(&r->host_device, r->world, images, count, texts, owner, count, dim);
        report(r, &m, count, clock_seconds() - start);
    }
    for (int64_t i = 0; i < count; i++) free(captions[i]);
    free(captions);
    free(owner);
    mem_unmap(images, (size_t)(2 * count * dim), sizeof *images);
    return rc;
}
