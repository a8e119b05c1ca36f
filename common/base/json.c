/* Reading and writing JSON files. */
#include "base/json.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/str.h"

json_t *json_read(const char *path, struct error *error)
{
    char *bytes;
    size_t len;
    if (fs_read(path, &bytes, &len, error) < 0) return NULL;
    json_error_t cause;
    json_t *value = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &cause);
    free(bytes);
    if (!value) error_set(error, ERROR_FAILED, "%s:%d:%d: %s", path, cause.line, cause.column, cause.text);
    return value;
}

json_t *json_text(const char *text)
{
    json_t *value = json_string(text);
    if (value) return value;
    struct str escaped = {0};
    for (; *text; text++)
        if ((unsigned char)*text < 128)
            str_putc(&escaped, *text);
        else
            str_printf(&escaped, "\\x%02x", (unsigned char)*text);
    value = json_string(escaped.data);
    str_free(&escaped);
    return value;
}

char *json_line(const json_t *value)
{
    char *text = NULL;
    for (size_t digits = 15; digits <= 17; digits++) {
        free(text);
        text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(digits));
        if (!json_is_real(value) || !text || strtod(text, NULL) == json_real_value(value)) break;
    }
    return text ? text : mem_strdup("null");
}

static void put_leaf(struct str *out, const json_t *value)
{
    char *text = json_line(value);
    str_puts(out, text);
    free(text);
}

static void put_line(struct str *out, int depth)
{
    str_printf(out, "\n%*s", 2 * depth, "");
}

static void put_value(struct str *out, const json_t *value, int depth)
{
    const char *key;
    json_t *member;
    size_t n = 0, i;
    if (json_object_size(value)) {
        json_object_foreach ((json_t *)(uintptr_t)value, key, member) {
            json_t *name = json_string(key);
            str_putc(out, n++ ? ',' : '{');
            put_line(out, depth + 1);
            put_leaf(out, name);
            str_puts(out, ": ");
            put_value(out, member, depth + 1);
            json_decref(name);
        }
        put_line(out, depth);
        str_putc(out, '}');
    } else if (json_array_size(value)) {
        json_array_foreach (value, i, member) {
            str_putc(out, i ? ',' : '[');
            put_line(out, depth + 1);
            put_value(out, member, depth + 1);
        }
        put_line(out, depth);
        str_putc(out, ']');
    } else
        put_leaf(out, value);
}

int json_write(const char *path, const json_t *value, struct error *error)
{
    struct str out = {0};
    put_value(&out, value, 0);
    str_putc(&out, '\n');
    int rc = fs_write(path, out.data, out.len, error);
    str_free(&out);
    return rc;
}

json_t *json_checksum(uint64_t sum)
{
    char hex[20];
    snprintf(hex, sizeof hex, "%016" PRIx64, sum);
    return json_string(hex);
}
