/* Text as Python's str and float see it: the evaluators whose figures these metrics give are written in Python, so what
 * counts as a space, a lower-case letter or a number is decided there.
 *
 * All text is sound UTF-8 that ends with a 0 (jansson lets nothing else through). */
#ifndef EVALUATOR_METRICS_PYTHON_H
#define EVALUATOR_METRICS_PYTHON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The same characters inside a pattern's [...]. */
#define PYTHON_SPACES \
    "\\t-\\r\\x1c-\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
bool python_is_space(int32_t code); /* str.isspace */
bool python_is_digit(int32_t code); /* \d */

char *python_lower(const char *text); /* str.lower; the caller frees it */

/* In place; each returns text. */
char *python_strip(char *text);                              /* str.strip() */
char *python_strip_of(char *text, char c);                   /* str.strip(c), c of ASCII */
char *python_collapse(char *text);                           /* " ".join(text.split()) */
char *python_replace(char *text, const char *old, char new); /* old is longer than 1 byte or new is not 0; 0: delete */

int64_t python_length(const char *text); /* code points */

/* float(text): spaces around it, underscores between digits, digits of any script, inf and nan.  False: ValueError. */
bool python_float(const char *text, double *value);

#endif
