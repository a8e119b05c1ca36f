/* Which sequences a DAVIS folder has. */
#ifndef EVALUATOR_SEQUENCES_H
#define EVALUATOR_SEQUENCES_H

#include <stdint.h>

#include "base/error.h"

/* Names of sequences, each once, the caller's to texts_free (also after a failure): those in `file`, one a line; NULL:
 * in ImageSets/2017/val.txt of the folder `davis`; where that is not there, of the folders in `folder`. *names NULL and
 * *count 0 before. */
int sequences_read(const char *davis, const char *folder, const char *file, char ***names, int64_t *count,
                   struct error *error);

#endif
