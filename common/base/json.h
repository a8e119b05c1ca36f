/* Small helpers over jansson: read a file with a message that says where it is wrong, write one atomically. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"

/* The value in the file, a new reference; NULL with `error` naming path, line and column. */
json_t *json_read(const char *path, struct error *error);

/* Write `value` (borrowed), indented, one member a line, keys in their order, each number in the fewest digits that
 * read back as it. */
int json_write(const char *path, const json_t *value, struct error *error);

/* A value on one line, a real in the fewest digits that read back as it; the caller frees. */
char *json_line(const json_t *value);

/* A text as a string, a new reference; where it is no UTF-8, with its bytes above 127 as \xff. */
json_t *json_text(const char *text);
/* A checksum as files keep it: 16 hex digits; a new reference. */
json_t *json_checksum(uint64_t sum);

#endif
