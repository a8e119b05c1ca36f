/* A data set: a folder of LMDB shards and dataset.json.
 *
 *   dataset.json        { "format": "percept-dataset", "version": 1, "samples": N, "videos": of them | absent, "classes": [names] | absent,
 *                         "shards": [ {"file", "samples", "bytes", "xxh3"} ... ], "provenance": {...} }
 *   shard-00000.lmdb    one file, MDB_NOSUBDIR; key: big-endian u64 number within the shard; value: record.h
 *
 * Shards are written once, under a temporary name, and never changed.  Readers open them MDB_RDONLY | MDB_NOLOCK: no lock file,
 * any number of processes, read-only file systems.  A record handed out points into the map and lives until dataset_close. */
#ifndef DATA_DATASET_H
#define DATA_DATASET_H

#include <jansson.h>

#include "data/record.h"

struct shard {
    char *file;
    int64_t samples, first; /* first: index of its first sample in the data set */
    uint64_t checksum;
    void *env, *txn; /* MDB_env, MDB_txn */
    unsigned table;
};

struct dataset {
    char *folder;
    struct shard *shards;
    int64_t shard_count, samples, videos;
    char **classes; /* names by label, or NULL */
    int64_t class_count;
};

int dataset_open(struct dataset *dataset, const char *folder, struct error *error);
void dataset_close(struct dataset *dataset);

/* The record at index [0, samples).  Safe from any number of threads.  Errors name shard and key. */
int dataset_read(const struct dataset *dataset, int64_t index, struct record *record, struct error *error);

/* What tells it from other data sets: XXH3 of its shards' counts and checksums as dataset.json has them; where it lies does not matter. */
uint64_t dataset_identity(const struct dataset *dataset);

/* Check all of a shard's records and its checksum; each damaged record is passed to `report`.  Returns how many were bad, or -1
 * when the shard cannot be read at all. */
int64_t dataset_verify_shard(const struct dataset *dataset, int64_t shard,
                             void (*report)(void *context, int64_t key, const struct error *why), void *context, struct error *error);

/* Writing one shard. */
struct shard_writer {
    char *path, *aside;
    void *env, *txn;
    unsigned table;
    int64_t samples, pending;
    size_t map_size;
};
int shard_create(struct shard_writer *writer, const char *path, struct error *error);
int shard_append(struct shard_writer *writer, const void *bytes, size_t len, struct error *error);
/* fsync, rename, checksum of the file.  The writer is gone afterwards, whether or not it fails. */
int shard_finish(struct shard_writer *writer, int64_t *bytes, uint64_t *checksum, struct error *error);
void shard_abandon(struct shard_writer *writer);

/* XXH3-64 of a file's bytes. */
int file_checksum(const char *path, uint64_t *checksum, struct error *error);

#endif
