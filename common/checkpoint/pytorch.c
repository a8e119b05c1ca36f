/* The zip directory, the pickle machine, and what it built as entries. */
#include "checkpoint/pytorch.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/str.h"

enum kind { NONE, NUMBER, TEXT, NAME, LIST, DICT, STORAGE, TENSOR, MARK };

/* A value of the pickle.  Lists and tuples are LIST, dictionaries DICT with keys and values in turn. */
struct value {
    enum kind kind;
    int64_t number;
    const char *text; /* TEXT, and NAME as "module name", in the arena */
    struct value **items;
    int64_t count, cap;
    enum safetensors_dtype dtype; /* STORAGE, TENSOR */
    int64_t elements;             /* STORAGE */
    const unsigned char *bytes;   /* STORAGE: its data; TENSOR: its first element */
    int ndim;
    int64_t shape[8];
};

struct machine {
    const char *path;
    const unsigned char *file, *code;
    size_t file_len, len, at;
    struct value **stack, **memo;
    int64_t depth, depth_cap, memo_cap;
    struct arena arena;
    char prefix[256]; /* of the archive's members */
    struct error *error;
};

static int refuse(struct machine *m, const char *what)
{
    error_set(m->error, ERROR_FAILED, "%s: byte %zu of its pickle: %s", m->path, m->at, what);
    return -1;
}

/* --- zip --- */

/* Bytes, without names and extra fields. */
enum { DIRECTORY_END = 22, WIDE_LOCATOR = 20, WIDE_END = 56, DIRECTORY_ENTRY = 46, MEMBER_HEADER = 30 };

static uint64_t get(const unsigned char *at, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; i--) value = value << 8 | at[i];
    return value;
}

struct member {
    const unsigned char *bytes;
    uint64_t len;
};

/* Sizes and offset of a directory entry, 64-bit ones from its extra field. */
static int entry_place(const unsigned char *h, uint64_t *size, uint64_t *offset)
{
    *size = get(h + 24, 4);
    *offset = get(h + 42, 4);
    uint64_t name = get(h + 28, 2), extra = get(h + 30, 2), packed = get(h + 20, 4);
    const unsigned char *at = h + DIRECTORY_ENTRY + name, *end = at + extra;
    if (*size != 0xffffffff && *offset != 0xffffffff) return 0;
    for (uint64_t step; end - at >= 4; at += step) {
        step = 4 + get(at + 2, 2);
        if (step > (uint64_t)(end - at)) return -1;
        const unsigned char *field = at + 4, *stop = at + step;
        if (get(at, 2) != 1) continue;
        if (*size == 0xffffffff && field + 8 <= stop) *size = get(field, 8), field += 8;
        if (packed == 0xffffffff && field + 8 <= stop) field += 8;
        if (*offset == 0xffffffff && field + 8 <= stop) *offset = get(field, 8);
        return 0;
    }
    return -1;
}

/* Call visit for each member until it returns 1; 0 when none did, -1 when the archive is damaged. */
static int each_member(const struct machine *m,
                       int (*visit)(void *context, const char *name, size_t name_len, struct member member),
                       void *context)
{
    const unsigned char *f = m->file;
    size_t len = m->file_len;
    if (len < DIRECTORY_END) return -1;
    size_t end = len - DIRECTORY_END, lowest = end > 65536 ? end - 65536 : 0;
    while (get(f + end, 4) != 0x06054b50)
        if (end-- == lowest) return -1;
    uint64_t count = get(f + end + 10, 2), at = get(f + end + 16, 4);
    if ((at == 0xffffffff || count == 0xffff) && end >= WIDE_LOCATOR && get(f + end - WIDE_LOCATOR, 4) == 0x07064b50) {
        uint64_t wide = get(f + end - WIDE_LOCATOR + 8, 8);
        if (wide > len || len - wide < WIDE_END || get(f + wide, 4) != 0x06064b50) return -1;
        count = get(f + wide + 32, 8);
        at = get(f + wide + 48, 8);
    }
    for (uint64_t i = 0; i < count; i++) {
        if (at > len || len - at < DIRECTORY_ENTRY || get(f + at, 4) != 0x02014b50) return -1;
        const unsigned char *h = f + at;
        uint64_t size, offset, name = get(h + 28, 2), step = DIRECTORY_ENTRY + name + get(h + 30, 2) + get(h + 32, 2);
        if (step > len - at || entry_place(h, &size, &offset) < 0) return -1;
        if (offset > len || len - offset < MEMBER_HEADER || get(f + offset, 4) != 0x04034b50) return -1;
        uint64_t data = offset + MEMBER_HEADER + get(f + offset + 26, 2) + get(f + offset + 28, 2);
        if (get(h + 10, 2) != 0 || data > len || size > len - data) return -1; /* torch stores, never compresses */
        int rc = visit(context, (const char *)h + DIRECTORY_ENTRY, name, (struct member){f + data, size});
        if (rc) return rc;
        at += step;
    }
    return 0;
}

struct search {
    const char *name;
    struct member found;
    char *prefix;
};

static int is_pickle(void *context, const char *name, size_t len, struct member member)
{
    struct search *s = context;
    if (len < 8 || len > 250 || memcmp(name + len - 8, "data.pkl", 8)) return 0;
    memcpy(s->prefix, name, len - 8);
    s->prefix[len - 8] = 0;
    s->found = member;
    return 1;
}

static int is_named(void *context, const char *name, size_t len, struct member member)
{
    struct search *s = context;
    if (strlen(s->name) != len || memcmp(name, s->name, len)) return 0;
    s->found = member;
    return 1;
}

/* --- values --- */

static struct value *new_value(struct machine *m, enum kind kind)
{
    struct value *v = memset(arena_take(&m->arena, 1, sizeof *v), 0, sizeof *v);
    v->kind = kind;
    return v;
}

static void add(struct machine *m, struct value *list, struct value *item)
{
    if (list->count == list->cap) {
        int64_t cap = 2 * list->cap + 4;
        struct value **items = arena_take(&m->arena, (size_t)cap, sizeof *items);
        if (list->count) memcpy(items, list->items, (size_t)list->count * sizeof *items);
        list->items = items;
        list->cap = cap;
    }
    list->items[list->count++] = item;
}

static void push(struct machine *m, struct value *v)
{
    if (m->depth == m->depth_cap)
        m->stack = mem_realloc(m->stack, (size_t)(m->depth_cap = 2 * m->depth_cap + 64), sizeof *m->stack);
    m->stack[m->depth++] = v;
}

static struct value *pop(struct machine *m)
{
    if (!m->depth || m->stack[m->depth - 1]->kind == MARK) {
        refuse(m, "nothing to take from the stack");
        return NULL;
    }
    return m->stack[--m->depth];
}

/* Everything above the last mark, as a list. */
static struct value *pop_marked(struct machine *m)
{
    int64_t mark = m->depth;
    while (mark && m->stack[mark - 1]->kind != MARK) mark--;
    if (!mark) {
        refuse(m, "no mark on the stack");
        return NULL;
    }
    struct value *list = new_value(m, LIST);
    for (int64_t i = mark; i < m->depth; i++) add(m, list, m->stack[i]);
    m->depth = mark - 1;
    return list;
}

static int take(struct machine *m, size_t count, const unsigned char **bytes)
{
    if (count > m->len - m->at) return refuse(m, "cut short");
    *bytes = m->code + m->at;
    m->at += count;
    return 0;
}

static int push_text(struct machine *m, int width, enum kind kind)
{
    const unsigned char *bytes;
    if (take(m, (size_t)width, &bytes) < 0) return -1;
    uint64_t len = get(bytes, width);
    if (len > m->len || take(m, len, &bytes) < 0) return refuse(m, "cut short");
    struct value *v = new_value(m, kind);
    char *text = arena_take(&m->arena, len + 1, 1);
    memcpy(text, bytes, len);
    text[len] = 0;
    v->text = text;
    push(m, v);
    return 0;
}

static int push_number(struct machine *m, int width)
{
    const unsigned char *bytes;
    if (take(m, (size_t)width, &bytes) < 0) return -1;
    struct value *v = new_value(m, NUMBER);
    uint64_t raw = get(bytes, width > 8 ? 8 : width);
    v->number = width == 4 ? (int32_t)raw : (int64_t)raw;
    push(m, v);
    return 0;
}

/* Signed little-endian of up to 8 bytes; longer ones are kept as 0 (no size is that large). */
static int push_long(struct machine *m)
{
    const unsigned char *n, *bytes;
    if (take(m, 1, &n) < 0 || take(m, *n, &bytes) < 0) return -1;
    struct value *v = new_value(m, NUMBER);
    int width = *n;
    if (width > 0 && width <= 8) {
        uint64_t raw = get(bytes, width);
        if (width < 8 && raw >> (8 * width - 1)) raw |= ~0ULL << (8 * width);
        v->number = (int64_t)raw;
    }
    push(m, v);
    return 0;
}

static int push_global(struct machine *m)
{
    struct value *v = new_value(m, NAME);
    const unsigned char *start = m->code + m->at, *first = memchr(start, '\n', m->len - m->at);
    const unsigned char *second = first ? memchr(first + 1, '\n', m->len - (size_t)(first + 1 - m->code)) : NULL;
    if (!second) return refuse(m, "cut short");
    size_t len = (size_t)(second - start);
    char *text = arena_take(&m->arena, len + 1, 1);
    memcpy(text, start, len);
    text[first - start] = ' ';
    text[len] = 0;
    v->text = text;
    m->at += len + 1;
    push(m, v);
    return 0;
}

static int memoize(struct machine *m, int64_t index)
{
    if (!m->depth || index > 1 << 24) return refuse(m, "nothing to remember");
    while (index >= m->memo_cap) {
        int64_t cap = 2 * m->memo_cap + 64;
        m->memo = mem_realloc(m->memo, (size_t)cap, sizeof *m->memo);
        for (int64_t i = m->memo_cap; i < cap; i++) m->memo[i] = NULL;
        m->memo_cap = cap;
    }
    m->memo[index] = m->stack[m->depth - 1];
    return 0;
}

static int recall(struct machine *m, int width)
{
    const unsigned char *bytes;
    if (take(m, (size_t)width, &bytes) < 0) return -1;
    int64_t index = (int64_t)get(bytes, width);
    if (index >= m->memo_cap || !m->memo[index]) return refuse(m, "recalls what was never remembered");
    push(m, m->memo[index]);
    return 0;
}

/* --- tensors --- */

static const struct {
    const char *name;
    enum safetensors_dtype dtype;
    int size;
} storages[] = {{"torch FloatStorage", ST_F32, 4},     {"torch HalfStorage", ST_F16, 2},
                {"torch BFloat16Storage", ST_BF16, 2}, {"torch DoubleStorage", ST_F64, 8},
                {"torch LongStorage", ST_I64, 8},      {"torch IntStorage", ST_OTHER, 4},
                {"torch ShortStorage", ST_OTHER, 2},   {"torch CharStorage", ST_OTHER, 1},
                {"torch ByteStorage", ST_OTHER, 1},    {"torch BoolStorage", ST_OTHER, 1}};

static int element_size(enum safetensors_dtype dtype)
{
    for (size_t i = 0; i < sizeof storages / sizeof *storages; i++)
        if (storages[i].dtype == dtype && dtype != ST_OTHER) return storages[i].size;
    return 0;
}

/* ("storage", type, key, device, elements) -> where its bytes are. */
static int push_storage(struct machine *m)
{
    struct value *id = pop(m), *v = new_value(m, STORAGE);
    if (!id) return -1;
    if (id->kind != LIST || id->count < 5 || id->items[1]->kind != NAME || id->items[2]->kind != TEXT ||
        id->items[4]->kind != NUMBER)
        return refuse(m, "a storage of unknown form");
    int size = 0;
    for (size_t i = 0; i < sizeof storages / sizeof *storages; i++)
        if (!strcmp(id->items[1]->text, storages[i].name)) v->dtype = storages[i].dtype, size = storages[i].size;
    if (!size)
        return error_set(m->error, ERROR_FAILED, "%s: storage of unknown type %.100s", m->path, id->items[1]->text);
    struct str name = {0};
    str_printf(&name, "%sdata/%s", m->prefix, id->items[2]->text);
    struct search s = {.name = name.data};
    int rc = each_member(m, is_named, &s);
    v->elements = id->items[4]->number;
    v->bytes = s.found.bytes;
    if (rc != 1 || v->elements < 0 || (uint64_t)v->elements > s.found.len / (uint64_t)size)
        rc = error_set(m->error, ERROR_FAILED, "%s: %s is missing or too short", m->path, name.data);
    str_free(&name);
    push(m, v);
    return rc < 0 ? -1 : 0;
}

/* _rebuild_tensor_v2(storage, offset, shape, strides, ...) */
static struct value *rebuild(struct machine *m, const struct value *a)
{
    if (a->count < 4 || a->items[0]->kind != STORAGE || a->items[1]->kind != NUMBER || a->items[2]->kind != LIST ||
        a->items[3]->kind != LIST || a->items[2]->count > 8 || a->items[3]->count != a->items[2]->count) {
        refuse(m, "a tensor of unknown form");
        return NULL;
    }
    struct value *v = new_value(m, TENSOR);
    const struct value *storage = a->items[0], *shape = a->items[2], *strides = a->items[3];
    int64_t elements = 1;
    v->ndim = (int)shape->count;
    v->dtype = storage->dtype;
    for (int i = v->ndim - 1; i >= 0; i--) {
        int64_t n = shape->items[i]->number;
        if (n < 0 || __builtin_mul_overflow(elements, n > 1 ? n : 1, &elements) ||
            (n > 1 && strides->items[i]->number != elements / n)) {
            refuse(m, "a tensor that is not contiguous; save tensor.contiguous()");
            return NULL;
        }
        v->shape[i] = n;
        if (n == 0) elements = 0;
    }
    int64_t offset = a->items[1]->number;
    if (offset < 0 || offset > storage->elements || elements > storage->elements - offset) {
        refuse(m, "a tensor outside its storage");
        return NULL;
    }
    v->number = elements;
    v->bytes = storage->bytes + offset * element_size(v->dtype);
    return v;
}

/* Call what is on the stack below its arguments, if it is one of the few that may be called. */
static int reduce(struct machine *m)
{
    struct value *arguments = pop(m), *name = pop(m), *result = NULL;
    if (!arguments || !name) return -1;
    if (name->kind != NAME || arguments->kind != LIST) return refuse(m, "a call of something that has no name");
    if (!strcmp(name->text, "collections OrderedDict"))
        result = new_value(m, DICT);
    else if (!strcmp(name->text, "torch._utils _rebuild_tensor_v2"))
        result = rebuild(m, arguments);
    else if (!strcmp(name->text, "torch._utils _rebuild_parameter") && arguments->count &&
             arguments->items[0]->kind == TENSOR)
        result = arguments->items[0];
    else
        return error_set(
            m->error, ERROR_FAILED,
            "%s: wants to call \"%.100s\", which is refused; save a dictionary of tensors, or use safetensors", m->path,
            name->text);
    if (!result) return -1;
    push(m, result);
    return 0;
}

/* --- the machine --- */

static int set_items(struct machine *m, struct value *items, enum kind kind)
{
    if (!items || !m->depth || m->stack[m->depth - 1]->kind != kind || (kind == DICT && items->count % 2))
        return refuse(m, "items for nothing that takes them");
    for (int64_t i = 0; i < items->count; i++) add(m, m->stack[m->depth - 1], items->items[i]);
    return 0;
}

static int push_tuple(struct machine *m, int count)
{
    struct value *list = new_value(m, LIST), *items[3];
    for (int i = count - 1; i >= 0; i--)
        if (!(items[i] = pop(m))) return -1;
    for (int i = 0; i < count; i++) add(m, list, items[i]);
    push(m, list);
    return 0;
}

static int single(struct machine *m, enum kind kind)
{
    struct value *items = new_value(m, LIST), *second = pop(m), *first = kind == DICT ? pop(m) : NULL;
    if (!second || (kind == DICT && !first)) return -1;
    if (first) add(m, items, first);
    add(m, items, second);
    return set_items(m, items, kind);
}

static int stack_global(struct machine *m)
{
    struct value *name = pop(m), *module = pop(m), *v = new_value(m, NAME);
    if (!name || !module || name->kind != TEXT || module->kind != TEXT) return refuse(m, "a name that is no text");
    size_t len = strlen(module->text) + strlen(name->text) + 2;
    char *text = arena_take(&m->arena, len, 1);
    strcpy(text, module->text);
    strcat(text, " ");
    strcat(text, name->text);
    v->text = text;
    push(m, v);
    return 0;
}

static int put(struct machine *m, int width)
{
    const unsigned char *bytes;
    return take(m, (size_t)width, &bytes) < 0 ? -1 : memoize(m, (int64_t)get(bytes, width));
}

static int skip(struct machine *m, size_t count)
{
    const unsigned char *bytes;
    return take(m, count, &bytes);
}

static int push_marked(struct machine *m)
{
    struct value *list = pop_marked(m);
    if (list) push(m, list);
    return list ? 0 : -1;
}

/* State set on an object: OrderedDict may carry attributes (version notes), which are dropped. */
static int build(struct machine *m)
{
    struct value *state = pop(m);
    return state && m->depth && m->stack[m->depth - 1]->kind == DICT ? 0
                                                                     : refuse(m, "state for an object that has none");
}

static int step(struct machine *m, unsigned char op, int64_t *memoized)
{
    switch (op) {
    case 0x80: return skip(m, 1); /* PROTO */
    case 0x95: return skip(m, 8); /* FRAME */
    case '(': push(m, new_value(m, MARK)); return 0;
    case 'N':
    case 0x88:
    case 0x89: push(m, new_value(m, NONE)); return 0; /* NONE, NEWTRUE, NEWFALSE */
    case '}': push(m, new_value(m, DICT)); return 0;
    case ']':
    case ')': push(m, new_value(m, LIST)); return 0;
    case 'J': return push_number(m, 4);
    case 'K': return push_number(m, 1);
    case 'M': return push_number(m, 2);
    case 'G': return push_number(m, 8); /* BINFLOAT: its value is not needed */
    case 0x8a: return push_long(m);
    case 'X': return push_text(m, 4, TEXT);
    case 0x8c: return push_text(m, 1, TEXT);
    case 'U': return push_text(m, 1, TEXT);
    case 'c': return push_global(m);
    case 0x93: return stack_global(m);
    case 'q': return put(m, 1);
    case 'r': return put(m, 4);
    case 0x94: return memoize(m, (*memoized)++);
    case 'h': return recall(m, 1);
    case 'j': return recall(m, 4);
    case 't': return push_marked(m);
    case 'l': return push_marked(m);
    case 0x85:
    case 0x86:
    case 0x87: return push_tuple(m, op - 0x84);
    case 's': return single(m, DICT);
    case 'u': return set_items(m, pop_marked(m), DICT);
    case 'a': return single(m, LIST);
    case 'e': return set_items(m, pop_marked(m), LIST);
    case 'Q': return push_storage(m);
    case 'R': return reduce(m);
    case 'b': return build(m);
    default: return refuse(m, "an instruction that is not needed for tensors");
    }
}

static const struct value *run(struct machine *m)
{
    int64_t memoized = 0;
    const unsigned char *op;
    while (take(m, 1, &op) == 0) {
        if (*op == '.') return m->depth == 1 ? m->stack[0] : NULL;
        if (step(m, *op, &memoized) < 0) return NULL;
    }
    return NULL;
}

/* The dictionary of tensors, maybe inside another. */
static const struct value *find_tensors(const struct value *top)
{
    static const char *const wrappers[] = {"state_dict", "model", "weights"};
    for (int64_t i = 0; i + 1 < top->count; i += 2)
        for (size_t w = 0; w < sizeof wrappers / sizeof *wrappers; w++)
            if (top->items[i]->kind == TEXT && !strcmp(top->items[i]->text, wrappers[w]) &&
                top->items[i + 1]->kind == DICT)
                return top->items[i + 1];
    return top;
}

static int list_tensors(struct machine *m, const struct value *dict, struct safetensors *out)
{
    out->entries = mem_zalloc((size_t)dict->count + 1, sizeof *out->entries);
    out->header = json_object();
    for (int64_t i = 0; i + 1 < dict->count; i += 2) {
        const struct value *key = dict->items[i], *v = dict->items[i + 1];
        if (key->kind != TEXT || v->kind != TENSOR) continue;
        if (json_object_get(out->header, key->text) || json_object_set_new(out->header, key->text, json_null()) < 0)
            return error_set(m->error, ERROR_FAILED, "%s: tensor %.200s is there twice, or its name is not UTF-8",
                             m->path, key->text);
        struct safetensors_entry *e = &out->entries[out->count++];
        *e = (struct safetensors_entry){.dtype = v->dtype, .ndim = v->ndim, .count = v->number, .bytes = v->bytes};
        e->name = json_object_iter_key(json_object_iter_at(out->header, key->text));
        for (int d = 0; d < v->ndim; d++) e->shape[d] = v->shape[d];
    }
    return out->count ? 0 : error_set(m->error, ERROR_FAILED, "%s: holds no tensors by name", m->path);
}

/* Address space for the values of a pickle; memory comes as it is touched. */
static const size_t VALUES_MOST = (size_t)1 << 34;

int pytorch_parse(struct safetensors *file, const char *path, const unsigned char *bytes, size_t len,
                  struct error *error)
{
    struct machine m = {.path = path, .file = bytes, .file_len = len, .error = error};
    struct search s = {.prefix = m.prefix};
    struct safetensors out = {0};
    if (each_member(&m, is_pickle, &s) != 1)
        return error_set(error, ERROR_FAILED,
                         "%s: not a file of torch.save (a zip archive with a data.pkl), or cut short", path);
    m.code = s.found.bytes;
    m.len = s.found.len;
    arena_open(&m.arena, VALUES_MOST);
    const struct value *top = run(&m);
    int rc =
        top && top->kind == DICT ? list_tensors(&m, find_tensors(top), &out) : refuse(&m, "no dictionary of tensors");
    arena_close(&m.arena);
    free(m.stack);
    free(m.memo);
    if (rc < 0) {
        safetensors_close(&out);
        return -1;
    }
    out.path = mem_strdup(path);
    *file = out;
    return 0;
}

int pytorch_open(struct safetensors *file, const char *path, struct error *error)
{
    struct fs_map map;
    if (fs_map(path, &map, error) < 0) return -1;
    if (pytorch_parse(file, path, map.bytes, map.len, error) < 0) {
        fs_unmap(&map);
        return -1;
    }
    file->map = map;
    return 0;
}
