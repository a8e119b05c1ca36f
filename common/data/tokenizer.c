/* The published table of merges, and rows of ids. */
#include "data/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/check.h"
#include "base/embed.h"
#include "base/memory.h"
#include "data/bpe.h"
#include "data/clean.h"

EMBED_FILE(merges, "common/data/tables/bpe_simple_vocab_16e6.txt.gz");

#define PATTERN "(?i)<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+"

/* Ids: the bytes within words, the bytes at the end of a word, what the lines of the table make. */
enum { FIRST_END = 256, FIRST_MERGE = 512, MERGES = TOKEN_START - FIRST_MERGE };

struct tokenizer {
    struct bpe *bpe;
};

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

static void add_token(struct bpe *b, int32_t id, const char *bytes, size_t len, enum bpe_kind kind)
{
    CHECK(bpe_add_token(b, id, bytes, len, kind, NULL) == 0, "merges table: token %d", id);
}

/* In the order of their stand-ins. */
static void add_bytes(struct bpe *b)
{
    int32_t id = 0;
    for (int32_t code = 0; code < BPE_STAND_INS; code++) {
        char byte = (char)bpe_stand_in(code);
        if (bpe_stand_in(code) < 0) continue;
        add_token(b, id, &byte, 1, BPE_INNER);
        add_token(b, FIRST_END + id++, &byte, 1, BPE_PLAIN);
    }
}

/* A line is "left right" in stand-ins, and "</w>" where a word ends. */
static void add_merges(struct bpe *b, const char *text)
{
    struct str both = {0};
    for (int32_t i = 0; i < MERGES; i++) {
        text = strchr(text, '\n') + 1; /* the first line is a version */
        size_t space = strcspn(text, " "), end = strcspn(text, "\n");
        CHECK(space + 1 < end, "merge %d", i);
        bool last = !memcmp(text + end - 4, "</w>", 4);
        enum bpe_kind kind = last ? BPE_PLAIN : BPE_INNER;
        str_clear(&both);
        int rc = bpe_stand_ins(text, space, &both);
        size_t cut = both.len;
        if (rc == 0) rc = bpe_stand_ins(text + space + 1, end - space - 1 - (last ? 4 : 0), &both);
        add_token(b, FIRST_MERGE + i, both.data, both.len, kind);
        if (rc == 0) rc = bpe_add_merge(b, both.data, cut, both.len, kind, i);
        CHECK(rc == 0, "merge %d joins unknown symbols", i);
    }
    str_free(&both);
}

struct tokenizer *tokenizer_open(void)
{
    struct error error = {0};
    struct tokenizer *t = mem_zalloc(1, sizeof *t);
    char *text = inflate_merges();
    t->bpe = bpe_new(0);
    add_bytes(t->bpe);
    add_merges(t->bpe, text);
    add_token(t->bpe, TOKEN_START, "<start_of_text>", 15, BPE_PLAIN); /* read in texts, too */
    add_token(t->bpe, TOKEN_END, "<end_of_text>", 13, BPE_PLAIN);
    /* Each token of this table is what its bytes are merged to, so whole pieces may be looked up. */
    CHECK(bpe_finish(t->bpe, PATTERN, BPE_WHOLE_PIECES | BPE_SKIP_GAPS, &error) == 0, "merges table: %s", error.text);
    free(text);
    return t;
}

void tokenizer_close(struct tokenizer *t)
{
    if (!t) return;
    bpe_close(t->bpe);
    free(t);
}

int64_t tokenizer_encode(const struct tokenizer *t, const char *text, int32_t *ids, int64_t context)
{
    CHECK(context >= 2, "context %ld", (long)context);
    struct str clean = {0};
    struct token_ids found = {0};
    int64_t room = context - 2;
    clean_text(text, &clean);
    bpe_encode_some(t->bpe, clean.data, clean.len, room, &found);
    int64_t count = found.count < room ? found.count : room;
    memset(ids, 0, (size_t)context * sizeof *ids);
    ids[0] = TOKEN_START;
    for (int64_t i = 0; i < count; i++) ids[1 + i] = found.ids[i];
    ids[1 + count] = TOKEN_END;
    token_ids_free(&found);
    str_free(&clean);
    return count + 2;
}
