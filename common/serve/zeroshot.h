/* Zero-shot classification by the text features of class names in templates (clip_benchmark's protocol).
 *
 *   class vector = normalised mean over templates of text("a photo of a {c}.")
 *   prediction   = class of the largest cosine
 *
 *   zeroshot_open -> a pass with zeroshot_taker among its takers -> zeroshot_score -> zeroshot_close */
#ifndef SERVE_ZEROSHOT_H
#define SERVE_ZEROSHOT_H

#include "nn/score.h"
#include "serve/table.h"
#include "serve/texts.h"

struct zeroshot {
    char *const *names; /* [class_count] the caller's */
    int64_t class_count;
    float *classes; /* [class_count, columns of the table] */
    struct feature_table table;
};

/* The class names of a collection, whose sets must agree on them; they live as long as it. */
int zeroshot_names(const struct collection *data, char ***names, int64_t *count, struct error *error);
/* "a photo of a {c}.": {c} or {} stands for the name. */
int zeroshot_check_templates(char *const *templates, int64_t count, struct error *error);

/* (all) samples: how many the pass has.  feature: FEATURE_EMBEDDING, or FEATURE_FRAMES. */
int zeroshot_open(struct zeroshot *z, const struct embedder *e, char *const *names, int64_t class_count,
                  char *const *templates, int64_t template_count, int64_t samples, enum feature feature,
                  struct error *error);
struct taker zeroshot_taker(struct zeroshot *z);
/* (all) host: a CPU device.  A label beyond the class names is an error, so are no labels at all; samples without one
 * are counted, and said. */
int zeroshot_score(const struct zeroshot *z, const struct world *world, struct device *host,
                   struct classification_scores *scores, struct error *error);
void zeroshot_close(struct zeroshot *z);

#endif
