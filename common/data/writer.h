/* Writing a data set: the folder is claimed for what it is made from. */
#ifndef DATA_WRITER_H
#define DATA_WRITER_H

#include <jansson.h>

#include "base/error.h"

/* One rank, before anyone writes: the folder is made, and pack.json in it says what the data set is made from (recipe,
 * borrowed).  A folder of the same recipe is gone on with.  Refused: one of the inputs, by whatever path; a folder of
 * another recipe; one that holds a data set without pack.json. */
int writer_claim(const char *folder, const json_t *recipe, char *const *inputs, int64_t count, struct error *error);

#endif
