/* The vocabulary, by id and by bytes; encoding and decoding. */
#include "data/bpe.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "data/merges.h"

enum { MOST_TOKENS = 1 << 22 };

struct token {
    size_t at;    /* in bytes */
    uint32_t len; /* 0: no such id */
    enum bpe_kind kind;
};

struct bpe {
    struct token *tokens; /* [cap] */
    int64_t size, cap;
    struct str bytes;
    uint32_t *slots; /* [2 cap] ids + 1, by bytes and kind, open addressing */
    struct merges merges;
    bool words;              /* there are inner tokens */
    int32_t byte_id[2][256]; /* within a piece, at its end */
    pcre2_code *pattern;
    unsigned flags;
    uint64_t checksum;
};

/* --- the vocabulary --- */

/* The slot of the token, or the empty one where it would be. */
static uint32_t *slot_of(const struct bpe *b, const char *bytes, size_t len, enum bpe_kind kind)
{
    for (uint64_t at = XXH3_64bits_withSeed(bytes, len, kind);; at++) {
        uint32_t *slot = &b->slots[at & (2 * (uint64_t)b->cap - 1)];
        const struct token *t = *slot ? &b->tokens[*slot - 1] : NULL;
        if (!t || (t->len == len && t->kind == kind && !memcmp(b->bytes.data + t->at, bytes, len))) return slot;
    }
}

static int32_t find(const struct bpe *b, const char *bytes, size_t len, enum bpe_kind kind)
{
    return (int32_t)*slot_of(b, bytes, len, kind) - 1;
}

static void grow(struct bpe *b)
{
    b->cap *= 2;
    b->tokens = mem_realloc(b->tokens, (size_t)b->cap, sizeof *b->tokens);
    free(b->slots);
    b->slots = mem_zalloc(2 * (size_t)b->cap, sizeof *b->slots);
    for (int64_t i = 0; i < b->size; i++) {
        const struct token *t = &b->tokens[i];
        if (t->len) *slot_of(b, b->bytes.data + t->at, t->len, t->kind) = (uint32_t)i + 1;
    }
}

struct bpe *bpe_new(uint64_t checksum)
{
    struct bpe *b = mem_zalloc(1, sizeof *b);
    b->checksum = checksum;
    b->cap = 256;
    grow(b);
    return b;
}

void bpe_close(struct bpe *b)
{
    if (!b) return;
    pcre2_code_free(b->pattern);
    merges_free(&b->merges);
    str_free(&b->bytes);
    free(b->slots);
    free(b->tokens);
    free(b);
}

int bpe_add_token(struct bpe *b, int64_t id, const char *bytes, size_t len, enum bpe_kind kind, struct error *error)
{
    if (id < 0 || id >= MOST_TOKENS || !len || len > UINT32_MAX)
        return error_set(error, ERROR_FAILED, "token %ld is empty or out of range", (long)id);
    while (id >= b->cap) grow(b);
    while (b->size <= id) b->tokens[b->size++] = (struct token){0};
    uint32_t *slot = slot_of(b, bytes, len, kind);
    if (*slot || b->tokens[id].len) return error_set(error, ERROR_FAILED, "token %ld is there twice", (long)id);
    *slot = (uint32_t)id + 1;
    b->tokens[id] = (struct token){b->bytes.len, (uint32_t)len, kind};
    b->words = b->words || kind == BPE_INNER;
    str_append(&b->bytes, bytes, len);
    return 0;
}

int bpe_add_merge(struct bpe *b, const char *bytes, size_t cut, size_t len, enum bpe_kind kind, int32_t rank)
{
    int32_t left = find(b, bytes, cut, b->words ? BPE_INNER : BPE_PLAIN);
    int32_t right = left < 0 ? -1 : find(b, bytes + cut, len - cut, kind);
    int32_t both = right < 0 ? -1 : find(b, bytes, len, kind);
    if (both < 0) return -1;
    merges_add(&b->merges, left, right, rank, both);
    return 0;
}

static void merge_by_id(struct bpe *b)
{
    for (int32_t id = 0; id < b->size; id++) {
        const struct token *t = &b->tokens[id];
        for (size_t cut = 1; cut < t->len && t->kind == BPE_PLAIN; cut++)
            bpe_add_merge(b, b->bytes.data + t->at, cut, t->len, BPE_PLAIN, id);
    }
}

int bpe_finish(struct bpe *b, const char *pattern, unsigned flags, struct error *error)
{
    for (int i = 0; i < 256; i++) {
        char byte = (char)i;
        b->byte_id[1][i] = find(b, &byte, 1, BPE_PLAIN);
        b->byte_id[0][i] = b->words ? find(b, &byte, 1, BPE_INNER) : b->byte_id[1][i];
        if (b->byte_id[0][i] < 0 || b->byte_id[1][i] < 0)
            return error_set(error, ERROR_FAILED, "no token for byte %d; only byte-level vocabularies are read", i);
    }
    int code;
    PCRE2_SIZE at;
    b->pattern = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                               PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
    if (!b->pattern)
        return error_set(error, ERROR_FAILED, "pattern is wrong at character %zu (PCRE2 error %d)", (size_t)at, code);
    pcre2_jit_compile(b->pattern, PCRE2_JIT_COMPLETE);
    if (flags & BPE_MERGE_BY_ID) merge_by_id(b);
    b->flags = flags;
    return 0;
}

uint64_t bpe_checksum(const struct bpe *b)
{
    return b->checksum;
}

int64_t bpe_size(const struct bpe *b)
{
    return b->size;
}

int32_t bpe_special(const struct bpe *b, const char *content)
{
    return find(b, content, strlen(content), BPE_SPECIAL);
}

/* A printable Latin-1 byte stands for itself; the 68 others, in their order, are U+0100 and on. */
int bpe_stand_in(int32_t code)
{
    if ((code >= '!' && code <= '~') || (code >= 0xa1 && code <= 0xac) || (code >= 0xae && code <= 0xff)) return code;
    if (code < 0x100 || code >= BPE_STAND_INS) return -1;
    int place = code - 0x100;
    return place <= ' ' ? place : place < 67 ? 0x7f + place - 33 : 0xad;
}

int bpe_stand_ins(const char *text, size_t len, struct str *out)
{
    for (const char *end = text + len; text < end;) {
        int byte = bpe_stand_in(utf8_next(&text, end));
        if (byte < 0) return -1;
        str_putc(out, (char)byte);
    }
    return 0;
}

/* --- encoding --- */

void token_ids_add(struct token_ids *t, int32_t id)
{
    if (t->count == t->cap) t->ids = mem_realloc(t->ids, (size_t)(t->cap = 2 * t->cap + 64), sizeof *t->ids);
    t->ids[t->count++] = id;
}

void token_ids_free(struct token_ids *t)
{
    free(t->ids);
    *t = (struct token_ids){0};
}

static void encode_piece(const struct bpe *b, const char *piece, size_t len, struct token_ids *out)
{
    int32_t whole = b->flags & BPE_WHOLE_PIECES ? find(b, piece, len, BPE_PLAIN) : -1;
    int64_t first = out->count;
    if (whole >= 0)
        token_ids_add(out, whole);
    else {
        for (size_t i = 0; i < len; i++) token_ids_add(out, b->byte_id[i + 1 == len][(unsigned char)piece[i]]);
        out->count = first + merges_apply(&b->merges, out->ids + first, (int64_t)len);
    }
}

void bpe_encode_some(const struct bpe *b, const char *text, size_t len, int64_t most, struct token_ids *out)
{
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    const PCRE2_SIZE *range = pcre2_get_ovector_pointer(match);
    for (size_t at = 0; at < len && out->count < most;) {
        int found = pcre2_match(b->pattern, (PCRE2_SPTR)text, len, at, PCRE2_NO_UTF_CHECK, match, NULL);
        bool some = found >= 0 && range[1] > range[0]; /* else the rest is left out, or the pattern gave up on it */
        size_t start = some ? range[0] : len, end = some ? range[1] : len;
        if (start > at && !(b->flags & BPE_SKIP_GAPS)) end = start, start = at;
        if (start < end) encode_piece(b, text + start, end - start, out);
        at = end;
    }
    pcre2_match_data_free(match);
}

void bpe_encode(const struct bpe *b, const char *text, size_t len, struct token_ids *out)
{
    struct str sound = {0};
    utf8_mend(text, len, &sound);
    bpe_encode_some(b, sound.data, sound.len, INT64_MAX, out);
    str_free(&sound);
}

void bpe_decode(const struct bpe *b, const int32_t *ids, int64_t count, struct str *out)
{
    str_append(out, "", 0);
    for (int64_t i = 0; i < count; i++) {
        const struct token *t = ids[i] >= 0 && ids[i] < b->size ? &b->tokens[ids[i]] : NULL;
        if (t && t->kind != BPE_SPECIAL) str_append(out, b->bytes.data + t->at, t->len);
    }
}
