/* CHECK: our own mistakes.  A broken invariant prints the values that broke it and ends the whole job.
 *
 *   CHECK(rows > 0, "rows %ld of tensor %s", rows, name);
 *
 * This is never the answer to bad input (see error.h).  The layer that owns MPI installs a hook with
 * check_on_abort() so that the other ranks end too; without one, abort() is called. */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#define CHECK(condition, ...) \
    do { \
        if (__builtin_expect(!(condition), 0)) check_fail(__FILE__, __LINE__, #condition, __VA_ARGS__); \
    } while (0)

/* Print "file:line: check failed: text: message" to stderr and end the job.  Does not return. */
void check_fail(const char *file, int line, const char *text, const char *format, ...)
    __attribute__((noreturn, format(printf, 4, 5)));

/* The machine lacks what the job needs, deep inside where no error can be handed up: print "error: message" and end the
 * job with status 1. */
void check_end(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Call `hook` with the status instead of ending this process alone.  The hook must not return. */
void check_on_abort(void (*hook)(int status));

#endif
