/* Choosing the kind of each input, and what all kinds share. */
#include "data/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "data/image.h"
#include "data/texts.h"

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

char *sample_metadata_text(struct sample *s)
{
    if (!s->metadata) s->metadata = json_object();
    json_object_set_new(s->metadata, "key", json_string(s->key));
    return json_dumps(s->metadata, JSON_COMPACT | JSON_SORT_KEYS);
}

int sample_record(struct sample *s, struct record *record, struct error *error)
{
    struct image_info info = {0};
    if (s->video && (json_object_get(s->metadata, "start_time") || json_object_get(s->metadata, "end_time")))
        return error_set(error, ERROR_FAILED,
                         "start_time and end_time cut a video when it is packed (pe-dataloader pack)");
    if (!s->video && s->media && image_probe(s->media, s->len, &info, error) < 0) return -1;
    char *metadata = sample_metadata_text(s);
    struct record r = {.media = s->video ? RECORD_VIDEO : (enum record_media)info.format,
                       .width = info.width,
                       .height = info.height,
                       .label = s->label,
                       .len = s->len,
                       .caption_count = s->caption_count,
                       .captions_len = (uint32_t)s->captions.len,
                       .metadata_len = strlen(metadata)};
    uint8_t *memory = mem_realloc(s->media, s->len + s->captions.len + r.metadata_len + 1, 1);
    s->media = NULL;
    if (s->captions.len) memcpy(memory + s->len, s->captions.data, s->captions.len);
    memcpy(memory + s->len + s->captions.len, metadata, r.metadata_len);
    free(metadata);
    r.memory = memory;
    r.bytes = memory;
    r.captions = (const char *)memory + s->len;
    r.metadata = r.captions + r.captions_len;
    *record = r;
    return 0;
}

/* --- names --- */

int64_t sources_class(struct sources *all, const char *name)
{
    for (int64_t i = all->class_count - 1; i >= 0; i--) /* that of the item before, as a rule */
        if (!strcmp(all->classes[i], name)) return i;
    all->classes = mem_realloc(all->classes, (size_t)all->class_count + 1, sizeof *all->classes);
    all->classes[all->class_count] = mem_strdup(name);
    return all->class_count++;
}

/* In place. */
static void trim(char *text)
{
    size_t begin = strspn(text, " \t\r"), len = strlen(text);
    while (len > begin && strchr(" \t\r", text[len - 1])) len--;
    memmove(text, text + begin, len - begin);
    text[len - begin] = 0;
}

/* The lines of folder/name; 0: there is no such file. */
static int read_names(const char *folder, const char *name, char ***list, int64_t *count, struct error *error)
{
    char *path = fs_join(folder, name), **lines = NULL;
    int64_t n = 0, rc = 0;
    if (fs_exists(path)) rc = texts_read(path, false, &lines, &n, error);
    for (int64_t i = 0; i < n && rc == 0; i++) {
        trim(lines[i]);
        if (!*lines[i]) rc = error_set(error, ERROR_FAILED, "%s: line %ld is empty", path, (long)i + 1);
    }
    if (rc == 0 && n && *count && !texts_same(lines, n, *list, *count))
        rc = error_set(error, ERROR_FAILED, "%s: not those of the inputs before it; give each its own command", path);
    bool taken = rc == 0 && n && !*count;
    if (taken)
        *list = lines, *count = n;
    else
        texts_free(lines, n);
    free(path);
    return rc < 0 ? -1 : n > 0;
}

int sources_names(struct sources *all, const char *folder, struct error *error)
{
    if (read_names(folder, "zeroshot_classification_templates.txt", &all->templates, &all->template_count, error) < 0)
        return -1;
    return read_names(folder, "classnames.txt", &all->classes, &all->class_count, error);
}

/* --- kinds --- */

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

static int open_tar(struct sources *all, const char *folder, const char *name, struct error *error)
{
    char *path = fs_join(folder, name);
    int rc = open_one(all, path, error);
    free(path);
    return rc;
}

/* The number in SPLIT/nshards.txt; 0: it is no folder of clip_benchmark's. */
static int64_t shards_of(const char *split, struct error *error)
{
    char *path = fs_join(split, "nshards.txt"), *text, *end;
    int64_t count = 0;
    size_t len;
    if (fs_exists(path)) {
        count = fs_read(path, &text, &len, error);
        if (count == 0) {
            count = strtol(text, &end, 10);
            if (count < 1 || (*end && !strchr(" \r\n", *end)))
                count = error_set(error, ERROR_FAILED, "%s: no number of tars", path);
            free(text);
        }
    }
    free(path);
    return count;
}

/* folder: what holds classnames.txt. */
static int check_type(const char *folder, struct error *error)
{
    char *path = fs_join(folder, "dataset_type.txt"), *text;
    size_t len;
    int rc = fs_exists(path) ? fs_read(path, &text, &len, error) : 1;
    if (rc == 0) {
        if (str_starts_with(text, "multilabel"))
            rc = error_set(error, ERROR_FAILED, "%s: several labels a picture (.npy): not supported", path);
        free(text);
    }
    free(path);
    return rc < 0 ? -1 : 0;
}

static int open_split(struct sources *all, const char *split, const char *names, int64_t tars, struct error *error)
{
    char name[32];
    int rc = check_type(names, error);
    if (rc == 0) rc = sources_names(all, names, error);
    for (int64_t i = 0; i < tars && rc >= 0; i++) {
        snprintf(name, sizeof name, "%ld.tar", (long)i);
        rc = open_tar(all, split, name, error);
    }
    return rc < 0 ? -1 : 0;
}

/* 1 when it is clip_benchmark's, and open. */
static int open_clip_benchmark(struct sources *all, const char *path, struct error *error)
{
    char *test = fs_join(path, "test"), *above = fs_join(path, "..");
    int64_t tars = shards_of(path, error), inner = tars ? 0 : shards_of(test, error);
    int rc = tars < 0 || inner < 0 ? -1 : tars || inner;
    if (tars > 0 && open_split(all, path, above, tars, error) < 0) rc = -1;
    if (inner > 0 && open_split(all, test, path, inner, error) < 0) rc = -1;
    free(test);
    free(above);
    return rc;
}

/* 1 when there are tars, and all are open. */
static int open_tars(struct sources *all, const char *path, struct error *error)
{
    struct fs_list list;
    if (fs_list(path, &list, error) < 0) return -1;
    int tars = 0, rc = 0;
    for (size_t i = 0; i < list.count && rc >= 0; i++) {
        if (!str_ends_with(list.names[i], ".tar")) continue;
        if (!tars++) rc = sources_names(all, path, error);
        if (rc >= 0) rc = open_tar(all, path, list.names[i], error);
    }
    fs_list_free(&list);
    return rc < 0 ? -1 : tars > 0;
}

static int open_input(struct sources *all, const char *path, struct error *error)
{
    if (!fs_is_folder(path)) return open_one(all, path, error);
    int rc = open_clip_benchmark(all, path, error);
    if (rc == 0) rc = open_tars(all, path, error);
    return rc ? rc : open_one(all, path, error);
}

int sources_open(struct sources *sources, char *const *inputs, int64_t count, struct error *error)
{
    struct sources all = {0};
    for (int64_t i = 0; i < count; i++)
        if (open_input(&all, inputs[i], error) < 0) {
            sources_close(&all);
            return -1;
        }
    for (int64_t i = 0; i < all.source_count; i++) all.items += all.list[i].count, all.videos += all.list[i].videos;
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
    texts_free(all->classes, all->class_count);
    texts_free(all->templates, all->template_count);
    free(all->list);
    *all = (struct sources){0};
}

int sources_read(const struct sources *all, int64_t index, bool media, struct sample *sample,
                 const struct source **source, struct error *error)
{
    const struct source *s = all->list;
    while (index >= s->count) index -= (s++)->count;
    CHECK(s < all->list + all->source_count, "item beyond the last source");
    *source = s;
    *sample = (struct sample){.label = -1};
    int rc = s->read(s, index, media, sample, error);
    if (rc == 0 && !sample->caption_count && sample->label < 0 && !sample->video)
        rc = error_set(error, ERROR_FAILED, "empty caption, or none, and no label");
    return rc;
}
