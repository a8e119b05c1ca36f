/* Features of texts. */
#ifndef SERVE_TEXTS_H
#define SERVE_TEXTS_H

#include "data/texts.h"
#include "serve/features.h"

/* (all) texts [count] -> features [count, e->text->output], rows of unit length, on every rank.  One that is not
 * finite, or zero, is an error that names its text. */
int texts_embed(const struct embedder *e, char *const *texts, int64_t count, float *features, struct error *error);

#endif
