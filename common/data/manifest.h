/* The parsers behind manifest sources, apart for tests and fuzzing. */
#ifndef DATA_MANIFEST_H
#define DATA_MANIFEST_H

#include <jansson.h>
#include <stddef.h>

/* Rows of a table with a header line as an array of objects of strings; a new reference. */
json_t *manifest_parse_table(const char *text, size_t len, char separator);
/* One object a line; a line that is none becomes {"@bad": reason}. */
json_t *manifest_parse_lines(const char *text, size_t len);

#endif
