/* Growing strings and a few questions about plain ones. */
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"

static void reserve(struct str *str, size_t extra)
{
    size_t need = str->len + extra + 1;
    CHECK(need > extra, "string of %zu + %zu bytes", str->len, extra);
    if (need <= str->cap) return;
    str->cap = need < 64 ? 64 : need + need / 2;
    str->data = mem_realloc(str->data, str->cap, 1);
}

void str_append(struct str *str, const void *bytes, size_t len)
{
    reserve(str, len);
    if (len) memcpy(str->data + str->len, bytes, len);
    str->len += len;
    str->data[str->len] = 0;
}

void str_puts(struct str *str, const char *text)
{
    str_append(str, text, strlen(text));
}

void str_putc(struct str *str, char c)
{
    reserve(str, 1);
    str->data[str->len++] = c;
    str->data[str->len] = 0;
}

void str_printf(struct str *str, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(len >= 0, "format %s", format);
    reserve(str, (size_t)len);
    vsnprintf(str->data + str->len, (size_t)len + 1, format, again);
    va_end(again);
    str->len += (size_t)len;
}

void str_clear(struct str *str)
{
    str->len = 0;
    if (str->data) str->data[0] = 0;
}

void str_free(struct str *str)
{
    free(str->data);
    *str = (struct str){0};
}

char *str_steal(struct str *str)
{
    reserve(str, 0);
    str->data[str->len] = 0;
    char *data = str->data;
    *str = (struct str){0};
    return data;
}

bool str_ends_with(const char *text, const char *suffix)
{
    size_t len = strlen(text), tail = strlen(suffix);
    return len >= tail && !memcmp(text + len - tail, suffix, tail);
}

bool str_starts_with(const char *text, const char *prefix)
{
    return !strncmp(text, prefix, strlen(prefix));
}

int str_distance(const char *a, const char *b)
{
    int row[64], len = (int)strlen(b);
    if (len > 63) return 64;
    for (int j = 0; j <= len; j++) row[j] = j;
    for (int i = 0; a[i]; i++) {
        int diagonal = row[0];
        row[0] = i + 1;
        for (int j = 1; j <= len; j++) {
            int best = diagonal + (a[i] != b[j - 1]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[len];
}
