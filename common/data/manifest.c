/* Manifests: CSV (RFC 4180), TSV and JSON lines that name picture and video files.  Relative paths start at the
 * manifest's folder. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "data/video.h"
#include "data/manifest.h"
#include "data/source.h"

struct manifest {
    char *folder;
    json_t *rows; /* array of objects */
};

/* One field from *at; separators end it, quotes may enclose it.  Returns false at the end of the line. */
static bool field(const char **at, const char *end, char separator, struct str *out)
{
    const char *p = *at;
    str_clear(out);
    str_append(out, "", 0);
    if (p < end && *p == '"' && separator == ',') {
        for (p++; p < end; p++) {
            if (*p == '"' && p + 1 < end && p[1] == '"')
                p++;
            else if (*p == '"')
                break;
            str_putc(out, *p);
        }
        if (p < end) p++;
    }
    while (p < end && *p != separator && *p != '\n') {
        if (*p != '\r') str_putc(out, *p);
        p++;
    }
    bool more = p < end && *p == separator;
    *at = p < end ? p + 1 : p;
    return more;
}

json_t *manifest_parse_table(const char *text, size_t len, char separator)
{
    const char *at = text, *end = text + len;
    struct str cell = {0};
    json_t *names = json_array(), *rows = json_array();
    bool more = len > 0;
    while (more) {
        more = field(&at, end, separator, &cell);
        size_t mark = json_array_size(names) ? 0 : utf8_mark(cell.data, cell.len);
        json_array_append_new(names, json_stringn_nocheck(cell.data + mark, strlen(cell.data + mark)));
    }
    while (at < end) {
        if (*at == '\n' || (*at == '\r' && at + 1 < end && at[1] == '\n')) { /* an empty line */
            at += *at == '\r' ? 2 : 1;
            continue;
        }
        json_t *row = json_object();
        more = true;
        for (size_t i = 0; more; i++) {
            more = field(&at, end, separator, &cell);
            const char *name = json_string_value(json_array_get(names, i));
            json_t *value = json_stringn(cell.data, cell.len);
            if (!value) value = json_string(""); /* not UTF-8: reported as an empty caption or path */
            if (name)
                json_object_set_new_nocheck(row, name, value);
            else
                json_decref(value);
        }
        json_array_append_new(rows, row);
    }
    json_decref(names);
    str_free(&cell);
    return rows;
}

json_t *manifest_parse_lines(const char *text, size_t len)
{
    json_t *rows = json_array();
    for (size_t at = utf8_mark(text, len); at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t n = end ? (size_t)(end - text) - at : len - at;
        json_error_t why;
        json_t *row = json_loadb(text + at, n, 0, &why);
        if (n && !json_is_object(row)) {
            json_decref(row);
            row = json_pack("{s:s}", "@bad", row ? "line is no JSON object" : why.text);
        }
        if (row) json_array_append_new(rows, row);
        at += n + 1;
    }
    return rows;
}

static const char *first_of(const json_t *row, const char *const *keys)
{
    for (; *keys; keys++)
        if (json_is_string(json_object_get(row, *keys))) return json_string_value(json_object_get(row, *keys));
    return NULL;
}

static const char *const path_keys[] = {"filepath", "image", "video", "path", "file", "filename", "@video", NULL};
static const char *const class_keys[] = {"class", "label", "category", NULL};

/* The captions of a video set's row lie between '@'. */
static int read_sentences(struct sample *sample, const char *text, struct error *error)
{
    int rc = 0;
    for (const char *at = text, *end; rc == 0 && at; at = end ? end + 1 : NULL) {
        end = strchr(at, '@');
        rc = sample_caption(sample, at, end ? (size_t)(end - at) : strlen(at), error);
    }
    return rc;
}

static int manifest_read(const struct source *s, int64_t index, bool media, struct sample *sample, struct error *error)
{
    const struct manifest *m = s->state;
    json_t *row = json_array_get(m->rows, (size_t)index);
    const char *name = first_of(row, path_keys), *bad = json_string_value(json_object_get(row, "@bad"));
    struct str key = {0};
    str_printf(&key, "%s:%ld", name ? name : "line", (long)index + 1);
    sample->key = str_steal(&key);
    sample->video = name && video_is_name(name);
    if (bad) return error_set(error, ERROR_FAILED, "json: %s", bad);
    const char *id = json_string_value(json_object_get(row, "video_id")),
               *sentences = json_string_value(json_object_get(row, "sentence"));
    if (id && !name) return error_set(error, ERROR_FAILED, "no video %s.mp4 (or of another ending) beside", id);
    if (!name || !*name) return error_set(error, ERROR_FAILED, "no path in this row");
    json_t *number = json_object_get(row, "@label");
    if (number) sample->label = (int)json_integer_value(number);
    if (sample_metadata(sample, json_deep_copy(row), error) < 0) return -1;
    if (id && sentences && !sample->caption_count && read_sentences(sample, sentences, error) < 0) return -1;
    json_object_del(sample->metadata, "@label");
    json_object_del(sample->metadata, "@video");
    if (!media) return 0;
    char *path = *name == '/' ? mem_strdup(name) : fs_join(m->folder, name), *bytes;
    int rc = fs_read(path, &bytes, &sample->len, error);
    free(path);
    if (rc == 0) sample->media = (uint8_t *)bytes;
    return rc;
}

static uint64_t manifest_identity(const struct source *s)
{
    const struct manifest *m = s->state;
    char *text = json_dumps(m->rows, JSON_COMPACT | JSON_SORT_KEYS);
    uint64_t identity = XXH3_64bits(text, strlen(text));
    free(text);
    return identity;
}

static void manifest_close(struct source *s)
{
    struct manifest *m = s->state;
    json_decref(m->rows);
    free(m->folder);
    free(m);
}

/* Class names become labels; a column of whole numbers is taken as it is. */
static void number_classes(struct manifest *m, struct sources *all)
{
    size_t i;
    json_t *row;
    json_array_foreach (m->rows, i, row) {
        const char *name = first_of(row, class_keys);
        if (!name || !*name) continue;
        char *end;
        long number = strtol(name, &end, 10);
        int64_t label = *end || number < 0 ? sources_class(all, name) : number;
        json_object_set_new(row, "@label", json_integer(label));
    }
}

/* Where names that begin with `text` begin in a list in byte order. */
static size_t first_with(const struct fs_list *list, const char *text)
{
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(list->names[middle], text) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* video_id of rows without a path -> the file of that name beside the manifest, with a video's ending or as it is. */
static int find_videos(struct manifest *m, struct error *error)
{
    struct fs_list list = {0};
    int rc = 0;
    size_t i;
    json_t *row;
    json_array_foreach (m->rows, i, row) {
        const char *id = json_string_value(json_object_get(row, "video_id"));
        if (!id || first_of(row, path_keys)) continue;
        if (!list.names && (rc = fs_list(m->folder, &list, error)) < 0) break;
        struct str begin = {0};
        str_printf(&begin, "%s.", id);
        size_t at = first_with(&list, video_is_name(id) ? id : begin.data);
        while (at < list.count && str_starts_with(list.names[at], begin.data) && !video_is_name(list.names[at])) at++;
        if (at < list.count && (str_starts_with(list.names[at], begin.data) || !strcmp(list.names[at], id)))
            json_object_set_new(row, "@video", json_string(list.names[at]));
        str_free(&begin);
    }
    if (list.names) fs_list_free(&list);
    return rc;
}

int manifest_open(struct source *source, const char *path, struct sources *all, struct error *error)
{
    char *text;
    size_t len;
    if (fs_read(path, &text, &len, error) < 0) return -1;
    struct source s = {
        .path = mem_strdup(path), .read = manifest_read, .identity = manifest_identity, .close = manifest_close};
    struct manifest *m = s.state = mem_zalloc(1, sizeof *m);
    m->folder = mem_strdup(path);
    char *slash = strrchr(m->folder, '/');
    if (slash)
        slash[slash == m->folder] = 0;
    else
        strcpy(m->folder, ".");
    m->rows = str_ends_with(path, ".jsonl") ? manifest_parse_lines(text, len)
                                            : manifest_parse_table(text, len, str_ends_with(path, ".tsv") ? '\t' : ',');
    free(text);
    s.count = (int64_t)json_array_size(m->rows);
    int with_path = 0, rc = find_videos(m, error);
    size_t i;
    json_t *row;
    json_array_foreach (m->rows, i, row) {
        const char *name = first_of(row, path_keys);
        with_path += name || json_object_get(row, "video_id");
        s.videos += name && video_is_name(name);
    }
    if (rc == 0 && !with_path)
        rc = error_set(error, ERROR_FAILED,
                       "%s: no column named filepath, image, video, path, file, filename or video_id", path);
    if (rc < 0) {
        manifest_close(&s);
        free(s.path);
        return -1;
    }
    number_classes(m, all);
    *source = s;
    return 0;
}
