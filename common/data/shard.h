/* A shard: one LMDB file of records (record.h) under the keys 0, 1, 2 ..., written once and never changed.
 *
 * LMDB writes it.  Reading is our own: LMDB trusts the pages it maps, so that a flipped bit in one of them is a wild
 * address; it keeps a descriptor for each file; and it lets threads share a transaction only when they take turns.
 * A reader here is a map of the file and nothing else: no lock, no descriptor, no state, any number of threads, and
 * every offset is compared with the file's end before it is followed.
 *
 *   page      0  u64  its number    all integers little-endian; pages of 4096 bytes, or as the first meta says
 *            10  u16  kind: 1 branch, 2 leaf, 4 overflow, 8 meta
 *            12  u16  lower: the page has (lower - 16) / 2 nodes
 *            16  u16  offset of each node in the page, in order of keys
 *   meta     16  u32  magic beefc0de, u32 version 1    pages 0 and 1; the one of the later transaction holds
 *            40  u32  bytes of a page
 *           120  u64  number of records, u64 root page (all ones: no records)
 *           144  u64  transaction
 *   node      0  u32  leaf: bytes of the record;  branch: with the next two, u48 number of the page below
 *             4  u16  leaf: 1 when the record lies in overflow pages
 *             6  u16  bytes of the key
 *             8       key: big-endian u64 number, nothing for the first node of a branch
 *                     record, or u64 number of its first overflow page, whose record begins at byte 16
 *
 * A file that shrinks while it is mapped, or whose disk fails, ends the program with SIGBUS: shards are written aside
 * and renamed, never changed in place. */
#ifndef DATA_SHARD_H
#define DATA_SHARD_H

#include "base/fs.h"

struct shard_reader {
    struct fs_map file;
    size_t page; /* bytes */
    uint64_t root;
    int64_t records;
};
/* Maps the file at its size.  Fails when it is no LMDB file; damage further in shows when a record is looked for. */
int shard_open(struct shard_reader *reader, const char *path, struct error *error);
void shard_close(struct shard_reader *reader);
/* The same of a file that is mapped; -1 when it is none. */
int shard_parse(struct shard_reader *reader, struct fs_map file);
/* XXH3-64 of all its bytes. */
uint64_t shard_checksum(const struct shard_reader *reader);
/* The record under a key: it points into the map and lives until shard_close.  Errors name no file. */
int shard_find(const struct shard_reader *reader, int64_t key, const uint8_t **bytes, size_t *len, struct error *error);

struct shard_writer {
    char *path, *aside;
    void *env, *txn; /* MDB_env, MDB_txn */
    unsigned table;
    int64_t samples, pending;
};
/* Writes path.tmp. */
int shard_create(struct shard_writer *writer, const char *path, struct error *error);
int shard_append(struct shard_writer *writer, const void *bytes, size_t len, struct error *error);
/* fsync, rename, size and checksum of the file.  The writer is gone afterwards, whether or not it fails. */
int shard_finish(struct shard_writer *writer, int64_t *bytes, uint64_t *checksum, struct error *error);
void shard_abandon(struct shard_writer *writer);

#endif
