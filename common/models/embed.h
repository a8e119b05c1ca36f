/* Embedding of whole data sets and lists of texts, shared over the ranks; every rank gets all features.
 *
 * A feature does not depend on the batch it was computed in, so results are the same on any number of ranks.  A feature that is not finite, or
 * zero, is an error that names the sample, picture or text: no figure is made of it. */
#ifndef MODELS_EMBED_H
#define MODELS_EMBED_H

#include "data/loader.h"
#include "dist/world.h"
#include "models/clip.h"

struct embedder {
    const struct world *world;
    struct device *device;
    struct clip *clip;
    struct tape *tape;
    const struct tokenizer *tokenizer;
    int64_t batch;             /* samples or texts at a time */
    struct media_options media;
    bool average_unit;         /* of a video's frames: average features of unit length and leave it (retrieval), not raw ones (classification) */
    int threads;               /* decode threads */
    bool stops;                /* a signal ends the work early, with ERROR_STOPPED; else it is finished first */
    const char *progress;      /* "embedded", or NULL: silent */
};

/* (all) Samples [0, count) of data -> features [count, dim] (unit length, but see average_unit), labels [count] (may be NULL). */
int embed_images(const struct embedder *e, const struct collection *data, int64_t count, float *features, int32_t *labels, struct error *error);
/* (all) The same for picture files; one that cannot be read fails, named. */
int embed_files(const struct embedder *e, char *const *paths, int64_t count, float *features, struct error *error);
/* (all) texts [count] -> features [count, dim]. */
int embed_texts(const struct embedder *e, char *const *texts, int64_t count, float *features, struct error *error);

#endif
