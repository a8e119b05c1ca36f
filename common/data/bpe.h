/* Byte-level BPE: text is cut into pieces by a pattern, the bytes of each are merged pair by pair (data/merges.h), and
 * what is left are tokens of a vocabulary: of a file (data/bpe_file.h), or CLIP's (data/tokenizer.h).
 *
 * Text stays text: what looks like a special token in it is encoded as plain characters.  Special tokens are added by
 * their ids (bpe_special). */
#ifndef DATA_BPE_H
#define DATA_BPE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

struct bpe;

/* --- using one: read-only, by any number of threads --- */

int64_t bpe_size(const struct bpe *bpe);                         /* ids are below this */
uint64_t bpe_checksum(const struct bpe *bpe);                    /* as given to bpe_new */
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
/* The same for text that is sound UTF-8, ending with the piece at which out holds `most` ids or more. */
void bpe_encode_some(const struct bpe *bpe, const char *text, size_t len, int64_t most, struct token_ids *out);
/* Append the bytes of ids; special tokens are left out. */
void bpe_decode(const struct bpe *bpe, const int32_t *ids, int64_t count, struct str *out);

/* --- building one: bpe_new, tokens, merges, bpe_finish --- */

enum bpe_kind {
    BPE_PLAIN,
    BPE_INNER,   /* where words end with tokens of their own: not at the end of a piece */
    BPE_SPECIAL, /* not found in text */
};
enum {
    BPE_WHOLE_PIECES = 1, /* a piece that is a plain token needs no merges */
    BPE_SKIP_GAPS = 2,    /* what the pattern leaves out is no piece */
    BPE_MERGE_BY_ID = 4,  /* two tokens merge where both together are one, whose id is the rank */
};

struct bpe *bpe_new(uint64_t checksum);
void bpe_close(struct bpe *bpe);

int bpe_add_token(struct bpe *bpe, int64_t id, const char *bytes, size_t len, enum bpe_kind kind, struct error *error);
/* The tokens bytes[0, cut) and bytes[cut, len) become bytes[0, len); the last two are of this kind, and the lowest rank
 * goes first.  -1: one of the three is no token. */
int bpe_add_merge(struct bpe *bpe, const char *bytes, size_t cut, size_t len, enum bpe_kind kind, int32_t rank);
/* All is there; pattern: of PCRE2, flags: BPE_... */
int bpe_finish(struct bpe *bpe, const char *pattern, unsigned flags, struct error *error);

/* GPT-2's printable stand-ins for bytes, as published vocabularies are written: the byte that a code point below
 * BPE_STAND_INS stands for, or -1; and a text of stand-ins, appended to out as bytes, or -1. */
enum { BPE_STAND_INS = 0x144 };
int bpe_stand_in(int32_t code);
int bpe_stand_ins(const char *text, size_t len, struct str *out);

#endif
