/* Finding the files, and what scoring does not read of them: file names, names of categories. */
#include "evaluator/heads/coco_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/str.h"
#include "evaluator/metrics/json_reader.h"

static const char prefix[] = "instances_", ending[] = ".json";

/* --- where things lie --- */

/* FOLDER/annotations/instances_SPLIT*.json; there must be one. */
static char *find_annotations(const char *folder, const char *split, struct error *error)
{
    struct fs_list list = {0};
    struct str wanted = {0};
    char *annotations = fs_join(folder, "annotations"), *found = NULL;
    int64_t count = 0;
    str_printf(&wanted, "%s%s", prefix, split);
    int rc = fs_list(annotations, &list, error);
    for (size_t i = 0; i < list.count; i++) {
        if (!str_starts_with(list.names[i], wanted.data) || !str_ends_with(list.names[i], ending)) continue;
        if (!count++) found = fs_join(annotations, list.names[i]);
    }
    if (rc == 0 && count != 1) {
        error_set(error, ERROR_FAILED, "%s: %ld files %s*%s; name the one that is meant", annotations, (long)count,
                  wanted.data, ending);
        free(found);
        found = NULL;
    }
    if (rc == 0) fs_list_free(&list);
    str_free(&wanted);
    free(annotations);
    return found;
}

/* .../annotations/instances_NAME.json -> .../NAME, NULL where it is called otherwise. */
static char *find_pictures(const char *path)
{
    char *name = fs_last(path);
    struct str out = {0};
    size_t len = strlen(name);
    if (str_starts_with(name, prefix) && str_ends_with(name, ending)) {
        str_append(&out, path, strlen(path) - len);
        str_printf(&out, "../%.*s", (int)(len - strlen(prefix) - strlen(ending)), name + strlen(prefix));
    }
    free(name);
    if (!out.len) return NULL;
    return str_steal(&out);
}

/* --- names --- */

static char *read_text(struct json_reader *r)
{
    size_t len;
    const char *text = reader_string(r, &len);
    char *copy = mem_alloc(len + 1, 1);
    memcpy(copy, text, len);
    copy[len] = 0;
    return copy;
}

/* The string `key` of each object of an array, at the place of its id. */
static void read_names(struct coco_set *s, struct json_reader *r, const char *section, const char *key,
                       int64_t (*find)(const struct coco *coco, int64_t id), char **names)
{
    const char *const keys[] = {"id", key, NULL};
    int64_t number = 0;
    for (bool more = reader_enter(r, '['); more; more = reader_more(r, ']'), number++) {
        char *name = NULL;
        int64_t id = 0;
        unsigned seen = 0;
        for (bool member = reader_enter(r, '{'); member; member = reader_more(r, '}'))
            switch (reader_key(r, keys, &seen)) {
            case 0: id = reader_integer(r); break;
            case 1: name = read_text(r); break;
            default: reader_skip(r);
            }
        int64_t place = find(&s->coco, id);
        if (!name || !*name) reader_fault(r, "%s[%ld]: no \"%s\"", section, (long)number, key);
        if (r->failed || place < 0 || names[place])
            free(name);
        else
            names[place] = name;
    }
}

static int read_rest(struct coco_set *s, struct error *error)
{
    static const char *const sections[] = {"images", "categories", NULL};
    struct fs_map map;
    if (fs_map(s->path, &map, error) < 0) return -1;
    struct json_reader r = reader_open(s->path, (const char *)map.bytes, map.len, error);
    unsigned seen = 0;
    for (bool more = reader_enter(&r, '{'); more; more = reader_more(&r, '}'))
        switch (reader_key(&r, sections, &seen)) {
        case 0: read_names(s, &r, sections[0], "file_name", coco_find_image, s->files); break;
        case 1: read_names(s, &r, sections[1], "name", coco_find_category, s->names); break;
        default: reader_skip(&r);
        }
    reader_close(&r);
    fs_unmap(&map);
    return r.failed ? -1 : 0;
}

/* --- the set --- */

static void sort_by_image(struct coco_set *s)
{
    const struct object_list *all = &s->coco.d.truths;
    s->starts = mem_zalloc((size_t)s->coco.d.images + 1, sizeof *s->starts);
    s->order = mem_alloc((size_t)all->count + 1, sizeof *s->order);
    for (int64_t i = 0; i < all->count; i++) s->starts[all->data[i].image + 1]++;
    for (int64_t i = 0; i < s->coco.d.images; i++) s->starts[i + 1] += s->starts[i];
    int64_t *next = mem_alloc((size_t)s->coco.d.images + 1, sizeof *next);
    memcpy(next, s->starts, ((size_t)s->coco.d.images + 1) * sizeof *next);
    for (int64_t i = 0; i < all->count; i++) s->order[next[all->data[i].image]++] = (int32_t)i;
    free(next);
}

int coco_set_open(struct coco_set *s, const char *path, const char *pictures, const char *split, struct error *error)
{
    *s = (struct coco_set){0};
    s->path = fs_is_folder(path) ? find_annotations(path, split, error) : mem_strdup(path);
    if (!s->path) return -1;
    s->folder = pictures ? mem_strdup(pictures) : find_pictures(s->path);
    if (!s->folder)
        return error_set(error, ERROR_USAGE, "%s: not called %sNAME%s, so where its pictures lie must be said: --%s",
                         s->path, prefix, ending, strcmp(split, "train") ? "images" : "train-images");
    if (!fs_is_folder(s->folder)) return error_set(error, ERROR_FAILED, "%s: no folder of pictures", s->folder);
    if (coco_read_truth(&s->coco, s->path, error) < 0 || fs_checksum(s->path, &s->checksum, error) < 0) return -1;
    s->files = mem_zalloc((size_t)s->coco.d.images + 1, sizeof *s->files);
    s->names = mem_zalloc((size_t)s->coco.d.categories + 1, sizeof *s->names);
    if (read_rest(s, error) < 0) return -1;
    if (!s->coco.d.images || !s->coco.d.categories)
        return error_set(error, ERROR_FAILED, "%s: no %s", s->path, s->coco.d.images ? "categories" : "images");
    sort_by_image(s);
    return 0;
}

void coco_set_close(struct coco_set *s)
{
    for (int64_t i = 0; s->files && i < s->coco.d.images; i++) free(s->files[i]);
    for (int64_t i = 0; s->names && i < s->coco.d.categories; i++) free(s->names[i]);
    free(s->path);
    free(s->folder);
    free(s->files);
    free(s->names);
    free(s->starts);
    free(s->order);
    coco_free(&s->coco);
    *s = (struct coco_set){0};
}

int coco_set_same(const struct coco_set *s, const struct coco_set *names, struct error *error)
{
    for (int64_t i = 0; i < s->coco.d.categories; i++) {
        int64_t id = s->coco.categories[i].id, place = coco_find_category(&names->coco, id);
        if (place < 0)
            return error_set(error, ERROR_FAILED, "%s: category %ld (%s) is none of %s, so nothing can learn it",
                             s->path, (long)id, s->names[i], names->path);
        if (strcmp(s->names[i], names->names[place]))
            return error_set(error, ERROR_FAILED, "%s: category %ld is %s, in %s it is %s", s->path, (long)id,
                             s->names[i], names->path, names->names[place]);
    }
    return 0;
}
