/* Byte-level BPE of language models, from the files they are published with:
 *
 *   tokenizer.json    Hugging Face: vocabulary, merges, the pattern that cuts text into pieces, special tokens
 *   tokenizer.model   Llama 3: "BASE64 RANK" a line, cut and special tokens as Llama 3 has them (perception_models
 * plm/tokenizer.py)
 *
 * Text is cut into pieces by the pattern, each piece's bytes are merged pair by pair, the lowest rank first.  Text
 * stays text: what looks like a special token in it is encoded as plain characters.  Special tokens are added by their
 * ids (bpe_special). */
#ifndef DATA_BPE_H
#define DATA_BPE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

struct bpe;

/* path: one of the files above, or a folder that holds one.  Used read-only afterwards, by any number of threads. */
int bpe_open(struct bpe **bpe, const char *path, struct error *error);
/* The file that is: its path (caller frees), and in *name what it is called in a model's folder; NULL with `error`. */
char *bpe_file(const char *path, const char **name, struct error *error);
/* The same from a file's bytes; `path` tells which of the two it is and names it in messages. */
int bpe_parse(struct bpe **bpe, const char *path, const char *bytes, size_t len, struct error *error);
void bpe_close(struct bpe *bpe);

int64_t bpe_size(const struct bpe *bpe);                         /* ids are below this */
uint64_t bpe_checksum(const struct bpe *bpe);                    /* XXH3 of the file */
int32_t bpe_special(const struct bpe *bpe, const char *content); /* -1 when there is no such token */

/* A growing list of token ids. */
struct token_ids {
    int32_t *ids;
    int64_t count, cap;
};
void token_ids_add(struct token_ids *ids, int32_t id);
void token_ids_free(struct token_ids *ids);

/* Append the ids of text; damaged UTF-8 counts as U+FFFD. */
void bpe_encode(const struct bpe *bpe, const char *text, size_t len, struct token_ids *out);
/* Append the bytes of ids; special tokens are left out. */
void bpe_decode(const struct bpe *bpe, const int32_t *ids, int64_t count, struct str *out);

#endif
