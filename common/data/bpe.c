/* Loading both kinds of file into one vocabulary, and merging with a heap. */
#include "data/bpe.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>
#include <xxhash.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/check.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/utf8.h"

#define LLAMA3_PATTERN \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| " \
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define GPT2_PATTERN "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

struct token {
    char *bytes; /* NULL: no such id */
    size_t len;
    bool special;
};

/* One merge: the pair of ids, what it becomes, and when. */
struct merge {
    uint64_t pair; /* left << 32 | right, + 1; 0: empty */
    int32_t rank, result;
};

struct bpe {
    struct token *tokens;
    int64_t size;
    uint32_t *slots, slot_mask; /* ids + 1 by their bytes, open addressing */
    struct merge *merges;       /* by pair; NULL: the rank of a merge is the id of its result (Llama's file) */
    uint32_t merge_mask;
    bool whole_pieces; /* a piece that is in the vocabulary needs no merges */
    int32_t byte_id[256];
    uint64_t checksum;
    pcre2_code *pattern;
};

static uint32_t mask_for(int64_t count)
{
    uint32_t size = 1024;
    while (size < 2 * (uint64_t)count) size *= 2;
    return size - 1;
}

/* The slot of an ordinary token with these bytes, or the empty one where it would be. */
static uint32_t *slot_of(const struct bpe *b, const char *bytes, size_t len)
{
    for (uint32_t at = (uint32_t)XXH3_64bits(bytes, len) & b->slot_mask;; at = (at + 1) & b->slot_mask) {
        uint32_t id = b->slots[at];
        if (!id || (b->tokens[id - 1].len == len && !memcmp(b->tokens[id - 1].bytes, bytes, len))) return &b->slots[at];
    }
}

static int32_t find(const struct bpe *b, const char *bytes, size_t len)
{
    return (int32_t)*slot_of(b, bytes, len) - 1;
}

static struct merge *merge_of(const struct bpe *b, int32_t left, int32_t right)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    for (uint32_t at = (uint32_t)XXH3_64bits(&pair, sizeof pair) & b->merge_mask;; at = (at + 1) & b->merge_mask)
        if (!b->merges[at].pair || b->merges[at].pair == pair + 1) return &b->merges[at];
}

enum { MOST_TOKENS = 1 << 22 };

/* bytes is taken over. */
static int set_token(struct bpe *b, const char *path, int64_t id, char *bytes, size_t len, bool special,
                     struct error *error)
{
    if (id < 0 || id >= MOST_TOKENS || (id < b->size && b->tokens[id].bytes)) {
        free(bytes);
        return error_set(error, ERROR_FAILED, "%s: token id %ld is there twice or out of range", path, (long)id);
    }
    if (id >= b->size) {
        int64_t size = id + 1 + id / 2;
        b->tokens = mem_realloc(b->tokens, (size_t)size, sizeof *b->tokens);
        memset(b->tokens + b->size, 0, (size_t)(size - b->size) * sizeof *b->tokens);
        b->size = size;
    }
    b->tokens[id] = (struct token){bytes, len, special};
    return 0;
}

/* All tokens are there: the table by bytes, and the ids of single bytes, which every text needs. */
static int index_tokens(struct bpe *b, const char *path, struct error *error)
{
    while (b->size && !b->tokens[b->size - 1].bytes) b->size--;
    b->slot_mask = mask_for(b->size);
    b->slots = mem_zalloc((size_t)b->slot_mask + 1, sizeof *b->slots);
    for (int64_t i = 0; i < b->size; i++)
        if (b->tokens[i].bytes && !b->tokens[i].special)
            *slot_of(b, b->tokens[i].bytes, b->tokens[i].len) = (uint32_t)i + 1;
    for (int i = 0; i < 256; i++) {
        char byte = (char)i;
        b->byte_id[i] = find(b, &byte, 1);
        if (b->byte_id[i] < 0)
            return error_set(error, ERROR_FAILED, "%s: no token for byte %d; only byte-level vocabularies are read",
                             path, i);
    }
    return 0;
}

static int compile(struct bpe *b, const char *path, const char *pattern, struct error *error)
{
    int code;
    PCRE2_SIZE at;
    b->pattern = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                               PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
    if (!b->pattern)
        return error_set(error, ERROR_FAILED, "%s: its pattern is wrong at character %zu (PCRE2 error %d)", path,
                         (size_t)at, code);
    pcre2_jit_compile(b->pattern, PCRE2_JIT_COMPLETE);
    return 0;
}

/* --- tokenizer.model --- */

static int base64(const char *text, size_t len, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    int held = 0, count = 0;
    for (size_t i = 0; i < len && text[i] != '='; i++) {
        const char *digit = text[i] ? strchr(digits, text[i]) : NULL;
        if (!digit) return -1;
        bits = bits << 6 | (uint32_t)(digit - digits);
        if ((held += 6) >= 8) out[count++] = (char)(bits >> (held -= 8));
    }
    return count;
}

/* Llama 3's 256 special tokens; PLM puts an image where Llama has a reserved one, under the name that HF gives both. */
static int add_llama3_specials(struct bpe *b, const char *path, int64_t first, struct error *error)
{
    static const char *const names[] = {"<|begin_of_text|>",
                                        "<|end_of_text|>",
                                        "<|image|>",
                                        "<|video|>",
                                        "<|reserved_special_token_2|>",
                                        "<|reserved_special_token_3|>",
                                        "<|start_header_id|>",
                                        "<|end_header_id|>",
                                        "<|reserved_special_token_4|>",
                                        "<|eot_id|>"};
    for (int i = 0; i < 256; i++) {
        struct str name = {0};
        if (i < 10)
            str_puts(&name, names[i]);
        else
            str_printf(&name, "<|reserved_special_token_%d|>", i - 5);
        size_t len = name.len;
        if (set_token(b, path, first + i, str_steal(&name), len, true, error) < 0) return -1;
    }
    return 0;
}

static int parse_model(struct bpe *b, const char *path, const char *text, size_t len, struct error *error)
{
    int64_t line = 0;
    for (size_t at = 0; at < len; line++) {
        const char *row = text + at, *end = memchr(row, '\n', len - at), *stop = end ? end : text + len,
                   *space = memchr(row, ' ', (size_t)(stop - row));
        at = (size_t)(stop - text) + 1;
        if (row == stop) continue;
        char number[16] = {0}, *rest, *bytes = NULL;
        int count = -1;
        if (space && stop - space < 16) {
            memcpy(number, space + 1, (size_t)(stop - space - 1));
            bytes = mem_alloc((size_t)(space - row) + 1, 1);
            count = base64(row, (size_t)(space - row), bytes);
        }
        long id = strtol(number, &rest, 10);
        if (count < 1 || rest == number || (*rest && *rest != '\r')) {
            free(bytes);
            return error_set(error, ERROR_FAILED, "%s: line %ld is not \"BASE64 RANK\"", path, (long)line + 1);
        }
        if (set_token(b, path, id, bytes, (size_t)count, false, error) < 0) return -1;
    }
    int64_t base = b->size;
    while (base && !b->tokens[base - 1].bytes) base--;
    b->whole_pieces = true;
    return add_llama3_specials(b, path, base, error) < 0 || index_tokens(b, path, error) < 0 ||
                   compile(b, path, LLAMA3_PATTERN, error) < 0
               ? -1
               : 0;
}

/* --- tokenizer.json --- */

/* GPT-2's printable stand-ins for bytes: code points below 0x144. */
static void stand_ins(int16_t byte_of[512])
{
    int extra = 256;
    for (int i = 0; i < 512; i++) byte_of[i] = -1;
    for (int b = 0; b < 256; b++) {
        bool printable = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        byte_of[printable ? b : extra++] = (int16_t)b;
    }
}

/* Stand-ins to bytes; returns their number or -1. */
static int64_t to_bytes(const char *text, size_t len, const int16_t byte_of[512], char *out)
{
    int64_t count = 0;
    for (size_t at = 0; at < len;) {
        utf8proc_int32_t code;
        utf8proc_ssize_t used =
            utf8proc_iterate((const utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)(len - at), &code);
        if (used <= 0 || code >= 512 || byte_of[code] < 0) return -1;
        out[count++] = (char)byte_of[code];
        at += (size_t)used;
    }
    return count;
}

static int parse_vocabulary(struct bpe *b, const char *path, const json_t *vocabulary, const json_t *added,
                            struct error *error)
{
    int16_t byte_of[512];
    const char *name;
    json_t *value;
    size_t i;
    stand_ins(byte_of);
    json_array_foreach (added, i, value) {
        const json_t *content = json_object_get(value, "content"), *id = json_object_get(value, "id");
        if (!json_is_string(content) || !json_is_integer(id))
            return error_set(error, ERROR_FAILED, "%s: added token %zu has no id or content", path, i);
        if (set_token(b, path, json_integer_value(id), mem_strdup(json_string_value(content)),
                      json_string_length(content), true, error) < 0)
            return -1;
    }
    json_object_foreach ((json_t *)vocabulary, name, value) {
        int64_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        size_t len = strlen(name);
        if (id >= 0 && id < b->size && b->tokens[id].special && !strcmp(b->tokens[id].bytes, name)) continue;
        char *bytes = mem_alloc(len + 1, 1);
        int64_t count = to_bytes(name, len, byte_of, bytes);
        if (count < 1) {
            free(bytes);
            return error_set(error, ERROR_FAILED, "%s: token %.100s is not made of byte-level symbols", path, name);
        }
        if (set_token(b, path, id, bytes, (size_t)count, false, error) < 0) return -1;
    }
    return index_tokens(b, path, error);
}

/* "left right", or [left, right]. */
static int merge_halves(const json_t *row, const char **left, size_t *left_len, const char **right)
{
    if (json_is_string(row)) {
        const char *text = json_string_value(row), *space = strchr(text, ' ');
        if (!space) return -1;
        *left = text, *left_len = (size_t)(space - text), *right = space + 1;
        return 0;
    }
    *left = json_string_value(json_array_get(row, 0));
    *right = json_string_value(json_array_get(row, 1));
    if (!*left || !*right) return -1;
    *left_len = strlen(*left);
    return 0;
}

static int parse_merges(struct bpe *b, const char *path, const json_t *merges, struct error *error)
{
    int16_t byte_of[512];
    size_t i;
    json_t *row;
    struct str joint = {0};
    int rc = 0;
    stand_ins(byte_of);
    b->merge_mask = mask_for((int64_t)json_array_size(merges));
    b->merges = mem_zalloc((size_t)b->merge_mask + 1, sizeof *b->merges);
    json_array_foreach (merges, i, row) {
        const char *left, *right;
        size_t len;
        if (merge_halves(row, &left, &len, &right) < 0) {
            rc = error_set(error, ERROR_FAILED, "%s: merge %zu is no pair", path, i);
            break;
        }
        str_clear(&joint);
        str_append(&joint, left, len); /* room for the bytes, which are fewer */
        str_puts(&joint, right);
        int64_t a = to_bytes(left, len, byte_of, joint.data),
                c = a < 0 ? -1 : to_bytes(right, strlen(right), byte_of, joint.data + a);
        int32_t ids[3] = {-1, -1, -1};
        if (a > 0 && c > 0)
            ids[0] = find(b, joint.data, (size_t)a), ids[1] = find(b, joint.data + a, (size_t)c),
            ids[2] = find(b, joint.data, (size_t)(a + c));
        if (ids[0] < 0 || ids[1] < 0 || ids[2] < 0) {
            rc = error_set(error, ERROR_FAILED, "%s: merge %zu joins or makes what is not in the vocabulary", path, i);
            break;
        }
        struct merge *m = merge_of(b, ids[0], ids[1]);
        if (!m->pair)
            *m = (struct merge){((uint64_t)(uint32_t)ids[0] << 32 | (uint32_t)ids[1]) + 1, (int32_t)i, ids[2]};
    }
    str_free(&joint);
    return rc;
}

/* The cut: a Split by a regular expression before ByteLevel, or ByteLevel with its own. */
static const char *pattern_of(const json_t *pre)
{
    const char *type = json_string_value(json_object_get(pre, "type"));
    if (!type) return NULL;
    if (!strcmp(type, "ByteLevel"))
        return json_is_true(json_object_get(pre, "add_prefix_space")) ||
                       json_is_false(json_object_get(pre, "use_regex"))
                   ? NULL
                   : GPT2_PATTERN;
    const json_t *steps = json_object_get(pre, "pretokenizers"), *split = json_array_get(steps, 0),
                 *level = json_array_get(steps, 1);
    const char *split_type = json_string_value(json_object_get(split, "type")),
               *level_type = json_string_value(json_object_get(level, "type"));
    if (strcmp(type, "Sequence") || json_array_size(steps) != 2 || !split_type || strcmp(split_type, "Split") ||
        !level_type || strcmp(level_type, "ByteLevel"))
        return NULL;
    const char *behavior = json_string_value(json_object_get(split, "behavior"));
    if (!behavior || strcmp(behavior, "Isolated") || json_is_true(json_object_get(split, "invert")) ||
        !json_is_false(json_object_get(level, "use_regex")) || json_is_true(json_object_get(level, "add_prefix_space")))
        return NULL;
    return json_string_value(json_object_get(json_object_get(split, "pattern"), "Regex"));
}

static int parse_json(struct bpe *b, const char *path, const char *text, size_t len, struct error *error)
{
    json_error_t why;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why), *model = json_object_get(root, "model");
    const char *type = json_string_value(json_object_get(model, "type"));
    const json_t *normalizer = json_object_get(root, "normalizer");
    int rc = 0;
    if (!root)
        rc = error_set(error, ERROR_FAILED, "%s: line %d: %s", path, why.line, why.text);
    else if (!json_is_object(json_object_get(model, "vocab")) || !json_is_array(json_object_get(model, "merges")) ||
             (type && strcmp(type, "BPE")))
        rc = error_set(error, ERROR_FAILED, "%s: model is not BPE with a vocab and merges", path);
    else if (normalizer && !json_is_null(normalizer))
        rc = error_set(error, ERROR_FAILED, "%s: has a normalizer; only tokenizers without one are read", path);
    const char *pattern = rc == 0 ? pattern_of(json_object_get(root, "pre_tokenizer")) : NULL;
    if (rc == 0 && !pattern)
        rc = error_set(error, ERROR_FAILED,
                       "%s: pre_tokenizer is neither ByteLevel nor a Split by a Regex before ByteLevel", path);
    b->whole_pieces = json_is_true(json_object_get(model, "ignore_merges"));
    if (rc == 0)
        rc = parse_vocabulary(b, path, json_object_get(model, "vocab"), json_object_get(root, "added_tokens"), error);
    if (rc == 0) rc = parse_merges(b, path, json_object_get(model, "merges"), error);
    if (rc == 0) rc = compile(b, path, pattern, error);
    json_decref(root);
    return rc;
}

/* --- opening --- */

int bpe_parse(struct bpe **bpe, const char *path, const char *bytes, size_t len, struct error *error)
{
    struct bpe *b = mem_zalloc(1, sizeof *b);
    int rc =
        str_ends_with(path, ".json") ? parse_json(b, path, bytes, len, error) : parse_model(b, path, bytes, len, error);
    b->checksum = XXH3_64bits(bytes, len);
    if (rc < 0)
        bpe_close(b);
    else
        *bpe = b;
    return rc;
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

void bpe_close(struct bpe *b)
{
    if (!b) return;
    for (int64_t i = 0; i < b->size; i++) free(b->tokens[i].bytes);
    pcre2_code_free(b->pattern);
    free(b->tokens);
    free(b->slots);
    free(b->merges);
    free(b);
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
    size_t len = strlen(content);
    for (int64_t i = b->size - 1; i >= 0; i--)
        if (b->tokens[i].special && b->tokens[i].len == len && !memcmp(b->tokens[i].bytes, content, len))
            return (int32_t)i;
    return -1;
}

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

/* --- encoding --- */

/* A piece on its way: parts are a doubly linked list over the piece's bytes, candidates for merging a heap by (rank,
 * place). */
struct part {
    int32_t id, next, previous; /* id -1: merged into the part before it */
    uint32_t at, len;
};
struct candidate {
    int32_t rank, left, id_left, id_right, result;
};
struct merging {
    const struct bpe *b;
    const char *piece;
    struct part *parts;
    struct candidate *heap;
    int64_t count;
};

static bool before(const struct candidate *a, const struct candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->left < b->left;
}

static void heap_push(struct merging *m, struct candidate c)
{
    int64_t at = m->count++;
    for (; at > 0 && before(&c, &m->heap[(at - 1) / 2]); at = (at - 1) / 2) m->heap[at] = m->heap[(at - 1) / 2];
    m->heap[at] = c;
}

static struct candidate heap_pop(struct merging *m)
{
    struct candidate top = m->heap[0], last = m->heap[--m->count];
    int64_t at = 0;
    for (;;) {
        int64_t child = 2 * at + 1;
        if (child >= m->count) break;
        if (child + 1 < m->count && before(&m->heap[child + 1], &m->heap[child])) child++;
        if (!before(&m->heap[child], &last)) break;
        m->heap[at] = m->heap[child];
        at = child;
    }
    m->heap[at] = last;
    return top;
}

/* May this part be merged with the next one? */
static void offer(struct merging *m, int32_t left)
{
    const struct part *l = &m->parts[left], *r = l->next >= 0 ? &m->parts[l->next] : NULL;
    if (!r) return;
    struct candidate c = {.left = left, .id_left = l->id, .id_right = r->id};
    if (m->b->merges) {
        const struct merge *found = merge_of(m->b, l->id, r->id);
        if (!found->pair) return;
        c.rank = found->rank;
        c.result = found->result;
    } else {
        c.rank = c.result = find(m->b, m->piece + l->at, l->len + r->len);
        if (c.rank < 0) return;
    }
    heap_push(m, c);
}

static void merge_piece(struct merging *m, size_t len, struct token_ids *out)
{
    struct part *parts = m->parts;
    m->count = 0;
    for (size_t i = 0; i < len; i++)
        parts[i] = (struct part){m->b->byte_id[(unsigned char)m->piece[i]], i + 1 < len ? (int32_t)i + 1 : -1,
                                 (int32_t)i - 1, (uint32_t)i, 1};
    for (size_t i = 0; i + 1 < len; i++) offer(m, (int32_t)i);
    while (m->count) {
        struct candidate c = heap_pop(m);
        struct part *l = &parts[c.left];
        if (l->id != c.id_left || l->next < 0 || parts[l->next].id != c.id_right)
            continue; /* overtaken by another merge */
        struct part *r = &parts[l->next];
        l->id = c.result;
        l->len += r->len;
        r->id = -1;
        l->next = r->next;
        if (r->next >= 0) parts[r->next].previous = c.left;
        offer(m, c.left);
        if (l->previous >= 0) offer(m, l->previous);
    }
    for (int32_t i = 0; i >= 0; i = parts[i].next) token_ids_add(out, parts[i].id);
}

void bpe_encode(const struct bpe *b, const char *text, size_t len, struct token_ids *out)
{
    struct str clean = {0};
    utf8_mend(text, len, &clean);
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    struct merging m = {.b = b,
                        .parts = mem_alloc(clean.len + 1, sizeof *m.parts),
                        .heap = mem_alloc(3 * clean.len + 1, sizeof *m.heap)};
    for (size_t at = 0; at < clean.len;) {
        int found = pcre2_match(b->pattern, (PCRE2_SPTR)clean.data, clean.len, at, PCRE2_NO_UTF_CHECK, match, NULL);
        const PCRE2_SIZE *range = pcre2_get_ovector_pointer(match);
        /* what the pattern leaves out, or gives up on, is a piece too */
        size_t start = found > 0 && range[1] > range[0] ? range[0] : clean.len,
               end = found > 0 && range[1] > range[0] ? range[1] : clean.len;
        if (start > at) end = start, start = at;
        m.piece = clean.data + start;
        int32_t whole = b->whole_pieces ? find(b, m.piece, end - start) : -1;
        if (whole >= 0)
            token_ids_add(out, whole);
        else
            merge_piece(&m, end - start, out);
        at = end;
    }
    free(m.parts);
    free(m.heap);
    pcre2_match_data_free(match);
    str_free(&clean);
}

void bpe_decode(const struct bpe *b, const int32_t *ids, int64_t count, struct str *out)
{
    str_append(out, "", 0);
    for (int64_t i = 0; i < count; i++)
        if (ids[i] >= 0 && ids[i] < b->size && b->tokens[ids[i]].bytes && !b->tokens[ids[i]].special)
            str_append(out, b->tokens[ids[i]].bytes, b->tokens[ids[i]].len);
}
