/* Cleaning of captions as CLIP does it before tokenising: repair of text, HTML references undone twice, white space
 * collapsed, lower case.
 *
 * The reference repairs with ftfy.  Of ftfy this does: NFC, straight quotes, joined Latin letters, full- and half-width
 * forms, line breaks, removal of control characters and terminal escapes.  It does not guess at text decoded with the
 * wrong code page. */
#ifndef DATA_CLEAN_H
#define DATA_CLEAN_H

#include "base/str.h"

/* Append the cleaned form of text to out. */
void clean_text(const char *text, struct str *out);

/* The steps, for tests: each appends to out. */
void clean_unescape(const char *text, struct str *out); /* html.unescape of Python */
void clean_lower(const char *text, struct str *out);    /* str.lower of Python */

#endif
