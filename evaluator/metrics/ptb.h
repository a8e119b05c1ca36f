/* The words of a caption as coco-caption sees them before it counts n-grams: the Penn Treebank's tokens as Stanford
 * CoreNLP 3.4.1 makes them (PTBTokenizer -preserveLines -lowerCase), without those that are punctuation.
 *
 *   A man's "T-shirt", isn't it (red)?  ->  a man 's t-shirt is n't it -lrb- red -rrb-
 *
 * Rules written from what that program answers; on the sentences of test/golden/answers/ptb.jsonl both agree.  Not
 * followed: web addresses of rare kinds, faces of Asian style, telephone numbers with spaces, two curly quotes in a
 * row, and HTML references other than &amp; &lt; &gt; &quot;.  A letter with a full stop at a caption's end loses the
 * stop; that program looks at the next caption, and keeps it where none of the usual words (A, The ...) begins that. */
#ifndef EVALUATOR_METRICS_PTB_H
#define EVALUATOR_METRICS_PTB_H

#include "base/str.h"

struct ptb;

struct ptb *ptb_open(void);
void ptb_close(struct ptb *ptb);

/* Append the tokens of a caption (sound UTF-8) to out, a space between two. */
void ptb_tokenize(const struct ptb *ptb, const char *caption, struct str *out);

#endif
