/* utf8proc knows the characters; what is Python's own is here. */
#include "evaluator/metrics/python.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/memory.h"
#include "base/str.h"
#include "base/utf8.h"
#include "data/clean.h"

bool python_is_space(int32_t c)
{
    return (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= ' ') || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool python_is_digit(int32_t code)
{
    return code < 128 ? code >= '0' && code <= '9' : utf8proc_category(code) == UTF8PROC_CATEGORY_ND;
}

char *python_lower(const char *text)
{
    struct str out = {0};
    clean_lower(text, &out);
    return str_steal(&out);
}

/* Of text, [begin, end) alone. */
static char *keep(char *text, const char *begin, const char *end)
{
    memmove(text, begin, (size_t)(end - begin));
    text[end - begin] = 0;
    return text;
}

char *python_strip(char *text)
{
    const char *begin = NULL, *end = text;
    for (const char *at = text; *at;) {
        const char *from = at;
        if (python_is_space(utf8_next(&at, NULL))) continue;
        if (!begin) begin = from;
        end = at;
    }
    return keep(text, begin ? begin : end, end);
}

char *python_strip_of(char *text, char c)
{
    const char *begin = text, *end = text + strlen(text);
    while (*begin == c) begin++;
    while (end > begin && end[-1] == c) end--;
    return keep(text, begin, end);
}

char *python_collapse(char *text)
{
    char *out = text;
    bool gap = false;
    for (const char *at = text; *at;) {
        const char *from = at;
        if (python_is_space(utf8_next(&at, NULL))) {
            gap = true;
            continue;
        }
        if (gap && out > text) *out++ = ' ';
        gap = false;
        memmove(out, from, (size_t)(at - from));
        out += at - from;
    }
    *out = 0;
    return text;
}

char *python_replace(char *text, const char *old, char new)
{
    size_t len = strlen(old);
    char *out = text;
    for (const char *at = text; *at;)
        if (!strncmp(at, old, len)) {
            at += len;
            if (new) *out++ = new;
        } else
            *out++ = *at++;
    *out = 0;
    return text;
}

int64_t python_length(const char *text)
{
    int64_t count = 0;
    for (; *text; count++) utf8_next(&text, NULL);
    return count;
}

/* --- float --- */

/* The value of a decimal digit: each script has its ten in a row, so it is the place in the run of digits modulo 10. */
static int digit_of(int32_t code)
{
    int32_t first = code;
    while (python_is_digit(first - 1)) first--;
    return (code - first) % 10;
}

/* Stripped, digits of ASCII; another character beyond ASCII becomes one that no number has. */
static char *plain(const char *text)
{
    char *copy = python_strip(mem_strdup(text));
    struct str out = {0};
    str_append(&out, "", 0);
    for (const char *at = copy; *at;) {
        int32_t code = utf8_next(&at, NULL);
        str_putc(&out, python_is_digit(code) ? (char)('0' + digit_of(code)) : code < 128 ? (char)code : '?');
    }
    free(copy);
    return str_steal(&out);
}

/* Move digits from *in to *out; a single underscore between two of them is left out.  How many. */
static int digits(const char **in, char **out)
{
    int count = 0;
    for (;; count++) {
        if (count && **in == '_' && (*in)[1] >= '0' && (*in)[1] <= '9') ++*in;
        if (**in < '0' || **in > '9') return count;
        *(*out)++ = *(*in)++;
    }
}

bool python_float(const char *text, double *value)
{
    char *number = plain(text), *out = number;
    const char *in = number;
    if (*in == '+' || *in == '-') *out++ = *in++;
    char *words = python_lower(in);
    bool sound = !strcmp(words, "inf") || !strcmp(words, "infinity") || !strcmp(words, "nan");
    free(words);
    if (!sound) {
        int some = digits(&in, &out);
        if (*in == '.') {
            *out++ = *in++;
            some += digits(&in, &out);
        }
        sound = some > 0;
        if (sound && (*in == 'e' || *in == 'E')) {
            *out++ = *in++;
            if (*in == '+' || *in == '-') *out++ = *in++;
            sound = digits(&in, &out) > 0;
        }
        sound = sound && !*in;
        *out = 0;
    }
    if (sound) *value = strtod(number, NULL);
    free(number);
    return sound;
}
