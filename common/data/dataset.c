/* Reading of data sets and writing of shards. */
#include "data/dataset.h"

#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/check.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"

enum { PER_TRANSACTION = 512 };

static void key_bytes(int64_t key, uint8_t out[8])
{
    for (int i = 0; i < 8; i++) out[i] = (uint8_t)((uint64_t)key >> 8 * (7 - i));
}

static int open_shard(const struct dataset *d, struct shard *s, struct error *error)
{
    char *path = fs_join(d->folder, s->file);
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    int rc = mdb_env_create(&env);
    int64_t bytes = fs_size(path);
    if (!rc) rc = mdb_env_set_mapsize(env, bytes > 0 ? (size_t)bytes : 1); /* else what the writer reserved: 1 TiB of address space */
    if (!rc) rc = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS, 0444);
    if (!rc) rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
    if (!rc) rc = mdb_dbi_open(txn, NULL, 0, &s->table);
    MDB_stat stat = {0};
    if (!rc) rc = mdb_stat(txn, s->table, &stat);
    if (rc) error_set(error, ERROR_FAILED, "%s: cannot open shard: %s", path, mdb_strerror(rc));
    else if ((int64_t)stat.ms_entries != s->samples)
        rc = error_set(error, ERROR_FAILED, "%s: holds %zu records, dataset.json says %ld", path, stat.ms_entries, (long)s->samples);
    free(path);
    if (rc) {
        if (txn) mdb_txn_abort(txn);
        if (env) mdb_env_close(env);
        return -1;
    }
    s->env = env;
    s->txn = txn;
    return 0;
}

static int parse(struct dataset *d, const char *path, const json_t *root, struct error *error)
{
    const char *format = json_string_value(json_object_get(root, "format"));
    if (!format || strcmp(format, "percept-dataset") || json_integer_value(json_object_get(root, "version")) != 1)
        return error_set(error, ERROR_FAILED, "%s: not a percept data set of version 1", path);
    const json_t *shards = json_object_get(root, "shards"), *classes = json_object_get(root, "classes");
    d->shards = mem_zalloc(json_array_size(shards) + 1, sizeof *d->shards);
    for (size_t i = 0; i < json_array_size(shards); i++) {
        const json_t *o = json_array_get(shards, i);
        const char *file = json_string_value(json_object_get(o, "file")), *sum = json_string_value(json_object_get(o, "xxh3"));
        int64_t samples = json_integer_value(json_object_get(o, "samples"));
        if (!file || strchr(file, '/') || !sum || samples < 0)
            return error_set(error, ERROR_FAILED, "%s: shard %zu has no file, samples or xxh3", path, i);
        struct shard *s = &d->shards[d->shard_count++];
        s->file = mem_strdup(file);
        s->samples = samples;
        s->first = d->samples;
        s->checksum = strtoull(sum, NULL, 16);
        d->samples += samples;
    }
    d->videos = json_integer_value(json_object_get(root, "videos"));
    if (json_integer_value(json_object_get(root, "samples")) != d->samples)
        return error_set(error, ERROR_FAILED, "%s: samples do not add up over the shards", path);
    d->class_count = (int64_t)json_array_size(classes);
    d->classes = mem_zalloc((size_t)d->class_count + 1, sizeof *d->classes);
    for (int64_t i = 0; i < d->class_count; i++) {
        const char *name = json_string_value(json_array_get(classes, (size_t)i));
        if (!name) return error_set(error, ERROR_FAILED, "%s: class %ld has no name", path, (long)i);
        d->classes[i] = mem_strdup(name);
    }
    return 0;
}

int dataset_open(struct dataset *dataset, const char *folder, struct error *error)
{
    struct dataset d = {.folder = mem_strdup(folder)};
    char *path = fs_join(folder, "dataset.json");
    int rc = 0;
    if (!fs_exists(path))
        rc = error_set(error, ERROR_FAILED, "%s: no data set here (no dataset.json); make one with pe-dataloader pack", folder);
    json_t *root = rc == 0 ? json_read(path, error) : NULL;
    if (root) rc = parse(&d, path, root, error);
    else rc = -1;
    json_decref(root);
    free(path);
    for (int64_t i = 0; rc == 0 && i < d.shard_count; i++)
        if (d.shards[i].samples) rc = open_shard(&d, &d.shards[i], error);
    if (rc < 0) {
        dataset_close(&d);
        return -1;
    }
    *dataset = d;
    return 0;
}

void dataset_close(struct dataset *d)
{
    for (int64_t i = 0; i < d->shard_count; i++) {
        if (d->shards[i].txn) mdb_txn_abort(d->shards[i].txn);
        if (d->shards[i].env) mdb_env_close(d->shards[i].env);
        free(d->shards[i].file);
    }
    for (int64_t i = 0; i < d->class_count; i++) free(d->classes[i]);
    free(d->classes);
    free(d->shards);
    free(d->folder);
    *d = (struct dataset){0};
}

int dataset_read(const struct dataset *d, int64_t index, struct record *record, struct error *error)
{
    CHECK(index >= 0 && index < d->samples, "sample %ld of %ld", (long)index, (long)d->samples);
    int64_t low = 0, high = d->shard_count - 1;
    while (low < high) { /* the last shard that starts at or before index and is not empty */
        int64_t middle = (low + high + 1) / 2;
        if (d->shards[middle].first <= index) low = middle;
        else high = middle - 1;
    }
    const struct shard *s = &d->shards[low];
    uint8_t bytes[8];
    key_bytes(index - s->first, bytes);
    MDB_val key = {8, bytes}, value;
    int rc = mdb_get(s->txn, s->table, &key, &value);
    if (rc) return error_set(error, ERROR_FAILED, "%s/%s: key %ld: %s", d->folder, s->file, (long)(index - s->first), mdb_strerror(rc));
    if (record_decode(value.mv_data, value.mv_size, record, error) < 0)
        return error_prefix(error, "%s/%s: key %ld", d->folder, s->file, (long)(index - s->first));
    return 0;
}

uint64_t dataset_identity(const struct dataset *d)
{
    uint64_t identity = 0;
    for (int64_t i = 0; i < d->shard_count; i++) {
        uint64_t shard[] = {(uint64_t)d->shards[i].samples, d->shards[i].checksum};
        identity = XXH3_64bits_withSeed(shard, sizeof shard, identity);
    }
    return identity;
}

int64_t dataset_verify_shard(const struct dataset *d, int64_t n, void (*report)(void *, int64_t, const struct error *), void *context,
                             struct error *error)
{
    const struct shard *s = &d->shards[n];
    int64_t bad = 0;
    for (int64_t i = 0; i < s->samples; i++) {
        struct record record;
        struct error why = {0};
        if (dataset_read(d, s->first + i, &record, &why) == 0) continue;
        report(context, i, &why);
        bad++;
    }
    char *path = fs_join(d->folder, s->file);
    uint64_t sum;
    int rc = file_checksum(path, &sum, error);
    if (rc == 0 && sum != s->checksum && !bad) {
        struct error why = {0};
        error_set(&why, ERROR_FAILED, "%s: the file's checksum does not match: damaged outside its records", path);
        report(context, -1, &why);
        bad++;
    }
    free(path);
    return rc < 0 ? -1 : bad;
}

static int lmdb_failed(const struct shard_writer *w, int rc, struct error *error)
{
    return error_set(error, ERROR_FAILED, "%s: cannot write: %s%s", w->aside, mdb_strerror(rc), rc == 5 ? " (disk full?)" : "");
}

static int begin(struct shard_writer *w, struct error *error)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(w->env, NULL, 0, &txn);
    if (!rc) rc = mdb_dbi_open(txn, NULL, MDB_CREATE, &w->table);
    if (rc) return lmdb_failed(w, rc, error);
    w->txn = txn;
    w->pending = 0;
    return 0;
}

int shard_create(struct shard_writer *w, const char *path, struct error *error)
{
    struct str aside = {0};
    str_printf(&aside, "%s.tmp", path);
    *w = (struct shard_writer){.path = mem_strdup(path), .aside = str_steal(&aside), .map_size = (size_t)1 << 40};
    unlink(w->aside);
    MDB_env *env = NULL;
    int rc = mdb_env_create(&env);
    if (!rc) rc = mdb_env_set_mapsize(env, w->map_size);
    if (!rc) rc = mdb_env_open(env, w->aside, MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOLOCK | MDB_NOTLS, 0666);
    w->env = env;
    if (rc) lmdb_failed(w, rc, error);
    else rc = begin(w, error);
    if (rc) shard_abandon(w);
    return rc ? -1 : 0;
}

int shard_append(struct shard_writer *w, const void *bytes, size_t len, struct error *error)
{
    uint8_t name[8];
    key_bytes(w->samples, name);
    MDB_val key = {8, name}, value = {len, (void *)(uintptr_t)bytes};
    int rc = mdb_put(w->txn, w->table, &key, &value, MDB_APPEND);
    if (rc) return lmdb_failed(w, rc, error);
    w->samples++;
    if (++w->pending < PER_TRANSACTION) return 0;
    rc = mdb_txn_commit(w->txn);
    w->txn = NULL;
    return rc ? lmdb_failed(w, rc, error) : begin(w, error);
}

void shard_abandon(struct shard_writer *w)
{
    if (w->txn) mdb_txn_abort(w->txn);
    if (w->env) mdb_env_close(w->env);
    if (w->aside) unlink(w->aside);
    free(w->aside);
    free(w->path);
    *w = (struct shard_writer){0};
}

int shard_finish(struct shard_writer *w, int64_t *bytes, uint64_t *checksum, struct error *error)
{
    int rc = mdb_txn_commit(w->txn);
    w->txn = NULL;
    if (!rc) rc = mdb_env_sync(w->env, 1);
    if (rc) lmdb_failed(w, rc, error);
    mdb_env_close(w->env);
    w->env = NULL;
    if (!rc) rc = fs_sync(w->aside, error);
    if (!rc) rc = file_checksum(w->aside, checksum, error);
    if (!rc) {
        *bytes = fs_size(w->aside);
        rc = fs_rename(w->aside, w->path, error);
    }
    shard_abandon(w);
    return rc ? -1 : 0;
}

int file_checksum(const char *path, uint64_t *checksum, struct error *error)
{
    struct fs_map map;
    if (fs_map(path, &map, error) < 0) return -1;
    *checksum = XXH3_64bits(map.bytes, map.len);
    fs_unmap(&map);
    return 0;
}
