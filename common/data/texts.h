/* Texts as files hold them, one a line: captions, class names, templates. */
#ifndef DATA_TEXTS_H
#define DATA_TEXTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Lines of a text file without their ends, empty ones left out when `skip_empty`; texts_free frees them. */
int texts_read(const char *path, bool skip_empty, char ***texts, int64_t *count, struct error *error);
void texts_free(char **texts, int64_t count);
bool texts_same(char *const *a, int64_t a_count, char *const *b, int64_t b_count);
char **texts_copy(char *const *texts, int64_t count); /* texts_free frees it */

#endif
