/* Reading and writing JSON files. */
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
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

int json_write(const char *path, const json_t *value, struct error *error)
{
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    if (!text) return error_set(error, ERROR_FAILED, "%s: value cannot be written as JSON", path);
    struct str out = {0};
    str_printf(&out, "%s\n", text);
    free(text);
    int rc = fs_write(path, out.data, out.len, error);
    str_free(&out);
    return rc;
}
