/* CLIP's tokenizer: byte-level BPE with 49,408 entries, as PE, open_clip and OpenAI use it.
 *
 * Text is cleaned (see clean.h), lower-cased, split by
 *     <start_of_text> | <end_of_text> | 's 't 're 've 'm 'll 'd | letters+ | one digit | other non-spaces+
 * and each piece merged by the published table.  A row of ids is start, tokens, end, then zeros; a text that is too
 * long is cut and its last id is the end token. */
#ifndef DATA_TOKENIZER_H
#define DATA_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

enum { TOKEN_START = 49406, TOKEN_END = 49407, TOKEN_VOCABULARY = 49408 };

struct tokenizer;

/* From the table built into the program.  Used read-only afterwards, by any number of threads. */
struct tokenizer *tokenizer_open(void);
void tokenizer_close(struct tokenizer *tokenizer);

/* text (UTF-8; damaged bytes count as U+FFFD) -> ids [context].  Returns the number of ids before the padding. */
int64_t tokenizer_encode(const struct tokenizer *tokenizer, const char *text, int32_t *ids, int64_t context);

#endif
