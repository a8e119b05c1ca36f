/* Vocabularies of language models, in the files they are published with:
 *
 *   tokenizer.json    Hugging Face: vocabulary, merges, the pattern that cuts text into pieces, special tokens
 *   tokenizer.model   Llama 3: "BASE64 RANK" a line, cut and special tokens as Llama 3 has them
 *                     (perception_models plm/tokenizer.py) */
#ifndef DATA_BPE_FILE_H
#define DATA_BPE_FILE_H

#include "data/bpe.h"

/* path: one of the files above, or a folder that holds one.  Closed by bpe_close. */
int bpe_open(struct bpe **bpe, const char *path, struct error *error);
/* The same from a file's bytes; `path` tells which of the two it is and names it in messages. */
int bpe_parse(struct bpe **bpe, const char *path, const char *bytes, size_t len, struct error *error);
/* The file that is: its path (caller frees), and in *name what it is called in a model's folder; NULL with `error`. */
char *bpe_file(const char *path, const char **name, struct error *error);

#endif
