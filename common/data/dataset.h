/* A data set: a folder of shards and dataset.json; or files as people hand them on (data/source.h), read as they lie
 * there.
 *
 *   dataset.json       { "format": "percept-dataset", "version": 1, "samples": N, "videos": of them | absent,
 *                        "classes": [names] | absent, "templates": [for the names] | absent,
 *                        "shards": [ {"file", "samples", "bytes", "xxh3"} ... ], "provenance": {...} }
 *   shard-00000.lmdb   shard.h
 *
 * Opening compares the shards' sizes with dataset.json and opens none.  A shard is mapped when a record of it is first
 * read, and stays so: address space is needed for what is read, descriptors are not, and each shard takes one of the
 * system's maps (vm.max_map_count, 65530 as a rule).  Before its first record is handed out a shard's checksum is
 * compared: that reads the file once.  A shard that fails stays failed, with the same error for each of its records. */
#ifndef DATA_DATASET_H
#define DATA_DATASET_H

#include <pthread.h>
#include <stdbool.h>

#include "data/record.h"
#include "data/shard.h"
#include "data/source.h"

struct shard {
    char *file;
    int64_t samples, first, bytes; /* first: index of its first sample in the data set */
    uint64_t checksum;
    struct shard_reader *_Atomic reader; /* NULL until it is first read */
    struct error *failed;                /* why it could not be opened; with `reader`, written under the lock */
    pthread_mutex_t opening;
};

struct dataset {
    char *folder;
    struct shard *shards;
    int64_t shard_count, samples, videos;
    char **classes; /* names by label, or NULL */
    int64_t class_count;
    char **templates; /* "a photo of a {c}.", or NULL */
    int64_t template_count;
    struct sources *files; /* of a data set that is files, without shards; else NULL */
    bool trusted;          /* set before reading: shards' checksums are not compared; those of the records always are */
};

/* Fails when a shard is missing or has another size.  With dataset_list that is left to be found out. */
int dataset_open(struct dataset *dataset, const char *folder, struct error *error);
int dataset_list(struct dataset *dataset, const char *folder, struct error *error);
/* Of anything that data/source.h reads. */
int dataset_open_files(struct dataset *dataset, const char *path, struct error *error);
void dataset_close(struct dataset *dataset);

/* The record at index [0, samples), until record_release (where it points into a map, until dataset_close).  Any
 * thread.  Errors name shard or source, and key. */
int dataset_read(const struct dataset *dataset, int64_t index, struct record *record, struct error *error);
/* The same for captions, label and metadata: of files the media are not read, and not in the record. */
int dataset_read_texts(const struct dataset *dataset, int64_t index, struct record *record, struct error *error);
/* Open the shard of that record, as dataset_read does.  Fails when the shard is damaged as a whole: no record of it is
 * to be had, and going on with others would hide that.  Any thread. */
int dataset_reach(const struct dataset *dataset, int64_t index, struct error *error);

/* What tells it from other data sets: XXH3 of its shards' counts and checksums as dataset.json has them, of files their
 * names and sizes; where it lies does not matter. */
uint64_t dataset_identity(const struct dataset *dataset);

/* Compare a shard's size and checksum, then check its records.  Each thing that is damaged is passed to `report`: the
 * shard itself and, when it has its whole size, each record.  Returns how many. */
int64_t dataset_verify_shard(const struct dataset *dataset, int64_t shard,
                             void (*report)(void *context, const struct error *why), void *context);

#endif
