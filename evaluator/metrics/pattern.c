/* Over pcre2_match. */
#include "evaluator/metrics/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "base/check.h"

static pcre2_code *compile(const char *text, unsigned flags)
{
    int code;
    PCRE2_SIZE at;
    flags |= PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK;
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, flags, &code, &at, NULL);
    CHECK(compiled, "pattern %s: error %d at character %zu", text, code, (size_t)at);
    return compiled;
}

/* Bytes that a match can begin with, all where the library does not know: it does of patterns that are not anchored. */
static void find_first(struct pattern *p, const char *text, unsigned flags)
{
    pcre2_code *code = compile(text, flags);
    const uint8_t *map = NULL;
    uint32_t kind = 0, unit = 0;
    pcre2_pattern_info(code, PCRE2_INFO_FIRSTBITMAP, &map);
    pcre2_pattern_info(code, PCRE2_INFO_FIRSTCODETYPE, &kind);
    pcre2_pattern_info(code, PCRE2_INFO_FIRSTCODEUNIT, &unit);
    bool one = kind == 1 && unit < 128 && !(flags & PCRE2_CASELESS);
    memset(p->first, one ? 0 : 0xff, sizeof p->first);
    if (one) p->first[unit / 8] = (uint8_t)(1 << unit % 8);
    if (map) memcpy(p->first, map, sizeof p->first);
    pcre2_code_free(code);
}

struct pattern pattern_open(const char *text, bool ignore_case, bool here)
{
    unsigned flags = ignore_case ? PCRE2_CASELESS : 0;
    struct pattern p = {.code = compile(text, flags | (here ? PCRE2_ANCHORED : 0)),
                        .match = pcre2_match_data_create(PATTERN_GROUPS, NULL),
                        .here = here};
    pcre2_jit_compile(p.code, PCRE2_JIT_COMPLETE); /* where it fails the match is slower, and the same */
    if (here) find_first(&p, text, flags);
    return p;
}

void pattern_close(struct pattern *p)
{
    pcre2_code_free(p->code);
    pcre2_match_data_free(p->match);
}

bool pattern_find(const struct pattern *p, const char *text, size_t len, size_t from,
                  struct piece pieces[PATTERN_GROUPS])
{
    uint8_t byte = from < len ? (uint8_t)text[from] : 0;
    if (p->here && from < len && !(p->first[byte / 8] >> byte % 8 & 1)) return false;
    unsigned flags = PCRE2_NO_UTF_CHECK; /* others, also PCRE2_ANCHORED, would leave the compiled code unused */
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
