/* Regular expressions over sound UTF-8, with Unicode's letters and digits behind \w \d \b (PCRE2). */
#ifndef EVALUATOR_METRICS_PATTERN_H
#define EVALUATOR_METRICS_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

enum { PATTERN_GROUPS = 5 }; /* the whole match and up to four groups */

struct pattern {
    void *code, *match;
};

/* One piece of the text searched; begin NULL: the group took no part. */
struct piece {
    const char *begin, *end;
};

/* A pattern of ours: one that is wrong is a failed check.  Free with pattern_close. */
struct pattern pattern_open(const char *text, bool ignore_case);
void pattern_close(struct pattern *pattern);

/* The first match at or after `from` (here: at `from` alone) in the text [len]. */
bool pattern_find(const struct pattern *p, const char *text, size_t len, size_t from, bool here,
                  struct piece pieces[PATTERN_GROUPS]);

#endif
