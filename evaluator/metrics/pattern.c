/* Over pcre2_match. */
#include "evaluator/metrics/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/check.h"

struct pattern pattern_open(const char *text, bool ignore_case)
{
    int code;
    PCRE2_SIZE at;
    unsigned flags = PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK;
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
                                         flags | (ignore_case ? PCRE2_CASELESS : 0), &code, &at, NULL);
    CHECK(compiled, "pattern %s: error %d at character %zu", text, code, (size_t)at);
    pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE); /* where it fails the match is slower, and the same */
    return (struct pattern){compiled, pcre2_match_data_create(PATTERN_GROUPS, NULL)};
}

void pattern_close(struct pattern *p)
{
    pcre2_code_free(p->code);
    pcre2_match_data_free(p->match);
}

bool pattern_find(const struct pattern *p, const char *text, size_t len, size_t from, bool here,
                  struct piece pieces[PATTERN_GROUPS])
{
    unsigned flags = PCRE2_NO_UTF_CHECK | (here ? PCRE2_ANCHORED : 0);
    int found = pcre2_match(p->code, (PCRE2_SPTR)text, len, from, flags, p->match, NULL);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT)
        found = pcre2_match(p->code, (PCRE2_SPTR)text, len, from, flags | PCRE2_NO_JIT, p->match, NULL);
    if (found < 0 && found != PCRE2_ERROR_NOMATCH) check_end("a text of %zu bytes is too hard to search", len);
    const PCRE2_SIZE *range = pcre2_get_ovector_pointer(p->match);
    for (int i = 0; i < PATTERN_GROUPS; i++)
        pieces[i] = i < found && range[2 * i] != PCRE2_UNSET
                        ? (struct piece){text + range[2 * i], text + range[2 * i + 1]}
                        : (struct piece){NULL, NULL};
    return found > 0;
}
