/* What is wrong with a generated text, seen from the outside: empty, cut (it ran to its limit), refusal, repetition;
 * and, over all texts, duplicates. */
#ifndef SERVE_FLAGS_H
#define SERVE_FLAGS_H

#include <stdbool.h>

#include "base/json.h"

/* Array of names, new reference. */
json_t *flags_of(const char *text, bool cut);

/* Counts over merged rows. */
struct tally {
    int64_t items, texts, tokens, flagged;
    json_t *flags; /* name -> count */
    json_t *seen;  /* text -> times */
};
void tally_row(void *tally, json_t *row); /* also marks duplicates of earlier texts with the flag "duplicate" */
void tally_print(const struct tally *tally, const char *folder, const char *name);
void tally_free(struct tally *tally);

#endif
