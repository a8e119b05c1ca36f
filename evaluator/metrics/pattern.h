/* Regular expressions over sound UTF-8, with Unicode's letters and digits behind \w \d \b (PCRE2). */
#ifndef EVALUATOR_METRICS_PATTERN_H
#define EVALUATOR_METRICS_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PATTERN_GROUPS = 5 }; /* the whole match and up to four groups */

struct pattern {
    void *code, *match;
    bool here;         /* as opened */
    uint8_t first[32]; /* here: a bit for each byte that a match can begin with */
};

/* One piece of the text searched; begin NULL: the group took no part. */
struct piece {
    const char *begin, *end;
};

/* A pattern of ours: one that is wrong is a failed check.  here: it matches where a search begins, or not.  Free with
 * pattern_close. */
struct pattern pattern_open(const char *text, bool ignore_case, bool here);
void pattern_close(struct pattern *pattern);

/* The first match at or after `from` in the text [len]. */
bool pattern_find(const struct pattern *p, const char *text, size_t len, size_t from,
                  struct piece pieces[PATTERN_GROUPS]);

#endif
