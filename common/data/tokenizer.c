/* Loading of the merges table, and byte-pair encoding. */
#include "data/tokenizer.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <zlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/check.h"
#include "base/embed.h"
#include "base/memory.h"
#include "data/clean.h"

EMBED_FILE(merges, "common/data/tables/bpe_simple_vocab_16e6.txt.gz");

enum { MERGES = 48894, TABLE = 1 << 17, WORD_END = 256 };

/* Ids 0..255 are the byte symbols in the table's order, 256..511 the same at the end of a word, 512 + i the result of
 * merge i. */
struct tokenizer {
    pcre2_code *pattern;
    int16_t id_of_byte[256];
    uint64_t pair[TABLE]; /* open addressing: left << 32 | right, + 1; 0 is empty */
    int32_t rank[TABLE];
};

static uint32_t slot_of(const struct tokenizer *t, uint64_t pair)
{
    uint32_t slot = (uint32_t)(XXH3_64bits(&pair, sizeof pair)) & (TABLE - 1);
    while (t->pair[slot] && t->pair[slot] != pair + 1) slot = (slot + 1) & (TABLE - 1);
    return slot;
}

static int32_t rank_of(const struct tokenizer *t, int32_t left, int32_t right)
{
    uint32_t slot = slot_of(t, (uint64_t)left << 32 | (uint64_t)right);
    return t->pair[slot] ? t->rank[slot] : MERGES;
}

/* GPT-2's printable stand-ins: printable Latin-1 bytes stand for themselves, the others for code points from 256 on. */
static void number_bytes(struct tokenizer *t, int32_t byte_of_code[512])
{
    int id = 0, extra = 256;
    for (int i = 0; i < 512; i++) byte_of_code[i] = -1;
    for (int pass = 0; pass < 2; pass++)
        for (int b = 0; b < 256; b++) {
            bool printable = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
            if (printable != (pass == 0)) continue;
            t->id_of_byte[b] = (int16_t)id++;
            byte_of_code[pass ? extra++ : b] = b;
        }
}

/* While loading, symbols are found by their bytes; word ends are marked by a trailing zero byte. */
struct symbols {
    struct str bytes[512 + MERGES];
    int32_t slots[TABLE];
};

static int32_t *symbol_slot(struct symbols *s, const char *bytes, size_t len)
{
    uint32_t slot = (uint32_t)XXH3_64bits(bytes, len) & (TABLE - 1);
    for (;; slot = (slot + 1) & (TABLE - 1)) {
        int32_t id = s->slots[slot];
        if (id < 0 || (s->bytes[id].len == len && !memcmp(s->bytes[id].data, bytes, len))) return &s->slots[slot];
    }
}

static void symbol_add(struct symbols *s, int32_t id)
{
    *symbol_slot(s, s->bytes[id].data, s->bytes[id].len) = id;
}

/* One half of a merge line (stand-in characters, maybe "</w>") as bytes. */
static void symbol_bytes(const char *text, size_t len, const int32_t byte_of_code[512], struct str *out)
{
    bool end = len > 4 && !memcmp(text + len - 4, "</w>", 4);
    if (end) len -= 4;
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)text[i];
        int code = c < 0x80 ? c : (c & 31) << 6 | (text[i + 1] & 63);
        i += c < 0x80 ? 1 : 2;
        CHECK(code < 512 && byte_of_code[code] >= 0, "merge table has symbol %d", code);
        str_putc(out, (char)byte_of_code[code]);
    }
    if (end) str_putc(out, 0);
}

static void load(struct tokenizer *t, const char *text)
{
    struct symbols *s = mem_zalloc(1, sizeof *s);
    int32_t byte_of_code[512];
    number_bytes(t, byte_of_code);
    for (int i = 0; i < TABLE; i++) s->slots[i] = -1;
    for (int b = 0; b < 256; b++) {
        char word[2] = {(char)b, 0};
        str_append(&s->bytes[t->id_of_byte[b]], word, 1);
        str_append(&s->bytes[WORD_END + t->id_of_byte[b]], word, 2);
        symbol_add(s, t->id_of_byte[b]);
        symbol_add(s, WORD_END + t->id_of_byte[b]);
    }
    text = strchr(text, '\n') + 1; /* the version line */
    for (int i = 0; i < MERGES; i++) {
        const char *space = strchr(text, ' '), *end = strchr(text, '\n');
        CHECK(space && end && space < end, "merge %d", i);
        struct str left = {0}, *joint = &s->bytes[512 + i];
        symbol_bytes(text, (size_t)(space - text), byte_of_code, &left);
        int32_t a = *symbol_slot(s, left.data, left.len);
        str_append(joint, left.data, left.len);
        str_clear(&left);
        symbol_bytes(space + 1, (size_t)(end - space - 1), byte_of_code, &left);
        int32_t b = *symbol_slot(s, left.data, left.len);
        str_append(joint, left.data, left.len);
        str_free(&left);
        CHECK(a >= 0 && b >= 0, "merge %d joins unknown symbols", i);
        symbol_add(s, 512 + i);
        uint32_t slot = slot_of(t, (uint64_t)a << 32 | (uint64_t)b);
        t->pair[slot] = ((uint64_t)a << 32 | (uint64_t)b) + 1;
        t->rank[slot] = i;
        text = end + 1;
    }
    for (int i = 0; i < 512 + MERGES; i++) str_free(&s->bytes[i]);
    free(s);
}

static char *inflate_merges(void)
{
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)merges, .avail_in = (unsigned)(merges_end - merges)};
    size_t size = 4 << 20;
    char *text = mem_alloc(size, 1);
    z.next_out = (unsigned char *)text;
    z.avail_out = (unsigned)size - 1;
    CHECK(inflateInit2(&z, 31) == Z_OK && inflate(&z, Z_FINISH) == Z_STREAM_END, "merges table: %s",
          z.msg ? z.msg : "damaged");
    text[z.total_out] = 0;
    inflateEnd(&z);
    return text;
}

struct tokenizer *tokenizer_open(void)
{
    struct tokenizer *t = mem_zalloc(1, sizeof *t);
    char *text = inflate_merges();
    load(t, text);
    free(text);
    int code;
    PCRE2_SIZE at;
    t->pattern = pcre2_compile(
        (PCRE2_SPTR) "<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+",
        PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP | PCRE2_CASELESS | PCRE2_NO_UTF_CHECK, &code, &at, NULL);
    CHECK(t->pattern, "pattern: %d at %zu", code, (size_t)at);
    pcre2_jit_compile(t->pattern, PCRE2_JIT_COMPLETE);
    return t;
}

void tokenizer_close(struct tokenizer *t)
{
    if (!t) return;
    pcre2_code_free(t->pattern);
    free(t);
}

/* Merge one piece; ids has room for len.  Returns the number of tokens. */
static int64_t merge(const struct tokenizer *t, const unsigned char *piece, size_t len, int32_t *ids)
{
    int64_t count = 0;
    for (size_t i = 0; i < len; i++) ids[count++] = t->id_of_byte[piece[i]];
    ids[count - 1] += WORD_END;
    for (;;) {
        int32_t best = MERGES;
        for (int64_t i = 0; i + 1 < count; i++) {
            int32_t rank = rank_of(t, ids[i], ids[i + 1]);
            if (rank < best) best = rank;
        }
        if (best == MERGES) return count;
        int64_t kept = 0;
        for (int64_t i = 0; i < count; i++) {
            if (i + 1 < count && rank_of(t, ids[i], ids[i + 1]) == best) {
                ids[kept++] = 512 + best;
                i++;
            } else
                ids[kept++] = ids[i];
        }
        count = kept;
    }
}

int64_t tokenizer_encode(const struct tokenizer *t, const char *text, int32_t *ids, int64_t context)
{
    CHECK(context >= 2, "context %ld", (long)context);
    struct str clean = {0};
    clean_text(text, &clean);
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    int32_t *piece = mem_alloc(clean.len + 1, sizeof *piece);
    int64_t count = 0;
    ids[count++] = TOKEN_START;
    for (size_t at = 0; at < clean.len && count < context;) {
        if (pcre2_match(t->pattern, (PCRE2_SPTR)clean.data, clean.len, at, PCRE2_NO_UTF_CHECK, match, NULL) < 0) break;
        const PCRE2_SIZE *range = pcre2_get_ovector_pointer(match);
        size_t len = range[1] - range[0];
        const char *word = clean.data + range[0];
        at = range[1];
        if (len == 15 && !memcmp(word, "<start_of_text>", 15))
            ids[count++] = TOKEN_START;
        else if (len == 13 && !memcmp(word, "<end_of_text>", 13))
            ids[count++] = TOKEN_END;
        else {
            int64_t n = merge(t, (const unsigned char *)word, len, piece);
            for (int64_t i = 0; i < n && count < context; i++) ids[count++] = piece[i];
        }
    }
    if (count < context)
        ids[count++] = TOKEN_END;
    else
        ids[context - 1] = TOKEN_END;
    for (int64_t i = count; i < context; i++) ids[i] = 0;
    free(piece);
    pcre2_match_data_free(match);
    str_free(&clean);
    return count;
}
