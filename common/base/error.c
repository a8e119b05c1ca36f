/* Filling of struct error: the first cause stays. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *error, int code, const char *format, ...)
{
    if (!error || error->code) return -1;
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    error->code = code;
    return -1;
}

int error_prefix(struct error *error, const char *format, ...)
{
    if (!error || !error->code) return -1;
    char prefix[512], text[sizeof error->text];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    snprintf(text, sizeof text, "%s: %.1000s", prefix, error->text);
    memcpy(error->text, text, sizeof text);
    return -1;
}
