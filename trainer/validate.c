/* Validation during a run: retrieval among the first samples of the validation data, with the text of caption 0. */
#include "base/clock.h"
#include "base/str.h"
#include "log/log.h"
#include "serve/retrieval.h"
#include "trainer/trainer.h"

enum { VALIDATION_BATCH = 64 }; /* pictures or texts at a time */

static void report(struct trainer *t, const struct retrieval_scores *m, int64_t count, double seconds)
{
    const struct {
        const char *key;
        double value;
        bool logged;
    } figures[] = {{"image_to_text_R@1", m->text[0], true},
                   {"image_to_text_R@5", m->text[1], true},
                   {"image_to_text_R@10", m->text[2], true},
                   {"text_to_image_R@1", m->image[0], true},
                   {"text_to_image_R@5", m->image[1], true},
                   {"text_to_image_R@10", m->image[2], true},
                   {"image_to_text_median_rank", m->text_median_rank, false},
                   {"text_to_image_median_rank", m->image_median_rank, false}};
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

struct embedder trainer_embedder(struct trainer *t)
{
    return (struct embedder){.world = t->run->world,
                             .device = &t->run->device,
                             .tape = &t->run->tape,
                             .text = &t->towers.text,
                             .encoder = encoder_of_vision(&t->towers.vision, t->towers.config.vision.layers),
                             .tokenizer = t->tokenizer,
                             .batch = VALIDATION_BATCH,
                             .media = t->media,
                             .threads = (int)t->settings.data.workers};
}

int trainer_validate(struct trainer *t, struct error *error)
{
    double start = clock_seconds();
    struct training *run = t->run;
    int64_t most = t->settings.val_samples, count = t->validation.samples < most ? t->validation.samples : most;
    struct embedder e = trainer_embedder(t);
    struct picture_source source = {.data = &t->validation, .count = count};
    struct retrieval retrieval;
    struct retrieval_figures figures;
    struct retrieval_config config = {
        .data = &t->validation, .samples = count, .captions = 1, .feature = FEATURE_FRAMES};
    int rc = retrieval_open(&retrieval, &e.encoder, &config, error);
    if (rc < 0) error_prefix(error, "--val-data");
    rc = world_agree(run->world, rc, error);
    struct taker taker = retrieval_taker(&retrieval);
    if (rc == 0) rc = features_pass(&e, &source, &taker, 1, error);
    if (rc == 0) rc = retrieval_score(&retrieval, &e, &t->host, &figures, error);
    if (rc == 0) report(t, &figures.of, count, clock_seconds() - start);
    retrieval_close(&retrieval);
    return rc;
}
