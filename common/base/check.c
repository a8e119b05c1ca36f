/* Where failed checks end.  The hook is the one piece of process-wide state in this floor: it is set once,
 * by world_join, before any thread starts. */
#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void (*abort_hook)(void);

void check_on_abort(void (*hook)(void))
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
    if (abort_hook) abort_hook();
    abort();
}
