/* Writing a data set: its folder is claimed, its shards come in any order from any ranks, its index comes last.
 *
 *   pack.json          what the data set is made from: a second pack into the folder must be the same one
 *   shard-00000.lmdb   shard.h
 *   shard-00000.json   after it: { "file", "samples", "bytes", "xxh3", "quarantine": [rows], "videos",
 *                        "counts": by name | absent }
 *   quarantine.jsonl   rows of all shards: {"source", "key", "reason", "xxh3"} of what was left out
 *   dataset.json       last (dataset.h)
 *
 * What a shard holds must follow from its number and the recipe alone.  Then any number of ranks gives the same bytes,
 * and a pack that was killed goes on with the shards that are missing.  Nothing here is collective. */
#ifndef DATA_WRITER_H
#define DATA_WRITER_H

#include "base/json.h"
#include "base/str.h"
#include "data/shard.h"

/* One rank, before anyone writes: the folder is made, and pack.json in it says what the data set is made from (recipe,
 * borrowed).  A folder of the same recipe is gone on with.  Refused: one of the inputs, by whatever path; a folder of
 * another recipe; one that holds a data set without pack.json. */
int writer_claim(const char *folder, const json_t *recipe, char *const *inputs, int64_t count, struct error *error);

/* A shard that is being written. */
struct writer {
    char *note; /* path of shard-N.json */
    struct shard_writer shard;
    json_t *quarantine, *counts;
    int64_t videos;
};
/* It is there, and of the size its note says. */
bool writer_has(const char *folder, int64_t number);
int writer_begin(struct writer *writer, const char *folder, int64_t number, struct error *error);
/* An encoded record. */
int writer_append(struct writer *writer, const struct str *record, bool video, struct error *error);
/* An item that is left out: `hash` is XXH3 of its media. */
void writer_leave_out(struct writer *writer, const char *source, const char *key, uint64_t hash, const char *reason);
/* One more of what the caller counts by this name, over all shards (writer_index.counts). */
void writer_count(struct writer *writer, const char *name);
/* The shard is complete, or not to be; the writer is gone afterwards, whether or not this fails. */
int writer_finish(struct writer *writer, struct error *error);
void writer_abandon(struct writer *writer);

/* What the shards hold together. */
struct writer_index {
    json_t *shards, *counts;
    int64_t samples, videos, left_out, bytes;
};
/* One rank, when all shards are finished: reads their notes and writes quarantine.jsonl. */
int writer_gather(const char *folder, int64_t shards, struct writer_index *index, struct error *error);
/* Names of its labels, and templates for them (dataset.h). */
struct writer_names {
    char *const *classes, *const *templates;
    int64_t class_count, template_count;
};
/* Then dataset.json, which makes it a data set; fails without a sample. */
int writer_commit(const char *folder, const struct writer_index *index, const struct writer_names *names,
                  json_t *recipe, struct error *error);
int64_t writer_counted(const struct writer_index *index, const char *name);
void writer_index_free(struct writer_index *index);

#endif
