/* Rows of texts belong to samples by number.  The key of a sample ("key" of its metadata), which rows repeat, tells
 * whether the data are still those that the rows are of. */
#ifndef CAPTIONER_KEY_H
#define CAPTIONER_KEY_H

#include "base/json.h"
#include "data/record.h"

/* The row of an item, whose sample has this key; a row without key is taken as it is. */
int key_check(const json_t *row, const char *key, int64_t item, struct error *error);

#endif
