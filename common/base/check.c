/* Where failed checks end.  The hook is the one piece of process-wide state in this floor: it is set once,
 * by world_join, before any thread starts. */
#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void (*abort_hook)(int status);

void check_on_abort(void (*hook)(int status))
{
    abort_hook = hook;
}

void check_fail(const char *file, int line, const char *text, const char *format, ...)
{
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    fprintf(stderr, "%s:%d: check failed: %s: %s\n", file, line, text, message);
    fflush(stderr);
    if (abort_hook) abort_hook(134);
    abort();
}

void check_end(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "error: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    fflush(NULL);
    if (abort_hook) abort_hook(1);
    exit(1);
}
