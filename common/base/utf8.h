/* UTF-8 as it comes from outside. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/str.h"

/* Append text with each damaged byte as U+FFFD. */
void utf8_mend(const char *text, size_t len, struct str *out);

#endif
