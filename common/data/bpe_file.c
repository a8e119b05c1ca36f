/* Both kinds of file into one vocabulary with merges. */
#include "data/bpe_file.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"

#define WORD_ENDS "'s|'t|'re|'ve|'m|'ll|'d"
#define LLAMA3_PATTERN \
    "(?i:" WORD_ENDS ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+" \
    "|\\s+(?!\\S)|\\s+"
#define GPT2_PATTERN WORD_ENDS "| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

/* --- tokenizer.model --- */

enum { MOST_BYTES = 1024 }; /* of a token; Llama 3's longest has 128 */

static int base64(const char *text, size_t len, struct str *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    int held = 0;
    for (size_t i = 0; i < len && text[i] != '='; i++) {
        const char *digit = text[i] ? strchr(digits, text[i]) : NULL;
        if (!digit) return -1;
        bits = bits << 6 | (uint32_t)(digit - digits);
        if ((held += 6) >= 8) str_putc(out, (char)(bits >> (held -= 8)));
    }
    return 0;
}

/* "BASE64 RANK" */
static int parse_row(const char *row, size_t len, struct str *bytes, long *id)
{
    const char *space = memchr(row, ' ', len);
    char number[16] = {0}, *rest = number;
    if (!space || row + len - space > (int)sizeof number || base64(row, (size_t)(space - row), bytes) < 0) return -1;
    memcpy(number, space + 1, (size_t)(row + len - space) - 1);
    *id = strtol(number, &rest, 10);
    return rest > number && (!*rest || *rest == '\r') && bytes->len && bytes->len <= MOST_BYTES ? 0 : -1;
}

/* Llama 3's 256 special tokens; PLM puts an image where Llama has a reserved one, under the name that HF gives both. */
static int add_llama3_specials(struct bpe *b, struct error *error)
{
    static const char *const names[] = {"begin_of_text",
                                        "end_of_text",
                                        "image",
                                        "video",
                                        "reserved_special_token_2",
                                        "reserved_special_token_3",
                                        "start_header_id",
                                        "end_header_id",
                                        "reserved_special_token_4",
                                        "eot_id"};
    int rc = 0;
    for (int i = 0; i < 256 && rc == 0; i++) {
        struct str name = {0};
        if (i < 10)
            str_printf(&name, "<|%s|>", names[i]);
        else
            str_printf(&name, "<|reserved_special_token_%d|>", i - 5);
        rc = bpe_add_token(b, bpe_size(b), name.data, name.len, BPE_SPECIAL, error);
        str_free(&name);
    }
    return rc;
}

static int parse_model(struct bpe *b, const char *text, size_t len, struct error *error)
{
    struct str bytes = {0};
    const char *end = text + len, *next;
    int rc = 0;
    for (int line = 1; text < end && rc == 0; line++, text = next) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t row = (size_t)((newline ? newline : end) - text);
        long id;
        next = newline ? newline + 1 : end;
        str_clear(&bytes);
        if (!row) continue;
        if (parse_row(text, row, &bytes, &id) < 0)
            rc = error_set(error, ERROR_FAILED, "line %d is not \"BASE64 RANK\"", line);
        else
            rc = bpe_add_token(b, id, bytes.data, bytes.len, BPE_PLAIN, error);
    }
    str_free(&bytes);
    if (rc < 0 || add_llama3_specials(b, error) < 0) return -1;
    return bpe_finish(b, LLAMA3_PATTERN, BPE_WHOLE_PIECES | BPE_MERGE_BY_ID, error);
}

/* --- tokenizer.json --- */

static int parse_added(struct bpe *b, const json_t *added, struct error *error)
{
    json_t *token;
    size_t i;
    json_array_foreach (added, i, token) {
        const json_t *content = json_object_get(token, "content"), *id = json_object_get(token, "id");
        if (!json_is_string(content) || !json_is_integer(id))
            return error_set(error, ERROR_FAILED, "added token %zu has no id or content", i);
        if (bpe_add_token(b, json_integer_value(id), json_string_value(content), json_string_length(content),
                          BPE_SPECIAL, error) < 0)
            return -1;
    }
    return 0;
}

static int parse_vocabulary(struct bpe *b, const json_t *vocabulary, struct error *error)
{
    struct str bytes = {0};
    const char *name;
    json_t *value;
    int rc = 0;
    json_object_foreach ((json_t *)vocabulary, name, value) {
        int64_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        if (id >= 0 && bpe_special(b, name) == id) continue;
        str_clear(&bytes);
        if (bpe_stand_ins(name, strlen(name), &bytes) < 0)
            rc = error_set(error, ERROR_FAILED, "token %.100s is not made of byte-level symbols", name);
        else
            rc = bpe_add_token(b, id, bytes.data, bytes.len, BPE_PLAIN, error);
        if (rc < 0) break;
    }
    str_free(&bytes);
    return rc;
}

/* "left right", or [left, right], as bytes; *cut: those of left. */
static int merge_bytes(const json_t *row, struct str *out, size_t *cut)
{
    const char *left = json_string_value(json_is_string(row) ? row : json_array_get(row, 0));
    const char *right = json_is_string(row) ? strchr(left, ' ') : json_string_value(json_array_get(row, 1));
    if (!left || !right) return -1;
    size_t len = json_is_string(row) ? (size_t)(right++ - left) : strlen(left);
    str_clear(out);
    if (bpe_stand_ins(left, len, out) < 0) return -1;
    *cut = out->len;
    return bpe_stand_ins(right, strlen(right), out);
}

static int parse_merges(struct bpe *b, const json_t *merges, struct error *error)
{
    struct str bytes = {0};
    size_t i, cut;
    json_t *row;
    int rc = 0;
    json_array_foreach (merges, i, row) {
        rc = merge_bytes(row, &bytes, &cut);
        if (rc == 0) rc = bpe_add_merge(b, bytes.data, cut, bytes.len, BPE_PLAIN, (int32_t)i);
        if (rc < 0) break;
    }
    if (rc < 0) error_set(error, ERROR_FAILED, "merge %zu is no pair, or joins or makes what is no token", i);
    str_free(&bytes);
    return rc;
}

static bool is(const json_t *object, const char *key, const char *value)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text && !strcmp(text, value);
}

/* The cut: a Split by a regular expression before ByteLevel, or ByteLevel with its own. */
static const char *pattern_of(const json_t *pre)
{
    const json_t *steps = json_object_get(pre, "pretokenizers"), *split = json_array_get(steps, 0);
    bool alone = is(pre, "type", "ByteLevel");
    const json_t *level = alone ? pre : json_array_get(steps, 1);
    bool pair = is(pre, "type", "Sequence") && json_array_size(steps) == 2 && is(level, "type", "ByteLevel") &&
                is(split, "type", "Split") && is(split, "behavior", "Isolated") &&
                !json_is_true(json_object_get(split, "invert"));
    if ((!alone && !pair) || json_is_true(json_object_get(level, "add_prefix_space")) ||
        json_is_false(json_object_get(level, "use_regex")) == alone)
        return NULL;
    return alone ? GPT2_PATTERN : json_string_value(json_object_get(json_object_get(split, "pattern"), "Regex"));
}

static int parse_root(struct bpe *b, const json_t *root, struct error *error)
{
    const json_t *model = json_object_get(root, "model"), *normalizer = json_object_get(root, "normalizer");
    const json_t *vocabulary = json_object_get(model, "vocab"), *merges = json_object_get(model, "merges");
    const char *pattern = pattern_of(json_object_get(root, "pre_tokenizer"));
    bool bpe = !json_is_string(json_object_get(model, "type")) || is(model, "type", "BPE");
    if (!bpe || !json_is_object(vocabulary) || !json_is_array(merges))
        return error_set(error, ERROR_FAILED, "model is not BPE with a vocab and merges");
    if (normalizer && !json_is_null(normalizer))
        return error_set(error, ERROR_FAILED, "has a normalizer; only tokenizers without one are read");
    if (!pattern)
        return error_set(error, ERROR_FAILED, "pre_tokenizer is neither ByteLevel nor a Split by a Regex before it");
    if (parse_added(b, json_object_get(root, "added_tokens"), error) < 0) return -1;
    if (parse_vocabulary(b, vocabulary, error) < 0 || parse_merges(b, merges, error) < 0) return -1;
    return bpe_finish(b, pattern, json_is_true(json_object_get(model, "ignore_merges")) ? BPE_WHOLE_PIECES : 0, error);
}

static int parse_json(struct bpe *b, const char *text, size_t len, struct error *error)
{
    json_error_t why;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    if (!root) return error_set(error, ERROR_FAILED, "line %d: %s", why.line, why.text);
    int rc = parse_root(b, root, error);
    json_decref(root);
    return rc;
}

/* --- opening --- */

int bpe_parse(struct bpe **bpe, const char *path, const char *bytes, size_t len, struct error *error)
{
    struct bpe *b = bpe_new(XXH3_64bits(bytes, len));
    if ((str_ends_with(path, ".json") ? parse_json : parse_model)(b, bytes, len, error) < 0) {
        bpe_close(b);
        return error_prefix(error, "%s", path);
    }
    *bpe = b;
    return 0;
}

char *bpe_file(const char *path, const char **name, struct error *error)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer.model"};
    if (!fs_is_folder(path)) {
        *name = names[str_ends_with(path, ".model")];
        return mem_strdup(path);
    }
    for (int i = 0; i < 2; i++) {
        char *inside = fs_join(path, *name = names[i]);
        if (fs_exists(inside)) return inside;
        free(inside);
    }
    error_set(error, ERROR_FAILED, "%s: no tokenizer.json or tokenizer.model in this folder", path);
    return NULL;
}

int bpe_open(struct bpe **bpe, const char *path, struct error *error)
{
    const char *name;
    char *file = bpe_file(path, &name, error), *bytes;
    size_t len;
    int rc = file ? fs_read(file, &bytes, &len, error) : -1;
    if (rc == 0) {
        rc = bpe_parse(bpe, file, bytes, len, error);
        free(bytes);
    }
    free(file);
    return rc;
}
