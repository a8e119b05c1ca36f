/* Texts, and their features. */
#ifndef SERVE_TEXTS_H
#define SERVE_TEXTS_H

#include "serve/features.h"

/* (all) texts [count] -> features [count, e->text->output], rows of unit length, on every rank.  One that is not
 * finite, or zero, is an error that names its text. */
int texts_embed(const struct embedder *e, char *const *texts, int64_t count, float *features, struct error *error);

/* Lines of a text file without their ends, empty ones left out when `skip_empty`; texts_free frees them. */
int texts_read(const char *path, bool skip_empty, char ***texts, int64_t *count, struct error *error);
void texts_free(char **texts, int64_t count);

#endif
