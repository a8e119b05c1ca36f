/* Log lines and progress.  The file and rank are process-wide by nature: they are where this process speaks. */
#include "log/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static int log_rank;
static FILE *log_copy;
static bool line_drawn; /* a progress line stands on the terminal */

void log_open(int rank)
{
    log_rank = rank;
}

int log_file(const char *path, struct error *error)
{
    if (log_rank) return 0;
    log_copy = fopen(path, "a");
    return log_copy ? 0 : error_set(error, ERROR_FAILED, "%s: cannot write: %s", path, strerror(errno));
}

void log_end(const char *text)
{
    char stamp[20];
    clock_stamp(stamp);
    if (log_copy) fprintf(log_copy, "%s | ERROR | %s\n", stamp, text);
}

void log_close(void)
{
    if (log_copy) fclose(log_copy);
    log_copy = NULL;
}

static void emit(const char *level, const char *format, va_list args)
{
    char stamp[20], text[2048];
    clock_stamp(stamp);
    vsnprintf(text, sizeof text, format, args);
    if (line_drawn) fprintf(stderr, "\r\033[K");
    line_drawn = false;
    if (log_rank)
        fprintf(stderr, "%s | %s | rank %d: %s\n", stamp, level, log_rank, text);
    else
        fprintf(stderr, "%s | %s | %s\n", stamp, level, text);
    if (log_copy) {
        fprintf(log_copy, "%s | %s | %s\n", stamp, level, text);
        fflush(log_copy);
    }
}

void log_info(const char *format, ...)
{
    if (log_rank) return;
    va_list args;
    va_start(args, format);
    emit("INFO", format, args);
    va_end(args);
}

void log_warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    emit("WARNING", format, args);
    va_end(args);
}

struct progress progress_open(const char *what, int64_t total, bool silent)
{
    double now = clock_seconds();
    return (struct progress){.what = what,
                             .total = total,
                             .start = now,
                             .shown = now,
                             .silent = silent || log_rank,
                             .terminal = isatty(STDERR_FILENO)};
}

void progress_show(struct progress *p, int64_t done, const char *note)
{
    double now = clock_seconds();
    if (p->silent || now - p->shown < (p->terminal ? 0.1 : 30)) return;
    p->shown = now;
    double rate = (double)done / (now - p->start + 1e-9);
    char line[256], left[32] = "?";
    if (p->total && rate > 0) clock_duration((double)(p->total - done) / rate, left);
    int n;
    if (p->total)
        n = snprintf(line, sizeof line, "%s %ld of %ld (%.0f%%), %.1f/s, %s left%s%s", p->what, (long)done,
                     (long)p->total, 100. * (double)done / (double)p->total, rate, left, *note ? ", " : "", note);
    else
        n = snprintf(line, sizeof line, "%s %ld, %.1f/s%s%s", p->what, (long)done, rate, *note ? ", " : "", note);
    if (!p->terminal) {
        log_info("%s", line);
        return;
    }
    int filled = p->total ? (int)(24 * done / p->total) : 0;
    fprintf(stderr, "\r\033[K[%.*s%.*s] %.*s", filled, "########################", 24 - filled,
            "------------------------", n, line);
    fflush(stderr);
    line_drawn = true;
}

void progress_close(struct progress *p, int64_t done)
{
    if (p->silent) return;
    char took[32];
    double seconds = clock_seconds() - p->start;
    clock_duration(seconds, took);
    log_info("%s %ld in %s (%.1f/s)", p->what, (long)done, took, (double)done / (seconds + 1e-9));
}
