/* Folders of pictures and videos: with caption files beside them, or sorted into classes (ImageFolder). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"
#include "data/image.h"
#include "data/source.h"
#include "data/video.h"

struct files {
    char **names; /* paths of pictures and videos below the folder, in byte order */
    int *labels;  /* ImageFolder, else NULL */
};

static int by_bytes(const void *key, const void *name)
{
    return strcmp(key, *(char *const *)name);
}

/* Is there a text or JSON file of the same name beside it? */
static bool has_caption(const struct fs_list *list, const char *name)
{
    static const char *const endings[] = {".txt", ".json"};
    bool found = false;
    for (int i = 0; i < 2; i++) {
        struct str other = {0};
        str_printf(&other, "%.*s%s", (int)(strrchr(name, '.') - name), name, endings[i]);
        found |= bsearch(other.data, list->names, list->count, sizeof *list->names, by_bytes) != NULL;
        str_free(&other);
    }
    return found;
}

/* All pictures and videos below root/inner, depth first, in byte order. */
static int walk(struct source *s, struct files *f, const char *root, const char *inner, bool *captions,
                struct error *error)
{
    char *path = *inner ? fs_join(root, inner) : mem_strdup(root);
    struct fs_list list;
    int rc = fs_list(path, &list, error);
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        char *below = *inner ? fs_join(inner, list.names[i]) : mem_strdup(list.names[i]), *full = fs_join(root, below);
        bool video = video_is_name(below);
        if (fs_is_folder(full))
            rc = walk(s, f, root, below, captions, error);
        else if (image_is_name(below) || video) {
            if (!*captions) *captions = has_caption(&list, list.names[i]);
            if (s->count % 1024 == 0) f->names = mem_realloc(f->names, (size_t)s->count + 1024, sizeof *f->names);
            f->names[s->count++] = mem_strdup(below);
            s->videos += video;
        }
        free(below);
        free(full);
    }
    if (rc == 0) fs_list_free(&list);
    free(path);
    return rc;
}

static char *sidecar(const char *root, const char *name, const char *extension)
{
    char *path = fs_join(root, name), *dot = strrchr(path, '.');
    struct str out = {0};
    str_printf(&out, "%.*s%s", (int)(dot - path), path, extension);
    free(path);
    if (fs_exists(out.data)) return str_steal(&out);
    str_free(&out);
    return NULL;
}

static int read_text(struct sample *sample, const char *path, struct error *error)
{
    char *text;
    size_t len;
    if (fs_read(path, &text, &len, error) < 0) return -1;
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t n = end ? (size_t)(end - text) - at : len - at;
        rc = sample_caption(sample, text + at, n, error);
        at += n + 1;
    }
    free(text);
    return rc;
}

static int files_read(const struct source *s, int64_t index, bool media, struct sample *sample, struct error *error)
{
    const struct files *f = s->state;
    const char *name = f->names[index];
    sample->key = mem_strdup(name);
    sample->video = video_is_name(name);
    *strrchr(sample->key, '.') = 0;
    if (f->labels) sample->label = f->labels[index];
    char *text = f->labels ? NULL : sidecar(s->path, name, ".txt"),
         *json = f->labels ? NULL : sidecar(s->path, name, ".json");
    int rc = text ? read_text(sample, text, error) : 0;
    if (rc == 0 && json) {
        char *bytes;
        size_t len;
        json_error_t why;
        rc = fs_read(json, &bytes, &len, error);
        json_t *object = rc == 0 ? json_loadb(bytes, len, 0, &why) : NULL;
        if (rc == 0) free(bytes);
        if (json_is_object(object))
            rc = sample_metadata(sample, object, error);
        else if (rc == 0) {
            json_decref(object);
            rc = error_set(error, ERROR_FAILED, "json: %s", object ? "not an object" : why.text);
        }
    }
    free(text);
    free(json);
    if (rc < 0 || !media) return rc;
    char *path = fs_join(s->path, name), *bytes;
    rc = fs_read(path, &bytes, &sample->len, error);
    free(path);
    if (rc == 0) sample->media = (uint8_t *)bytes;
    return rc;
}

static void files_close(struct source *s)
{
    struct files *f = s->state;
    for (int64_t i = 0; i < s->count; i++) free(f->names[i]);
    free(f->names);
    free(f->labels);
    free(f);
}

static uint64_t files_identity(const struct source *s)
{
    const struct files *f = s->state;
    uint64_t identity = 0;
    for (int64_t i = 0; i < s->count; i++) {
        char *path = fs_join(s->path, f->names[i]);
        uint64_t item[] = {identity, (uint64_t)fs_size(path)};
        identity = XXH3_64bits_withSeed(f->names[i], strlen(f->names[i]), XXH3_64bits(item, sizeof item));
        free(path);
    }
    return identity;
}

/* --- classes --- */

struct classes {
    char **folders;        /* [count] in byte order */
    int64_t count, *order; /* [count] the folders in the order of labels */
};

/* Item i is in folder labels[i]; false: not all are in folders. */
static bool sort_into(const struct source *s, struct files *f, struct classes *c)
{
    for (int64_t i = 0; i < s->count; i++) {
        const char *name = f->names[i], *slash = strchr(name, '/');
        if (!slash) return false;
        size_t len = (size_t)(slash - name);
        if (!c->count || strncmp(c->folders[c->count - 1], name, len) || c->folders[c->count - 1][len]) {
            if (c->count % 64 == 0) c->folders = mem_realloc(c->folders, (size_t)c->count + 64, sizeof *c->folders);
            c->folders[c->count++] = strndup(name, len);
        }
        f->labels[i] = (int)c->count - 1;
    }
    return true;
}

/* The number a folder's name is, below count; -1: it is none, or is written otherwise. */
static int64_t number_of(const char *folder, int64_t count)
{
    char *end, plain[24];
    long number = strtol(folder, &end, 10);
    snprintf(plain, sizeof plain, "%ld", number);
    return number >= 0 && number < count && !strcmp(plain, folder) ? number : -1;
}

static void find_order(struct classes *c)
{
    bool numbers = true;
    c->order = mem_alloc((size_t)c->count, sizeof *c->order);
    for (int64_t k = 0; k < c->count; k++) numbers &= number_of(c->folders[k], c->count) >= 0;
    for (int64_t k = 0; k < c->count; k++) c->order[numbers ? number_of(c->folders[k], c->count) : k] = k;
}

char *source_class_name(const char *folder)
{
    struct str out = {0};
    str_puts(&out, "");
    for (const char *c = folder; *c; c++)
        if (*c != '(' && *c != ')') str_putc(&out, *c == '_' ? ' ' : *c);
    size_t begin = strspn(out.data, " ");
    while (out.len > begin && out.data[out.len - 1] == ' ') out.data[--out.len] = 0;
    char *name = mem_strdup(out.data[begin] ? out.data + begin : folder);
    str_free(&out);
    return name;
}

/* labels [count] of the folders, by their names among those of all sources. */
static int label_by_name(const struct source *s, const struct classes *c, struct sources *all, int *labels,
                         struct error *error)
{
    int rc = 0;
    for (int64_t k = 0; k < c->count && rc == 0; k++) {
        int64_t folder = c->order[k];
        char *name = source_class_name(c->folders[folder]);
        labels[folder] = (int)sources_class(all, name);
        for (int64_t j = 0; j < k && rc == 0; j++)
            if (labels[c->order[j]] == labels[folder])
                rc = error_set(error, ERROR_FAILED, "%s: the folders %s and %s are both called \"%s\"", s->path,
                               c->folders[c->order[j]], c->folders[folder], name);
        free(name);
    }
    return rc;
}

static int label_by_order(const struct source *s, const struct classes *c, const struct sources *all, int *labels,
                          struct error *error)
{
    for (int64_t k = 0; k < c->count; k++) labels[c->order[k]] = (int)k;
    if (all->class_count == c->count) return 0;
    return error_set(error, ERROR_FAILED, "%s/classnames.txt: %ld names of %ld folders", s->path,
                     (long)all->class_count, (long)c->count);
}

static int label_folders(struct source *s, struct files *f, struct classes *c, struct sources *all, struct error *error)
{
    int *labels = mem_alloc((size_t)c->count, sizeof *labels), rc = sources_names(all, s->path, error);
    find_order(c);
    if (rc >= 0) rc = rc ? label_by_order(s, c, all, labels, error) : label_by_name(s, c, all, labels, error);
    for (int64_t i = 0; i < s->count && rc == 0; i++) f->labels[i] = labels[f->labels[i]];
    free(labels);
    return rc;
}

/* Videos that are not all in folders are there without labels; pictures may not. */
static int label_none(const struct source *s, struct files *f, struct error *error)
{
    for (int64_t i = 0; i < s->count; i++) {
        f->labels[i] = -1;
        if (!video_is_name(f->names[i]) && !strchr(f->names[i], '/'))
            return error_set(error, ERROR_FAILED,
                             "%s/%s: neither caption files beside the pictures nor a folder a class", s->path,
                             f->names[i]);
    }
    return 0;
}

/* Of an ImageFolder. */
static int label(struct source *s, struct files *f, struct sources *all, struct error *error)
{
    struct classes c = {0};
    f->labels = mem_alloc((size_t)s->count, sizeof *f->labels);
    int rc = sort_into(s, f, &c) ? label_folders(s, f, &c, all, error) : label_none(s, f, error);
    for (int64_t k = 0; k < c.count; k++) free(c.folders[k]);
    free(c.folders);
    free(c.order);
    return rc;
}

int files_open(struct source *source, const char *path, struct sources *all, struct error *error)
{
    struct source s = {.path = mem_strdup(path), .read = files_read, .identity = files_identity, .close = files_close};
    struct files *f = s.state = mem_zalloc(1, sizeof *f);
    bool captions = false;
    int rc = walk(&s, f, path, "", &captions, error);
    if (rc == 0 && !s.count)
        rc = error_set(error, ERROR_FAILED, "%s: no pictures (.jpg .jpeg .png .webp) or videos in this folder", path);
    if (rc == 0 && !captions) rc = label(&s, f, all, error);
    if (rc < 0) {
        files_close(&s);
        free(s.path);
        return -1;
    }
    *source = s;
    return 0;
}
