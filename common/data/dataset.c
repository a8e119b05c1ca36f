/* The index of a data set, and its shards opened as they are read. */
#include "data/dataset.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/check.h"
#include "base/json.h"
#include "base/memory.h"
#include "data/texts.h"

/* The shard as a whole cannot be used: why, and what mends it. */
static int broken(const struct dataset *d, const struct shard *s, const char *why, struct error *error)
{
    int stem = (int)(strlen(s->file) - (str_ends_with(s->file, ".lmdb") ? strlen(".lmdb") : 0));
    return error_set(error, ERROR_FAILED,
                     "%s/%s: %s; copy it again, or remove it and %.*s.json and run the same pack again", d->folder,
                     s->file, why, stem, s->file);
}

static int compare_size(const struct dataset *d, const struct shard *s, struct error *error)
{
    char *path = fs_join(d->folder, s->file), why[96];
    int64_t bytes = fs_size(path);
    free(path);
    if (bytes == s->bytes) return 0;
    snprintf(why, sizeof why, "%s (%" PRId64 " bytes, %" PRId64 " in dataset.json)",
             bytes < 0          ? "is missing"
             : bytes < s->bytes ? "was truncated"
                                : "has grown",
             bytes, s->bytes);
    return broken(d, s, bytes < 0 ? "is missing" : why, error);
}

/* Mapped, of the right size; nothing more is known of it. */
static int map_shard(const struct dataset *d, const struct shard *s, struct shard_reader *reader, struct error *error)
{
    if (compare_size(d, s, error) < 0) return -1;
    char *path = fs_join(d->folder, s->file);
    int rc = shard_open(reader, path, error);
    free(path);
    return rc;
}

static int compare_checksum(const struct dataset *d, const struct shard *s, const struct shard_reader *reader,
                            struct error *error)
{
    if (shard_checksum(reader) == s->checksum) return 0;
    return broken(d, s, "is damaged (its checksum is not the one in dataset.json)", error);
}

static int compare_count(const struct dataset *d, const struct shard *s, const struct shard_reader *reader,
                         struct error *error)
{
    if (reader->records == s->samples) return 0;
    return error_set(error, ERROR_FAILED, "%s/%s: holds %" PRId64 " records, dataset.json says %" PRId64, d->folder,
                     s->file, reader->records, s->samples);
}

static int open_shard(const struct dataset *d, struct shard *s, struct error *error)
{
    struct shard_reader reader;
    if (map_shard(d, s, &reader, error) < 0) return -1;
    if ((!d->trusted && compare_checksum(d, s, &reader, error) < 0) || compare_count(d, s, &reader, error) < 0) {
        shard_close(&reader);
        return -1;
    }
    struct shard_reader *kept = mem_alloc(1, sizeof *kept);
    *kept = reader;
    atomic_store(&s->reader, kept);
    return 0;
}

/* Opened by the first thread that asks; the others wait for it. */
static const struct shard_reader *reader_of(const struct dataset *d, struct shard *s, struct error *error)
{
    const struct shard_reader *reader = atomic_load(&s->reader);
    if (reader) return reader;
    pthread_mutex_lock(&s->opening);
    if (!atomic_load(&s->reader) && !s->failed) {
        struct error why = {0};
        if (open_shard(d, s, &why) < 0) {
            s->failed = mem_alloc(1, sizeof why);
            *s->failed = why;
        }
    }
    reader = atomic_load(&s->reader);
    if (!reader) error_set(error, s->failed->code, "%s", s->failed->text);
    pthread_mutex_unlock(&s->opening);
    return reader;
}

/* -1: not there, or no count. */
static int64_t count_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) && json_integer_value(value) >= 0 ? json_integer_value(value) : -1;
}

static int parse_texts(const json_t *root, const char *key, const char *path, char ***list, int64_t *count,
                       struct error *error)
{
    const json_t *texts = json_object_get(root, key);
    *list = mem_zalloc(json_array_size(texts) + 1, sizeof **list);
    for (size_t i = 0; i < json_array_size(texts); i++) {
        const char *text = json_string_value(json_array_get(texts, i));
        if (!text) return error_set(error, ERROR_FAILED, "%s: \"%s\" %zu is no text", path, key, i);
        (*list)[(*count)++] = mem_strdup(text);
    }
    return 0;
}

static int parse(struct dataset *d, const char *path, const json_t *root, struct error *error)
{
    const char *format = json_string_value(json_object_get(root, "format"));
    if (!format || strcmp(format, "percept-dataset") || json_integer_value(json_object_get(root, "version")) != 1)
        return error_set(error, ERROR_FAILED, "%s: not a percept data set of version 1", path);
    const json_t *shards = json_object_get(root, "shards");
    d->shards = mem_zalloc(json_array_size(shards) + 1, sizeof *d->shards);
    for (size_t i = 0; i < json_array_size(shards); i++) {
        const json_t *o = json_array_get(shards, i);
        const char *file = json_string_value(json_object_get(o, "file"));
        const char *sum = json_string_value(json_object_get(o, "xxh3"));
        int64_t samples = count_of(o, "samples"), bytes = count_of(o, "bytes");
        if (!file || strchr(file, '/') || !sum || samples < 0 || bytes < 0)
            return error_set(error, ERROR_FAILED, "%s: shard %zu has no file, samples, bytes or xxh3", path, i);
        if (samples > bytes / RECORD_HEADER || samples > INT64_MAX - d->samples)
            return error_set(error, ERROR_FAILED, "%s: %s cannot hold %" PRId64 " samples in %" PRId64 " bytes", path,
                             file, samples, bytes);
        struct shard *s = &d->shards[d->shard_count++];
        s->file = mem_strdup(file);
        s->samples = samples;
        s->bytes = bytes;
        s->first = d->samples;
        s->checksum = strtoull(sum, NULL, 16);
        pthread_mutex_init(&s->opening, NULL);
        d->samples += samples;
    }
    if (count_of(root, "samples") != d->samples)
        return error_set(error, ERROR_FAILED, "%s: samples do not add up over the shards", path);
    d->videos = json_object_get(root, "videos") ? count_of(root, "videos") : 0;
    if (d->videos < 0 || d->videos > d->samples)
        return error_set(error, ERROR_FAILED, "%s: \"videos\" is no number of samples", path);
    return parse_texts(root, "classes", path, &d->classes, &d->class_count, error) < 0
               ? -1
               : parse_texts(root, "templates", path, &d->templates, &d->template_count, error);
}

int dataset_list(struct dataset *dataset, const char *folder, struct error *error)
{
    struct dataset d = {.folder = mem_strdup(folder)};
    char *path = fs_join(folder, "dataset.json");
    int rc = 0;
    if (!fs_exists(path))
        rc = error_set(error, ERROR_FAILED, "%s: no data set here (no dataset.json); make one with pe-dataloader pack",
                       folder);
    json_t *root = rc == 0 ? json_read(path, error) : NULL;
    rc = root ? parse(&d, path, root, error) : -1;
    json_decref(root);
    free(path);
    if (rc < 0)
        dataset_close(&d);
    else
        *dataset = d;
    return rc;
}

int dataset_open(struct dataset *dataset, const char *folder, struct error *error)
{
    struct dataset d;
    if (dataset_list(&d, folder, error) < 0) return -1;
    for (int64_t i = 0; i < d.shard_count; i++)
        if (compare_size(&d, &d.shards[i], error) < 0) {
            dataset_close(&d);
            return -1;
        }
    *dataset = d;
    return 0;
}

int dataset_open_files(struct dataset *dataset, const char *path, struct error *error)
{
    char *inputs[] = {(char *)(uintptr_t)path};
    struct sources files;
    if (sources_open(&files, inputs, 1, error) < 0) return -1;
    struct dataset d = {.folder = mem_strdup(path),
                        .samples = files.items,
                        .videos = files.videos,
                        .classes = texts_copy(files.classes, files.class_count),
                        .class_count = files.class_count,
                        .templates = texts_copy(files.templates, files.template_count),
                        .template_count = files.template_count,
                        .files = mem_alloc(1, sizeof files)};
    *d.files = files;
    *dataset = d;
    return 0;
}

static void close_shard(struct shard *s)
{
    struct shard_reader *reader = atomic_load(&s->reader);
    if (reader) shard_close(reader);
    free(reader);
    free(s->failed);
    free(s->file);
    pthread_mutex_destroy(&s->opening);
}

void dataset_close(struct dataset *d)
{
    for (int64_t i = 0; i < d->shard_count; i++) close_shard(&d->shards[i]);
    if (d->files) sources_close(d->files);
    free(d->files);
    texts_free(d->classes, d->class_count);
    texts_free(d->templates, d->template_count);
    free(d->shards);
    free(d->folder);
    *d = (struct dataset){0};
}

static struct shard *shard_of(const struct dataset *d, int64_t index)
{
    CHECK(index >= 0 && index < d->samples, "sample %ld of %ld", (long)index, (long)d->samples);
    int64_t low = 0, high = d->shard_count - 1;
    while (low < high) { /* the last shard that starts at or before index, and so is not empty */
        int64_t middle = (low + high + 1) / 2;
        if (d->shards[middle].first <= index)
            low = middle;
        else
            high = middle - 1;
    }
    return &d->shards[low];
}

static int read_record(const struct dataset *d, const struct shard *s, const struct shard_reader *reader, int64_t key,
                       struct record *record, struct error *error)
{
    const uint8_t *bytes;
    size_t len;
    int rc = shard_find(reader, key, &bytes, &len, error);
    if (rc == 0) rc = record_decode(bytes, len, record, error);
    return rc < 0 ? error_prefix(error, "%s/%s: key %" PRId64, d->folder, s->file, key) : 0;
}

static int read_file(const struct dataset *d, int64_t index, bool media, struct record *record, struct error *error)
{
    const struct source *from;
    struct sample sample;
    int rc = sources_read(d->files, index, media, &sample, &from, error);
    if (rc == 0) rc = sample_record(&sample, record, error);
    if (rc < 0) error_prefix(error, "%s: %s", from->path, sample.key);
    sample_free(&sample);
    return rc;
}

int dataset_read(const struct dataset *d, int64_t index, struct record *record, struct error *error)
{
    if (d->files) return read_file(d, index, true, record, error);
    struct shard *s = shard_of(d, index);
    const struct shard_reader *reader = reader_of(d, s, error);
    return reader ? read_record(d, s, reader, index - s->first, record, error) : -1;
}

int dataset_read_texts(const struct dataset *d, int64_t index, struct record *record, struct error *error)
{
    return d->files ? read_file(d, index, false, record, error) : dataset_read(d, index, record, error);
}

int dataset_reach(const struct dataset *d, int64_t index, struct error *error)
{
    return d->files || reader_of(d, shard_of(d, index), error) ? 0 : -1;
}

uint64_t dataset_identity(const struct dataset *d)
{
    uint64_t identity = 0;
    for (int64_t i = 0; i < d->shard_count; i++) {
        uint64_t shard[] = {(uint64_t)d->shards[i].samples, d->shards[i].checksum};
        identity = XXH3_64bits_withSeed(shard, sizeof shard, identity);
    }
    for (int64_t i = 0; d->files && i < d->files->source_count; i++) {
        uint64_t source = d->files->list[i].identity(&d->files->list[i]);
        identity = XXH3_64bits_withSeed(&source, sizeof source, identity);
    }
    return identity;
}

int64_t dataset_verify_shard(const struct dataset *d, int64_t n, void (*report)(void *, const struct error *),
                             void *context)
{
    const struct shard *s = &d->shards[n];
    struct shard_reader reader;
    struct error whole = {0}, count = {0};
    if (map_shard(d, s, &reader, &whole) < 0) {
        report(context, &whole);
        return 1;
    }
    int64_t bad = 0;
    if (compare_checksum(d, s, &reader, &whole) < 0) report(context, &whole), bad++;
    if (compare_count(d, s, &reader, &count) < 0) report(context, &count), bad++;
    for (int64_t i = 0; i < s->samples; i++) {
        struct record record;
        struct error why = {0};
        if (read_record(d, s, &reader, i, &record, &why) == 0) continue;
        report(context, &why);
        bad++;
    }
    shard_close(&reader);
    return bad;
}
