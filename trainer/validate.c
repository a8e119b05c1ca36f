/* Validation during a run: retrieval among the first samples of the validation data, with the text of caption 0. */
#include "base/clock.h"
#include "log/log.h"
#include "serve/retrieval.h"
#include "trainer/run.h"

enum { VALIDATION_BATCH = 64 };

static void report(struct run *r, const struct retrieval_scores *m, int64_t count, double seconds)
{
    log_info("Eval Step: %ld image_to_text_R@1: %.4f\timage_to_text_R@5: %.4f\timage_to_text_R@10: "
             "%.4f\ttext_to_image_R@1: %.4f\ttext_to_image_R@5: %.4f\t"
             "text_to_image_R@10: %.4f\tnum_samples: %ld\t(%.1f s)",
             (long)r->step, m->text[0], m->text[1], m->text[2], m->image[0], m->image[1], m->image[2], (long)count,
             seconds);
    if (r->world->rank) return;
    metrics_write(&r->metrics, "val", r->step,
                  json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I}", "step", (json_int_t)r->step,
                            "image_to_text_R@1", m->text[0], "image_to_text_R@5", m->text[1], "image_to_text_R@10",
                            m->text[2], "text_to_image_R@1", m->image[0], "text_to_image_R@5", m->image[1],
                            "text_to_image_R@10", m->image[2], "image_to_text_median_rank", m->text_median_rank,
                            "text_to_image_median_rank", m->image_median_rank, "num_samples", (json_int_t)count));
}

int validate(struct run *r, struct error *error)
{
    double start = clock_seconds();
    int64_t count = r->validation.samples < r->config.val_samples ? r->validation.samples : r->config.val_samples;
    struct embedder e = {.world = r->world,
                         .device = &r->device,
                         .tape = &r->tape,
                         .encoder = encoder_of_vision(&r->clip.vision, r->clip.config.vision.layers),
                         .text = &r->clip.text,
                         .tokenizer = r->tokenizer,
                         .batch = VALIDATION_BATCH,
                         .media = r->media,
                         .threads = (int)r->config.workers};
    struct picture_source source = {.data = &r->validation, .count = count};
    struct retrieval retrieval;
    struct retrieval_scores scores;
    int rc = retrieval_open(&retrieval, &e.encoder, &r->validation, count, 1, FEATURE_FRAMES, error);
    if (rc < 0) error_prefix(error, "--val-data");
    rc = world_agree(r->world, rc, error);
    struct taker taker = retrieval_taker(&retrieval);
    if (rc == 0) rc = features_pass(&e, &source, &taker, 1, error);
    if (rc == 0) rc = retrieval_score(&retrieval, &e, &r->host_device, &scores, error);
    if (rc == 0) report(r, &scores, count, clock_seconds() - start);
    retrieval_close(&retrieval);
    return rc;
}
