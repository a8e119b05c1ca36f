/* The human log: `2026-01-31,12:00:00 | INFO | message` on stderr and, once log_file is set, in a file too.  Rank 0
 * speaks; other ranks only warn.  Set up once per process by log_open. */
#ifndef LOG_LOG_H
#define LOG_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

void log_open(int rank);
/* Also append to this file (rank 0). */
int log_file(const char *path, struct error *error);
/* The error that ends the program, into the file alone: on stderr world_leave says it. */
void log_end(const char *text);
void log_close(void);

void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Progress of `total` items (0: unknown).  On a terminal one line is redrawn, else a line every half minute. */
struct progress {
    const char *what; /* "packed" */
    int64_t total;
    double start, shown;
    bool silent, terminal;
};
struct progress progress_open(const char *what, int64_t total, bool silent);
/* done items so far; `note` is put behind the figures, may be "". */
void progress_show(struct progress *progress, int64_t done, const char *note);
void progress_close(struct progress *progress, int64_t done);

#endif
