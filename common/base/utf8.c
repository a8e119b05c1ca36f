/* By utf8proc's decoder. */
#include "base/utf8.h"

#include <utf8proc.h>

void utf8_mend(const char *text, size_t len, struct str *out)
{
    for (size_t at = 0; at < len;) {
        utf8proc_int32_t code;
        utf8proc_ssize_t used =
            utf8proc_iterate((const utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)(len - at), &code);
        if (used > 0)
            str_append(out, text + at, (size_t)used);
        else
            str_puts(out, "\xef\xbf\xbd");
        at += used > 0 ? (size_t)used : 1;
    }
}
