/* Retrieval among samples and their captions (clip_benchmark's protocol: no prompts, every caption is a query, any of a
 * sample's captions is right).
 *
 *   retrieval_open -> a pass with retrieval_taker among its takers -> retrieval_score -> retrieval_close */
#ifndef SERVE_RETRIEVAL_H
#define SERVE_RETRIEVAL_H

#include "nn/score.h"
#include "serve/table.h"
#include "serve/texts.h"

/* Of samples [0, samples) of data, each with its first `captions` captions (0: all). */
struct retrieval_config {
    const struct collection *data;
    int64_t samples, captions;
    enum feature feature; /* FEATURE_EMBEDDING, or FEATURE_FRAMES */
    bool dual_softmax;    /* nn/score.h */
    double max_bad;       /* the share of samples that may be missing (features.h), with their captions; 0: none */
    int64_t most;         /* so many pictures of each text are kept as examples; 0: none are */
};

struct retrieval {
    struct retrieval_config config;
    char **texts;
    int32_t *owner; /* [text_count] whose caption it is */
    int64_t text_count;
    struct feature_table table;
};

struct retrieval_figures {
    struct retrieval_scores of;
    int64_t images, texts, missing; /* scored; samples that could not be read */
    struct nearest nearest;         /* where config.most: pictures of the texts, numbered as those that were scored, in
                                       their order; nearest_free frees */
};

/* A sample that can be read and has no caption is an error. */
int retrieval_open(struct retrieval *r, const struct encoder *encoder, const struct retrieval_config *config,
                   struct error *error);
struct taker retrieval_taker(struct retrieval *r);
/* (all) Embeds the texts; host: a CPU device.  More missing than max_bad is an error. */
int retrieval_score(const struct retrieval *r, const struct embedder *e, struct device *host,
                    struct retrieval_figures *figures, struct error *error);
void retrieval_close(struct retrieval *r);

#endif
