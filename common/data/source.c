/* Choosing the kind of each input, and what all kinds share. */
#include "data/source.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "data/record.h"

void sample_free(struct sample *s)
{
    free(s->key);
    free(s->media);
    str_free(&s->captions);
    json_decref(s->metadata);
    *s = (struct sample){.label = -1};
}

int sample_caption(struct sample *s, const char *text, size_t len, struct error *error)
{
    while (len && strchr(" \t\r\n", *text)) text++, len--;
    while (len && strchr(" \t\r\n", text[len - 1])) len--;
    if (!len) return 0;
    if (memchr(text, 0, len)) return error_set(error, ERROR_FAILED, "caption holds a zero byte");
    for (const char *at = text; at < text + len;) {
        const char *from = at;
        if (utf8_next(&at, text + len) < 0)
            return error_set(error, ERROR_FAILED, "caption is not UTF-8 (byte %td)", from - text);
    }
    record_add_caption(&s->captions, text, len);
    s->caption_count++;
    return 0;
}

static int captions_from(struct sample *s, const json_t *value, struct error *error)
{
    if (json_is_string(value)) return sample_caption(s, json_string_value(value), json_string_length(value), error);
    for (size_t i = 0; i < json_array_size(value); i++)
        if (captions_from(s, json_array_get(value, i), error) < 0) return -1;
    return 0;
}

int sample_metadata(struct sample *s, json_t *object, struct error *error)
{
    static const char *const caption_keys[] = {"caption",       "captions",      "text",
                                               "human_caption", "model_caption", "title"};
    json_decref(s->metadata);
    s->metadata = object;
    for (size_t i = 0; i < sizeof caption_keys / sizeof *caption_keys && !s->caption_count; i++)
        if (captions_from(s, json_object_get(object, caption_keys[i]), error) < 0) return -1;
    const json_t *label = json_object_get(object, "label");
    if (json_is_integer(label) && s->label < 0) s->label = (int)json_integer_value(label);
    return 0;
}

int64_t sources_class(struct sources *all, const char *name)
{
    for (int64_t i = 0; i < all->class_count; i++)
        if (!strcmp(all->classes[i], name)) return i;
    all->classes = mem_realloc(all->classes, (size_t)all->class_count + 1, sizeof *all->classes);
    all->classes[all->class_count] = mem_strdup(name);
    return all->class_count++;
}

static struct source *add(struct sources *all)
{
    all->list = mem_realloc(all->list, (size_t)all->source_count + 1, sizeof *all->list);
    all->list[all->source_count] = (struct source){0};
    return &all->list[all->source_count];
}

static int open_one(struct sources *all, const char *path, struct error *error)
{
    struct source *s = add(all);
    int rc;
    if (!fs_exists(path))
        rc = error_set(error, ERROR_FAILED, "%s: no such file or folder", path);
    else if (fs_is_folder(path))
        rc = files_open(s, path, all, error);
    else if (str_ends_with(path, ".tar"))
        rc = tar_open(s, path, error);
    else if (str_ends_with(path, ".csv") || str_ends_with(path, ".tsv") || str_ends_with(path, ".jsonl"))
        rc = manifest_open(s, path, all, error);
    else
        rc = error_set(error, ERROR_FAILED, "%s: not a folder, .tar, .csv, .tsv or .jsonl", path);
    if (rc == 0) all->source_count++;
    return rc;
}

/* A folder of tars stands for its tars. */
static int open_input(struct sources *all, const char *path, struct error *error)
{
    struct fs_list list = {0};
    if (!fs_is_folder(path)) return open_one(all, path, error);
    if (fs_list(path, &list, error) < 0) return -1;
    int tars = 0, rc = 0;
    for (size_t i = 0; i < list.count && rc == 0; i++) {
        if (!str_ends_with(list.names[i], ".tar")) continue;
        char *tar = fs_join(path, list.names[i]);
        rc = open_one(all, tar, error);
        free(tar);
        tars++;
    }
    fs_list_free(&list);
    return rc < 0 || tars ? rc : open_one(all, path, error);
}

int sources_open(struct sources *sources, char *const *inputs, int64_t count, struct error *error)
{
    struct sources all = {0};
    for (int64_t i = 0; i < count; i++)
        if (open_input(&all, inputs[i], error) < 0) {
            sources_close(&all);
            return -1;
        }
    for (int64_t i = 0; i < all.source_count; i++) all.items += all.list[i].count;
    *sources = all;
    if (!all.items) {
        sources_close(sources);
        return error_set(error, ERROR_FAILED, "%s: holds no samples", inputs[0]);
    }
    return 0;
}

void sources_close(struct sources *all)
{
    for (int64_t i = 0; i < all->source_count; i++) {
        all->list[i].close(&all->list[i]);
        free(all->list[i].path);
    }
    for (int64_t i = 0; i < all->class_count; i++) free(all->classes[i]);
    free(all->classes);
    free(all->list);
    *all = (struct sources){0};
}

int sources_read(const struct sources *all, int64_t index, struct sample *sample, const struct source **source,
                 struct error *error)
{
    const struct source *s = all->list;
    while (index >= s->count) index -= (s++)->count;
    CHECK(s < all->list + all->source_count, "item beyond the last source");
    *source = s;
    *sample = (struct sample){.label = -1};
    int rc = s->read(s, index, sample, error);
    if (rc == 0 && !sample->caption_count && sample->label < 0 && !sample->video)
        rc = error_set(error, ERROR_FAILED, "empty caption, or none, and no label");
    return rc;
}
