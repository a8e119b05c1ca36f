/* Retrieval among samples and their captions (clip_benchmark's protocol: no prompts, every caption is a query, any of a
 * sample's captions is right).
 *
 *   retrieval_open -> a pass with retrieval_taker among its takers -> retrieval_score -> retrieval_close */
#ifndef SERVE_RETRIEVAL_H
#define SERVE_RETRIEVAL_H

#include "nn/score.h"
#include "serve/table.h"
#include "serve/texts.h"

struct retrieval {
    char **texts;
    int32_t *owner; /* [text_count] whose caption it is */
    int64_t text_count;
    struct feature_table table;
};

/* Of samples [0, samples) of data, each with its first `captions` captions (0: all); one without is an error.
 * feature: FEATURE_EMBEDDING, or FEATURE_FRAMES. */
int retrieval_open(struct retrieval *r, const struct encoder *encoder, const struct collection *data, int64_t samples,
                   int64_t captions, enum feature feature, struct error *error);
struct taker retrieval_taker(struct retrieval *r);
/* (all) Embeds the texts; host: a CPU device. */
int retrieval_score(const struct retrieval *r, const struct embedder *e, struct device *host,
                    struct retrieval_scores *scores, struct error *error);
void retrieval_close(struct retrieval *r);

#endif
