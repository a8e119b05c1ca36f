/* A command line that one verb makes for another. */
#ifndef EVALUATOR_WORDS_H
#define EVALUATOR_WORDS_H

#include "config/options.h"

struct words {
    char **list; /* [count], NULL behind them */
    int count;
};
void words_add(struct words *words, const char *word);
void words_option(struct words *words, const char *key, const char *value); /* --key value */
/* --key value value ...; nothing where there are no values. */
void words_options(struct words *words, const char *key, const struct option_list *values);
void words_free(struct words *words);

#endif
