/* Token ids of 10,000 lines in 147 languages, by Hugging Face's tokenizers and tiktoken (test/golden/bpe/, made by
 * scripts/reference/bpe.py): from tokenizer.json and from tokenizer.model; and the text back from the ids. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "data/bpe_file.h"
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
    char *lines = inflate_file("test/golden/bpe/lines.txt.gz", &len);
    char *ids = inflate_file("test/golden/bpe/ids.bin.gz", &bytes);
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

/* A pattern may have groups; they change nothing. */
static void groups(void)
{
    struct error error = {0};
    struct bpe *plain = NULL, *grouped = NULL;
    struct token_ids want = {0}, got = {0};
    struct str file = {0};
    static const char digits[] = "\\\\p{N}{1,3}", text[] = "In 1234567 ways, and 89.";
    char *bytes;
    size_t len;
    EXPECT(fs_read("test/golden/bpe/tokenizer.json", &bytes, &len, &error) == 0, "%s", error.text);
    char *place = strstr(bytes, digits);
    str_append(&file, bytes, (size_t)(place - bytes));
    str_printf(&file, "(%s)%s", digits, place + strlen(digits));
    EXPECT(bpe_parse(&plain, "plain.json", bytes, len, &error) == 0 &&
               bpe_parse(&grouped, "grouped.json", file.data, file.len, &error) == 0,
           "%s", error.text);
    bpe_encode(plain, text, strlen(text), &want);
    bpe_encode(grouped, text, strlen(text), &got);
    EXPECT(got.count == want.count && !memcmp(got.ids, want.ids, (size_t)got.count * sizeof *got.ids),
           "%ld tokens, not %ld", (long)got.count, (long)want.count);
    token_ids_free(&want);
    token_ids_free(&got);
    str_free(&file);
    free(bytes);
    bpe_close(plain);
    bpe_close(grouped);
}

static void refused(void)
{
    struct str longest = {0};
    while (longest.len < 1368) str_puts(&longest, "YWFh"); /* 342 times three bytes */
    str_puts(&longest, " 0\n");
    const struct {
        const char *text, *why;
    } files[] = {{"YQ== 0\nYg== 1\nYQ== 2\n", "a.model: token 2 is there twice"},
                 {"YQ== 0\nYg== 0\n", "a.model: token 0 is there twice"},
                 {"YQ== 5000000\n", "a.model: token 5000000 is empty or out of range"},
                 {"YQ==\n", "a.model: line 1 is not \"BASE64 RANK\""},
                 {"YQ== 0\n\nY!== 1\n", "a.model: line 3 is not \"BASE64 RANK\""},
                 {longest.data, "a.model: line 1 is not \"BASE64 RANK\""},
                 {"YQ== 0\r\n", "a.model: no token for byte 0; only byte-level vocabularies are read"}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct error error = {0};
        struct bpe *bpe = NULL;
        EXPECT(bpe_parse(&bpe, "a.model", files[i].text, strlen(files[i].text), &error) < 0 && !bpe, "file %zu", i);
        EXPECT(!strcmp(error.text, files[i].why), "%s", error.text);
    }
    str_free(&longest);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"bpe_ids_from_tokenizer_json", json_file},
                                     {"bpe_ids_from_tokenizer_model", model_file},
                                     {"bpe_long_and_damaged_text", long_piece},
                                     {"bpe_patterns_with_groups", groups},
                                     {"bpe_files_refused", refused},
                                     {0}});
}
