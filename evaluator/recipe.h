/* What a result was made from, noted beside it (of FOLDER/NAME in FOLDER/.NAME.options), so that --skip-existing keeps
 * what the same options and weights would make again, and nothing else.  Data sets are known by their paths. */
#ifndef EVALUATOR_RECIPE_H
#define EVALUATOR_RECIPE_H

#include <stdbool.h>

#include "base/json.h"

/* { "options", "weights": checksum over the files of the model, where there are any }; options: reference taken.  NULL
 * with `error` when they cannot be read. */
json_t *recipe_make(json_t *options, const char *weights, struct error *error);

/* *made: is the result there?  One that another recipe made, or nobody knows which, is an error. */
int recipe_find(const char *result, const json_t *recipe, bool *made, struct error *error);
/* The result is about to be made: the one before goes, and what this will be made from is noted; recipe NULL: nothing
 * is, and the result stays until there is another. */
int recipe_begin(const char *result, const json_t *recipe, struct error *error);

#endif
