/* UTF-8 as it comes from outside. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* The code point at *at, which moves past it; -1, and one byte on, where the text is damaged.  end NULL: a 0 byte ends
 * the text. */
int32_t utf8_next_any(const char **at, const char *end);
static inline int32_t utf8_next(const char **at, const char *end)
{
    unsigned char c = (unsigned char)**at;
    if (c >= 0x80) return utf8_next_any(at, end);
    ++*at;
    return c;
}

/* Bytes of the mark U+FEFF that some editors put first; 0: there is none. */
size_t utf8_mark(const char *text, size_t len);

/* Append text with each damaged byte as U+FFFD. */
void utf8_mend(const char *text, size_t len, struct str *out);

#endif
