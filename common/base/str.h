/* struct str: a growing string of bytes.
 *
 * Invariant: data is NULL (len = cap = 0) or holds len bytes and a 0 after them.  Zero-initialise, append, then
 * str_free or take the bytes with str_steal. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>

struct str {
    char *data;
    size_t len, cap;
};

void str_append(struct str *str, const void *bytes, size_t len);
void str_puts(struct str *str, const char *text);
void str_putc(struct str *str, char c);
void str_printf(struct str *str, const char *format, ...) __attribute__((format(printf, 2, 3), nonnull(2)));
void str_clear(struct str *str); /* length 0, memory kept */
void str_free(struct str *str);

/* The bytes (never NULL), now the caller's to free(); the str is empty again. */
char *str_steal(struct str *str);

bool str_ends_with(const char *text, const char *suffix);
bool str_starts_with(const char *text, const char *prefix);

/* Number of single-character edits (insert, delete, replace) between two short words. */
int str_distance(const char *a, const char *b);

#endif
