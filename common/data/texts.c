/* Lines to texts. */
#include "data/texts.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/utf8.h"

int texts_read(const char *path, bool skip_empty, char ***texts, int64_t *count, struct error *error)
{
    char *text, **out = NULL;
    size_t len;
    int64_t n = 0, room = 0;
    if (fs_read(path, &text, &len, error) < 0) return -1;
    for (size_t at = utf8_mark(text, len); at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t size = end ? (size_t)(end - text) - at : len - at, next = at + size + 1;
        if (size && text[at + size - 1] == '\r') size--;
        if (size || !skip_empty) {
            if (n == room) out = mem_realloc(out, (size_t)(room = 2 * room + 1024), sizeof *out);
            out[n] = mem_zalloc(size + 1, 1);
            memcpy(out[n++], text + at, size);
        }
        at = next;
    }
    free(text);
    if (!n) {
        free(out);
        return error_set(error, ERROR_FAILED, "%s: no lines", path);
    }
    *texts = out;
    *count = n;
    return 0;
}

void texts_free(char **texts, int64_t count)
{
    for (int64_t i = 0; i < count; i++) free(texts[i]);
    free(texts);
}

bool texts_same(char *const *a, int64_t a_count, char *const *b, int64_t b_count)
{
    bool same = a_count == b_count;
    for (int64_t i = 0; same && i < a_count; i++) same = !strcmp(a[i], b[i]);
    return same;
}

char **texts_copy(char *const *texts, int64_t count)
{
    char **out = mem_alloc((size_t)count + 1, sizeof *out);
    for (int64_t i = 0; i < count; i++) out[i] = mem_strdup(texts[i]);
    return out;
}
