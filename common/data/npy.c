/* Header and elements of .npy files. */
#include "data/npy.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/str.h"

static int damaged(const char *name, struct error *error)
{
    return error_set(error, ERROR_FAILED, "%s: not a .npy file, or damaged", name);
}

/* --- the header --- */

/* What follows 'key': in the header, NULL when it is not there. */
static const char *value_of(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    if (!at) return NULL;
    at += strlen(key);
    at += strspn(at, " ");
    if (*at++ != ':') return NULL;
    return at + strspn(at, " ");
}

static int parse_type(struct npy *npy, const char *name, const char *at, struct error *error)
{
    static const struct {
        const char *text;
        bool real;
        int bytes;
    } types[] = {{"'<f4'", true, 4}, {"'<f8'", true, 8}, {"'<i4'", false, 4}, {"'<i8'", false, 8}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strncmp(at, types[i].text, strlen(types[i].text))) {
            npy->real = types[i].real;
            npy->bytes = types[i].bytes;
            return 0;
        }
    return error_set(error, ERROR_FAILED,
                     "%s: an array of %.*s: save it as float32, float64, int32 or int64 (array.astype)", name,
                     (int)strcspn(at, ","), at);
}

/* (), (3,), (3, 4), (3, 4, ) */
static int parse_shape(struct npy *npy, const char *name, const char *at, struct error *error)
{
    if (*at++ != '(') return damaged(name, error);
    npy->count = 1;
    for (at += strspn(at, " "); *at != ')'; at += strspn(at, " ")) {
        char *end;
        if (!isdigit((unsigned char)*at)) return damaged(name, error);
        int64_t size = strtoll(at, &end, 10);
        if (npy->dims == NPY_DIMS || __builtin_mul_overflow(npy->count, size, &npy->count))
            return error_set(error, ERROR_FAILED, "%s: its shape is too large", name);
        npy->shape[npy->dims++] = size;
        at = end + strspn(end, " ");
        if (*at == ',')
            at++;
        else if (*at != ')')
            return damaged(name, error);
    }
    return 0;
}

static int parse_header(struct npy *npy, const char *name, const char *header, struct error *error)
{
    const char *type = value_of(header, "'descr'"), *order = value_of(header, "'fortran_order'"),
               *shape = value_of(header, "'shape'");
    if (!type || !order || !shape) return damaged(name, error);
    if (parse_type(npy, name, type, error) < 0 || parse_shape(npy, name, shape, error) < 0) return -1;
    if (strncmp(order, "False", 5) && npy->dims > 1)
        return error_set(error, ERROR_FAILED, "%s: in Fortran order: save it in C order (numpy.ascontiguousarray)",
                         name);
    return 0;
}

int npy_parse(struct npy *npy, const char *name, const unsigned char *b, size_t len, struct error *error)
{
    if (len < 12 || memcmp(b, "\x93NUMPY", 6) || b[6] < 1 || b[6] > 3) return damaged(name, error);
    size_t before = b[6] == 1 ? 10 : 12, size = (size_t)b[8] | (size_t)b[9] << 8;
    if (b[6] > 1) size |= (size_t)b[10] << 16 | (size_t)b[11] << 24;
    if (size > len - before) return damaged(name, error);
    char *header = mem_zalloc(size + 1, 1);
    memcpy(header, b + before, size);
    int rc = parse_header(npy, name, header, error);
    free(header);
    if (rc < 0) return -1;
    size_t there = len - before - size, bytes;
    if (__builtin_mul_overflow((size_t)npy->count, (size_t)npy->bytes, &bytes) || bytes != there)
        return error_set(error, ERROR_FAILED, "%s: %zu bytes of data, its shape says %ld elements of %d: copy it anew",
                         name, there, (long)npy->count, npy->bytes);
    npy->data = b + before + size;
    return 0;
}

int npy_open(struct npy *npy, const char *path, struct error *error)
{
    *npy = (struct npy){0};
    if (fs_map(path, &npy->map, error) < 0) return -1;
    return npy_parse(npy, path, npy->map.bytes, npy->map.len, error);
}

void npy_close(struct npy *npy)
{
    fs_unmap(&npy->map);
    *npy = (struct npy){0};
}

/* --- elements --- */

static int64_t integer_at(const struct npy *npy, int64_t i)
{
    int32_t narrow;
    int64_t wide;
    if (npy->bytes == 8) return memcpy(&wide, npy->data + 8 * i, 8), wide;
    return memcpy(&narrow, npy->data + 4 * i, 4), narrow;
}

static double real_at(const struct npy *npy, int64_t i)
{
    float narrow;
    double wide;
    if (npy->bytes == 8) return memcpy(&wide, npy->data + 8 * i, 8), wide;
    return memcpy(&narrow, npy->data + 4 * i, 4), (double)narrow;
}

void npy_reals(const struct npy *npy, int64_t first, int64_t count, double *out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = npy->real ? real_at(npy, first + i) : (double)integer_at(npy, first + i);
}

void npy_integers(const struct npy *npy, int64_t first, int64_t count, int64_t *out)
{
    CHECK(!npy->real, "%ld real numbers are wanted as whole ones", (long)npy->count);
    for (int64_t i = 0; i < count; i++) out[i] = integer_at(npy, first + i);
}

/* --- writing --- */

int npy_write(const char *path, const float *data, int64_t rows, int64_t cols, struct error *error)
{
    struct str file = {0}, header = {0};
    str_printf(&header, "{'descr': '<f4', 'fortran_order': False, 'shape': (%ld, %ld), }", (long)rows, (long)cols);
    while ((10 + header.len + 1) % 64) str_putc(&header, ' ');
    str_putc(&header, '\n');
    str_append(&file, "\x93NUMPY\x01\x00", 8);
    str_putc(&file, (char)(header.len & 255));
    str_putc(&file, (char)(header.len >> 8));
    str_append(&file, header.data, header.len);
    str_append(&file, data, (size_t)(rows * cols) * sizeof *data);
    int rc = fs_write(path, file.data, file.len, error);
    str_free(&file);
    str_free(&header);
    return rc;
}
