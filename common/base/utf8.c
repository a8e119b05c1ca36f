/* By utf8proc's decoder. */
#include "base/utf8.h"

#include <string.h>
#include <utf8proc.h>

int32_t utf8_next_any(const char **at, const char *end)
{
    utf8proc_int32_t code;
    utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)*at, end ? end - *at : -1, &code);
    *at += used > 0 ? used : 1;
    return used > 0 ? code : -1;
}

void utf8_mend(const char *text, size_t len, struct str *out)
{
    const char *end = text + len, *sound = text; /* where what is sound and not yet written begins */
    while (text < end) {
        const char *from = text;
        if (utf8_next(&text, end) >= 0) continue;
        str_append(out, sound, (size_t)(from - sound));
        str_puts(out, "\xef\xbf\xbd");
        sound = text;
    }
    str_append(out, sound, (size_t)(end - sound));
}

size_t utf8_mark(const char *text, size_t len)
{
    static const char mark[] = {'\xef', '\xbb', '\xbf'};
    return len >= sizeof mark && !memcmp(text, mark, sizeof mark) ? sizeof mark : 0;
}
