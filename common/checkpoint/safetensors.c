/* Reader and writer of safetensors files. */
#include "checkpoint/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/str.h"

static const struct {
    const char *name;
    enum safetensors_dtype dtype;
    int size;
} dtypes[] = {{"F32", ST_F32, 4},  {"F16", ST_F16, 2},    {"BF16", ST_BF16, 2}, {"F64", ST_F64, 8},
              {"I64", ST_I64, 8},  {"I32", ST_OTHER, 4},  {"I16", ST_OTHER, 2}, {"I8", ST_OTHER, 1},
              {"U8", ST_OTHER, 1}, {"BOOL", ST_OTHER, 1}, {"U32", ST_OTHER, 4}, {"U64", ST_OTHER, 8},
              {"U16", ST_OTHER, 2}};

static int parse_entry(struct safetensors_entry *e, const char *path, const char *name, const json_t *o,
                       const unsigned char *data, size_t room, struct error *error)
{
    const char *dtype = json_string_value(json_object_get(o, "dtype"));
    const json_t *shape = json_object_get(o, "shape"), *offsets = json_object_get(o, "data_offsets");
    if (!dtype || !json_is_array(shape) || json_array_size(offsets) != 2)
        return error_set(error, ERROR_FAILED, "%s: tensor %.200s has no dtype, shape or data_offsets", path, name);
    int size = 0;
    *e = (struct safetensors_entry){.name = name, .count = 1};
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (!strcmp(dtype, dtypes[i].name)) e->dtype = dtypes[i].dtype, size = dtypes[i].size;
    if (!size) return error_set(error, ERROR_FAILED, "%s: tensor %.200s has unknown dtype %.20s", path, name, dtype);
    if (json_array_size(shape) > 8)
        return error_set(error, ERROR_FAILED, "%s: tensor %.200s has over 8 dimensions", path, name);
    for (size_t i = 0; i < json_array_size(shape); i++) {
        const json_t *n = json_array_get(shape, i);
        int64_t dim = json_integer_value(n);
        if (!json_is_integer(n) || dim < 0 || __builtin_mul_overflow(e->count, dim, &e->count) ||
            e->count > (int64_t)1 << 48)
            return error_set(error, ERROR_FAILED, "%s: tensor %.200s has a bad shape", path, name);
        e->shape[e->ndim++] = dim;
    }
    const json_t *a = json_array_get(offsets, 0), *b = json_array_get(offsets, 1);
    int64_t from = json_integer_value(a), to = json_integer_value(b);
    if (!json_is_integer(a) || !json_is_integer(b) || from < 0 || to < from || (uint64_t)to > room ||
        to - from != e->count * size)
        return error_set(error, ERROR_FAILED, "%s: tensor %.200s lies outside the file or does not fit its shape", path,
                         name);
    e->bytes = data + from;
    return 0;
}

int safetensors_parse(struct safetensors *file, const char *path, const unsigned char *bytes, size_t len,
                      struct error *error)
{
    struct safetensors out = {0};
    uint64_t header = 0;
    if (len < 8) return error_set(error, ERROR_FAILED, "%s: %zu bytes are no safetensors file", path, len);
    for (int i = 7; i >= 0; i--) header = header << 8 | bytes[i];
    if (header > len - 8 || header > 100 << 20)
        return error_set(error, ERROR_FAILED, "%s: no safetensors file, or cut short (header of %llu bytes in %zu)",
                         path, (unsigned long long)header, len);
    json_error_t cause;
    out.header = json_loadb((const char *)bytes + 8, header, JSON_REJECT_DUPLICATES, &cause);
    if (!json_is_object(out.header)) {
        json_decref(out.header);
        return error_set(error, ERROR_FAILED, "%s: header is not JSON: %s", path,
                         out.header ? "not an object" : cause.text);
    }
    out.entries = mem_zalloc(json_object_size(out.header), sizeof *out.entries);
    out.path = mem_strdup(path);
    const char *name;
    json_t *value;
    json_object_foreach (out.header, name, value) {
        if (!strcmp(name, "__metadata__")) continue;
        if (parse_entry(&out.entries[out.count], path, name, value, bytes + 8 + header, len - 8 - header, error) < 0) {
            safetensors_close(&out);
            return -1;
        }
        out.count++;
    }
    *file = out;
    return 0;
}

int safetensors_open(struct safetensors *file, const char *path, struct error *error)
{
    struct fs_map map;
    if (fs_map(path, &map, error) < 0) return -1;
    if (safetensors_parse(file, path, map.bytes, map.len, error) < 0) {
        fs_unmap(&map);
        return -1;
    }
    file->map = map;
    return 0;
}

void safetensors_close(struct safetensors *file)
{
    json_decref(file->header);
    free(file->entries);
    free(file->path);
    fs_unmap(&file->map);
    for (int64_t i = 0; i < file->more_count; i++) fs_unmap(&file->more[i]);
    free(file->more);
    *file = (struct safetensors){0};
}

const struct safetensors_entry *safetensors_find(const struct safetensors *file, const char *name)
{
    for (int64_t i = 0; i < file->count; i++)
        if (!strcmp(file->entries[i].name, name)) return &file->entries[i];
    return NULL;
}

const char *safetensors_metadata(const struct safetensors *file, const char *key)
{
    return json_string_value(json_object_get(json_object_get(file->header, "__metadata__"), key));
}

static float from_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, mantissa = half & 1023, bits;
    if (exponent == 31)
        bits = sign | 0x7f800000 | mantissa << 13;
    else if (exponent)
        bits = sign | (exponent + 112) << 23 | mantissa << 13;
    else {
        float value = (float)mantissa * 0x1p-24f;
        return sign ? -value : value;
    }
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

int safetensors_read(const struct safetensors *file, const struct safetensors_entry *e, int64_t from, int64_t count,
                     float *out, struct error *error)
{
    CHECK(from >= 0 && count >= 0 && from + count <= e->count, "%s: elements %ld + %ld of %ld", e->name, (long)from,
          (long)count, (long)e->count);
    for (int64_t i = 0; i < count; i++) {
        uint16_t half;
        uint32_t bits;
        double wide;
        switch (e->dtype) {
        case ST_F32: memcpy(out, e->bytes + 4 * from, 4 * (size_t)count); return 0;
        case ST_F16:
            memcpy(&half, e->bytes + 2 * (from + i), 2);
            out[i] = from_half(half);
            break;
        case ST_BF16:
            memcpy(&half, e->bytes + 2 * (from + i), 2);
            bits = (uint32_t)half << 16;
            memcpy(out + i, &bits, 4);
            break;
        case ST_F64:
            memcpy(&wide, e->bytes + 8 * (from + i), 8);
            out[i] = (float)wide;
            break;
        default: return error_set(error, ERROR_FAILED, "%s: tensor %s is not of a floating type", file->path, e->name);
        }
    }
    return 0;
}

void safetensors_declare(struct safetensors_writer *w, const char *name, int ndim, const int64_t *shape)
{
    if (!w->header) w->header = json_object();
    int64_t count = 1;
    json_t *dims = json_array();
    for (int i = 0; i < ndim; i++) {
        count *= shape[i];
        json_array_append_new(dims, json_integer(shape[i]));
    }
    int64_t end = w->bytes + 4 * count;
    json_object_set_new(w->header, name,
                        json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape", dims, "data_offsets",
                                  (json_int_t)w->bytes, (json_int_t)end));
    w->bytes = end;
}

static int put(struct safetensors_writer *w, const void *bytes, size_t len, struct error *error)
{
    const char *at = bytes;
    XXH3_64bits_update(w->hash, bytes, len);
    while (len) {
        ssize_t wrote = write(w->fd, at, len > (size_t)1 << 30 ? (size_t)1 << 30 : len);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0)
            return error_set(error, ERROR_FAILED, "%s: cannot write: %s", w->aside,
                             strerror(wrote < 0 ? errno : ENOSPC));
        at += wrote;
        len -= (size_t)wrote;
    }
    return 0;
}

int safetensors_begin(struct safetensors_writer *w, const char *path, json_t *metadata, struct error *error)
{
    if (!w->header) w->header = json_object();
    if (metadata) json_object_set(w->header, "__metadata__", metadata);
    struct str aside = {0}, text = {0};
    str_printf(&aside, "%s.tmp", path);
    w->path = mem_strdup(path);
    w->aside = str_steal(&aside);
    w->hash = XXH3_createState();
    XXH3_64bits_reset(w->hash);
    w->fd = open(w->aside, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (w->fd < 0) return error_set(error, ERROR_FAILED, "%s: cannot write: %s", w->aside, strerror(errno));
    char *dump = json_dumps(w->header, JSON_COMPACT);
    str_puts(&text, dump);
    free(dump);
    while (text.len % 8) str_putc(&text, ' ');
    unsigned char size[8];
    for (int i = 0; i < 8; i++) size[i] = (unsigned char)(text.len >> 8 * i);
    int rc = put(w, size, 8, error);
    if (rc == 0) rc = put(w, text.data, text.len, error);
    str_free(&text);
    return rc;
}

int safetensors_append(struct safetensors_writer *w, const float *data, int64_t count, struct error *error)
{
    w->written += 4 * count;
    CHECK(w->written <= w->bytes, "%s: %ld bytes of %ld declared", w->path, (long)w->written, (long)w->bytes);
    return put(w, data, 4 * (size_t)count, error);
}

void safetensors_abandon(struct safetensors_writer *w)
{
    if (w->aside && w->fd >= 0) {
        close(w->fd);
        unlink(w->aside);
    }
    XXH3_freeState(w->hash);
    json_decref(w->header);
    free(w->path);
    free(w->aside);
    *w = (struct safetensors_writer){.fd = -1};
}

int safetensors_finish(struct safetensors_writer *w, uint64_t *checksum, struct error *error)
{
    CHECK(w->written == w->bytes, "%s: %ld bytes written of %ld declared", w->path, (long)w->written, (long)w->bytes);
    int rc = 0;
    if (fsync(w->fd) < 0) rc = error_set(error, ERROR_FAILED, "%s: fsync: %s", w->aside, strerror(errno));
    if (rc == 0) {
        int closed = close(w->fd);
        w->fd = -1;
        if (closed < 0) rc = error_set(error, ERROR_FAILED, "%s: close: %s", w->aside, strerror(errno));
    }
    if (rc == 0) rc = fs_rename(w->aside, w->path, error);
    if (rc == 0 && checksum) *checksum = XXH3_64bits_digest(w->hash);
    safetensors_abandon(w);
    return rc;
}
