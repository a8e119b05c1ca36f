/* struct error: what went wrong with the outside world (a file, a record, an option, a disk).
 *
 * Functions that can fail that way take a `struct error *` last, return -1 (or NULL) after filling it, and leave
 * their outputs untouched.  The first error wins: error_set on a filled error changes nothing.  The text names the
 * file, the key and the remedy, in lower case without a full stop; whoever prints it adds program, rank and level. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

enum error_code {
    ERROR_NONE = 0,
    ERROR_FAILED = 1,   /* exit status 1 */
    ERROR_USAGE = 2,    /* wrong command line: exit status 2 */
    ERROR_STOPPED = 75, /* stopped by a signal after saving: run again to go on */
    ERROR_SLOW = 124,   /* a time limit passed: another try may succeed */
};

struct error {
    int code; /* enum error_code */
    char text[1536];
};

/* Fill `error` (may be NULL) unless it already holds one.  Returns -1, so that callers can return it. */
int error_set(struct error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Put "prefix: " in front of the text of a filled error.  Returns -1. */
int error_prefix(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
