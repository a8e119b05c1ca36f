/* Token ids of 10,000 lines in 147 languages, by Hugging Face's tokenizers and tiktoken (test/golden/bpe/, made by
 * scripts/reference/bpe.py): from tokenizer.json and from tokenizer.model; and the text back from the ids. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/json.h"
#include "base/memory.h"
#include "data/bpe.h"
#include "test/harness.h"

static char *inflate_file(const char *path, size_t *len)
{
    gzFile file = gzopen(path, "rb");
    size_t cap = 8 << 20;
    char *bytes = mem_alloc(cap, 1);
    int n = file ? gzread(file, bytes, (unsigned)cap - 1) : -1;
    EXPECT(n > 0, "%s", path);
    if (file) gzclose(file);
    *len = n > 0 ? (size_t)n : 0;
    bytes[*len] = 0;
    return bytes;
}

static void check_file(const char *path)
{
    struct error error = {0};
    struct bpe *bpe = NULL;
    EXPECT(bpe_open(&bpe, path, &error) == 0, "%s", error.text);
    if (!bpe) return;
    size_t len, bytes;
    char *lines = inflate_file("test/golden/bpe/lines.txt.gz", &len),
         *ids = inflate_file("test/golden/bpe/ids.bin.gz", &bytes);
    const unsigned char *want = (const unsigned char *)ids;
    int count = 0, wrong = 0;
    struct token_ids got = {0};
    struct str back = {0};
    for (char *line = lines; *line; count++) {
        char *end = strchr(line, '\n');
        json_t *text = json_loadb(line, (size_t)(end - line), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        int n = want[0] | want[1] << 8;
        got.count = 0;
        bpe_encode(bpe, json_string_value(text), json_string_length(text), &got);
        bool same = got.count == n;
        for (int i = 0; i < n && same; i++) same = got.ids[i] == (want[2 + 2 * i] | want[3 + 2 * i] << 8);
        str_clear(&back);
        bpe_decode(bpe, got.ids, got.count, &back);
        same = same && back.len == json_string_length(text) && !memcmp(back.data, json_string_value(text), back.len);
        if (!same && wrong++ < 3) EXPECT(same, "line %d: %.100s", count + 1, line);
        json_decref(text);
        want += 2 + 2 * n;
        line = end + 1;
    }
    EXPECT(count == 10000 && !wrong && want == (unsigned char *)ids + bytes, "%d lines, %d wrong", count, wrong);
    EXPECT(bpe_special(bpe, "<|eot_id|>") == 3009 && bpe_special(bpe, "<|begin_of_text|>") == 3000 &&
               bpe_special(bpe, "a") < 0,
           "special tokens");
    token_ids_free(&got);
    str_free(&back);
    free(lines);
    free(ids);
    bpe_close(bpe);
}

static void json_file(void)
{
    check_file("test/golden/bpe/tokenizer.json");
}
static void model_file(void)
{
    check_file("test/golden/bpe/tokenizer.model");
}

/* A megabyte of one letter must not take the square of its length. */
static void long_piece(void)
{
    struct error error = {0};
    struct bpe *bpe = NULL;
    if (bpe_open(&bpe, "test/golden/bpe", &error) < 0) return;
    enum { LEN = 1 << 20 };
    char *text = malloc(LEN);
    struct token_ids got = {0};
    memset(text, 'x', LEN);
    bpe_encode(bpe, text, LEN, &got);
    EXPECT(got.count > 0 && got.count <= LEN, "%ld tokens", (long)got.count);
    got.count = 0;
    bpe_encode(bpe, "a\xff\xfe b\xc3", 6, &got);
    struct str back = {0};
    bpe_decode(bpe, got.ids, got.count, &back);
    EXPECT(!strcmp(back.data, "a\xef\xbf\xbd\xef\xbf\xbd b\xef\xbf\xbd"), "%s", back.data);
    str_free(&back);
    token_ids_free(&got);
    free(text);
    bpe_close(bpe);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"bpe_ids_from_tokenizer_json", json_file},
                                     {"bpe_ids_from_tokenizer_model", model_file},
                                     {"bpe_long_and_damaged_text", long_piece},
                                     {0}});
}
