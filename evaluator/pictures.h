/* The pictures of a folder. */
#ifndef EVALUATOR_PICTURES_H
#define EVALUATOR_PICTURES_H

#include <stdint.h>

#include "base/error.h"

/* Paths of its .jpg .jpeg .png .webp in byte order of their names, the caller's to texts_free; none is an error. */
int pictures_list(const char *folder, char ***paths, int64_t *count, struct error *error);

#endif
