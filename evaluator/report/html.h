/* The page of a report: one HTML file with all that it needs inside, for a screen of any width, light or dark. */
#ifndef EVALUATOR_REPORT_HTML_H
#define EVALUATOR_REPORT_HTML_H

#include "base/str.h"

/* Append text from outside, for HTML and SVG alike: <, >, &, quotes escaped; damaged UTF-8, and control characters but
 * for tab and line end, as U+FFFD. */
void html_text(struct str *out, const char *text);
/* The same of at most `most` characters, with an ellipsis where more were there. */
void html_brief(struct str *out, const char *text, int most);
/* before, text, after; only `text` is escaped. */
void html_put(struct str *out, const char *before, const char *text, const char *after);

void html_open(struct str *out, const char *title); /* up to the page's first element */
void html_close(struct str *out);
void html_base64(struct str *out, const void *bytes, size_t len);

#endif
