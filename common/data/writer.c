/* Claiming a folder, writing shards with their notes, and the index. */
#include "data/writer.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/str.h"

/* Something of a data set lies there. */
static int is_taken(const char *folder, bool *taken, struct error *error)
{
    struct fs_list list;
    if (fs_list(folder, &list, error) < 0) return -1;
    *taken = false;
    for (size_t i = 0; i < list.count; i++)
        if (str_starts_with(list.names[i], "shard-") || !strcmp(list.names[i], "dataset.json")) *taken = true;
    fs_list_free(&list);
    return 0;
}

static int compare(const char *folder, const char *path, const json_t *recipe, struct error *error)
{
    json_t *before = json_read(path, error);
    if (!before) return -1;
    bool same = json_equal(before, recipe);
    json_decref(before);
    if (same) return 0;
    return error_set(error, ERROR_FAILED,
                     "%s: holds a pack of other inputs or options (see pack.json); choose another --output, "
                     "or remove it",
                     folder);
}

int writer_claim(const char *folder, const json_t *recipe, char *const *inputs, int64_t count, struct error *error)
{
    for (int64_t i = 0; i < count; i++)
        if (fs_same(folder, inputs[i]))
            return error_set(error, ERROR_USAGE, "%s: is the input %s itself; choose another --output", folder,
                             inputs[i]);
    if (fs_make_folders(folder, error) < 0) return -1;
    char *path = fs_join(folder, "pack.json");
    bool taken = false;
    int rc = fs_exists(path) ? compare(folder, path, recipe, error) : is_taken(folder, &taken, error);
    if (taken)
        rc = error_set(error, ERROR_FAILED,
                       "%s: holds a data set that no pack.json explains; choose another --output or remove it", folder);
    else if (rc == 0 && !fs_exists(path))
        rc = json_write(path, recipe, error);
    free(path);
    return rc;
}

static char *shard_path(const char *folder, int64_t number, const char *extension)
{
    struct str name = {0};
    str_printf(&name, "shard-%05ld%s", (long)number, extension);
    char *path = fs_join(folder, name.data);
    str_free(&name);
    return path;
}

bool writer_has(const char *folder, int64_t number)
{
    char *path = shard_path(folder, number, ".lmdb"), *note_path = shard_path(folder, number, ".json");
    json_t *note = fs_exists(note_path) ? json_read(note_path, NULL) : NULL;
    bool has = note && json_integer_value(json_object_get(note, "bytes")) == fs_size(path);
    json_decref(note);
    free(path);
    free(note_path);
    return has;
}

int writer_begin(struct writer *writer, const char *folder, int64_t number, struct error *error)
{
    struct writer w = {0};
    char *path = shard_path(folder, number, ".lmdb");
    int rc = shard_create(&w.shard, path, error);
    free(path);
    if (rc < 0) return -1;
    w.note = shard_path(folder, number, ".json");
    w.quarantine = json_array();
    w.counts = json_object();
    *writer = w;
    return 0;
}

int writer_append(struct writer *w, const struct str *record, bool video, struct error *error)
{
    w->videos += video;
    return shard_append(&w->shard, record->data, record->len, error);
}

void writer_leave_out(struct writer *w, const char *source, const char *key, uint64_t hash, const char *reason)
{
    json_t *row = json_pack("{s:o, s:o, s:o, s:o}", "source", json_text(source), "key", json_text(key), "reason",
                            json_text(reason), "xxh3", json_checksum(hash));
    json_array_append_new(w->quarantine, row);
}

static void add_up(json_t *counts, const char *name, int64_t more)
{
    json_object_set_new(counts, name, json_integer(json_integer_value(json_object_get(counts, name)) + more));
}

void writer_count(struct writer *w, const char *name)
{
    add_up(w->counts, name, 1);
}

static void let_go(struct writer *w)
{
    free(w->note);
    json_decref(w->quarantine);
    json_decref(w->counts);
    *w = (struct writer){0};
}

int writer_finish(struct writer *w, struct error *error)
{
    char *name = mem_strdup(strrchr(w->shard.path, '/') + 1);
    int64_t bytes = 0, samples = w->shard.samples;
    uint64_t sum = 0;
    int rc = shard_finish(&w->shard, &bytes, &sum, error);
    if (rc == 0) {
        json_t *note = json_object();
        json_object_set_new(note, "file", json_string(name));
        json_object_set_new(note, "samples", json_integer(samples));
        json_object_set_new(note, "bytes", json_integer(bytes));
        json_object_set_new(note, "xxh3", json_checksum(sum));
        json_object_set(note, "quarantine", w->quarantine);
        json_object_set_new(note, "videos", json_integer(w->videos));
        if (json_object_size(w->counts)) json_object_set(note, "counts", w->counts);
        rc = json_write(w->note, note, error);
        json_decref(note);
    }
    free(name);
    let_go(w);
    return rc;
}

void writer_abandon(struct writer *w)
{
    shard_abandon(&w->shard);
    let_go(w);
}

/* One shard's note into the index, and its left-out items as lines. */
static int gather_note(const char *path, struct writer_index *index, struct str *lines, struct error *error)
{
    static const char *const kept[] = {"file", "samples", "bytes", "xxh3"};
    json_t *note = json_read(path, error), *row = json_object(), *value;
    size_t i;
    const char *name;
    json_array_foreach (json_object_get(note, "quarantine"), i, value) {
        char *text = json_dumps(value, JSON_COMPACT);
        str_printf(lines, "%s\n", text);
        free(text);
        index->left_out++;
    }
    json_object_foreach (json_object_get(note, "counts"), name, value)
        add_up(index->counts, name, json_integer_value(value));
    for (i = 0; i < sizeof kept / sizeof *kept; i++) json_object_set(row, kept[i], json_object_get(note, kept[i]));
    index->videos += json_integer_value(json_object_get(note, "videos"));
    index->samples += json_integer_value(json_object_get(note, "samples"));
    index->bytes += json_integer_value(json_object_get(note, "bytes"));
    json_array_append_new(index->shards, row);
    int rc = note ? 0 : -1;
    json_decref(note);
    return rc;
}

int writer_gather(const char *folder, int64_t shards, struct writer_index *index, struct error *error)
{
    struct writer_index out = {.shards = json_array(), .counts = json_object()};
    struct str lines = {0};
    int rc = 0;
    for (int64_t s = 0; rc == 0 && s < shards; s++) {
        char *path = shard_path(folder, s, ".json");
        rc = gather_note(path, &out, &lines, error);
        free(path);
    }
    char *path = fs_join(folder, "quarantine.jsonl");
    if (rc == 0) rc = fs_write(path, lines.data ? lines.data : "", lines.len, error);
    free(path);
    str_free(&lines);
    if (rc == 0)
        *index = out;
    else
        writer_index_free(&out);
    return rc;
}

static void put_texts(json_t *root, const char *key, char *const *texts, int64_t count)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < count; i++) json_array_append_new(list, json_string(texts[i]));
    if (count) json_object_set(root, key, list);
    json_decref(list);
}

int writer_commit(const char *folder, const struct writer_index *index, const struct writer_names *names,
                  json_t *recipe, struct error *error)
{
    if (!index->samples)
        return error_set(error, ERROR_FAILED, "%s: no usable sample; quarantine.jsonl says why", folder);
    json_t *root = json_object();
    json_object_set_new(root, "format", json_string("percept-dataset"));
    json_object_set_new(root, "version", json_integer(1));
    json_object_set_new(root, "samples", json_integer(index->samples));
    put_texts(root, "classes", names->classes, names->class_count);
    put_texts(root, "templates", names->templates, names->template_count);
    json_object_set(root, "shards", index->shards);
    json_object_set(root, "provenance", recipe);
    if (index->videos) json_object_set_new(root, "videos", json_integer(index->videos));
    char *path = fs_join(folder, "dataset.json");
    int rc = json_write(path, root, error);
    free(path);
    json_decref(root);
    return rc;
}

int64_t writer_counted(const struct writer_index *index, const char *name)
{
    return json_integer_value(json_object_get(index->counts, name));
}

void writer_index_free(struct writer_index *index)
{
    json_decref(index->shards);
    json_decref(index->counts);
    *index = (struct writer_index){0};
}
