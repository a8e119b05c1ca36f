/* Zero-shot classification by the text features of class names in templates (clip_benchmark's protocol).
 *
 *   class vector = normalised mean over templates of text("a photo of a {c}.")
 *   prediction   = class of the largest cosine
 *
 *   prompts_open -> zeroshot_open -> a pass with zeroshot_taker among its takers -> zeroshot_score -> zeroshot_close */
#ifndef SERVE_ZEROSHOT_H
#define SERVE_ZEROSHOT_H

#include "nn/score.h"
#include "serve/prompts.h"
#include "serve/table.h"
#include "serve/texts.h"

/* Class vectors that an encoder has made, by what they were made of: data sets that share class names and templates
 * share them too.  Zeroes: none yet. */
struct class_vectors {
    struct class_key {
        uint64_t low, high; /* XXH3-128 of the class's texts */
    } * keys;
    float *rows; /* [count, dim] */
    int64_t count, dim;
};
void class_vectors_close(struct class_vectors *vectors);

struct zeroshot_config {
    const struct prompts *prompts; /* must live as long */
    struct class_vectors *kept; /* those of other data sets, to which new ones are added; NULL: made for this alone */
    int64_t samples;            /* of the pass */
    enum feature feature;       /* FEATURE_EMBEDDING, or FEATURE_FRAMES */
    double max_bad;             /* the share of samples that may be missing (features.h); 0: none */
    int64_t most;               /* so many classes of each sample are kept as examples; 0: none are */
};

struct zeroshot {
    struct zeroshot_config config;
    float *classes; /* [class_count, columns of the table] */
    struct feature_table table;
};

struct zeroshot_scores {
    struct classification_scores of; /* samples that have a class */
    int64_t missing, unlabelled;     /* those that could not be read; that have no label */
    int64_t outside;                 /* of a label whose class is not asked for (prompts.class_of) */
    struct nearest nearest;          /* where config.most: of all samples of the pass; nearest_free frees */
};

/* (all) */
int zeroshot_open(struct zeroshot *z, const struct embedder *e, const struct zeroshot_config *config,
                  struct error *error);
struct taker zeroshot_taker(struct zeroshot *z);
/* (all) host: a CPU device.  A label beyond the class names is an error, so are no labels at all and more missing than
 * max_bad; what is left out is said. */
int zeroshot_score(const struct zeroshot *z, const struct world *world, struct device *host,
                   struct zeroshot_scores *scores, struct error *error);
void zeroshot_close(struct zeroshot *z);

#endif
