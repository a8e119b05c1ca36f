/* Finding records in LMDB's pages, and writing them by LMDB. */
#include "data/shard.h"

#include <errno.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/memory.h"
#include "base/str.h"

enum { BRANCH = 1, LEAF = 2, OVERFLOW = 4, META = 8 };
enum { PAGE_HEADER = 16, NODE_HEADER = 8, KEY = 8, DEEPEST = 32 };
enum { META_END = 152, SMALLEST_PAGE = 256, LARGEST_PAGE = 32768 };
enum { PER_TRANSACTION = 512 };
static const size_t ROOM = (size_t)1 << 40; /* bytes of address space a shard is written in */

static void key_bytes(int64_t key, uint8_t out[KEY])
{
    for (int i = 0; i < KEY; i++) out[i] = (uint8_t)((uint64_t)key >> 8 * (7 - i));
}

static uint64_t number(const uint8_t *at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) value |= (uint64_t)at[i] << 8 * i;
    return value;
}

/* NULL where the file has no such page of this kind. */
static const uint8_t *page_at(const struct shard_reader *r, uint64_t n, unsigned kind)
{
    if (n >= r->file.len / r->page) return NULL;
    const uint8_t *page = r->file.bytes + n * r->page;
    return number(page, 8) == n && (number(page + 10, 2) & (BRANCH | LEAF | OVERFLOW | META)) == kind ? page : NULL;
}

static int64_t node_count(const struct shard_reader *r, const uint8_t *page)
{
    uint64_t lower = number(page + 12, 2);
    return lower < PAGE_HEADER || lower > r->page ? 0 : (int64_t)(lower - PAGE_HEADER) / 2;
}

struct node {
    const uint8_t *at, *key;
    size_t key_len, room; /* bytes of the page after the key */
};

/* -1 where it would reach over the page's end. */
static int node_at(const struct shard_reader *r, const uint8_t *page, int64_t i, struct node *node)
{
    size_t offset = number(page + PAGE_HEADER + 2 * i, 2);
    if (offset < PAGE_HEADER || offset + NODE_HEADER > r->page) return -1;
    struct node n = {.at = page + offset, .key = page + offset + NODE_HEADER, .key_len = number(page + offset + 6, 2)};
    if (offset + NODE_HEADER + n.key_len > r->page) return -1;
    n.room = r->page - offset - NODE_HEADER - n.key_len;
    *node = n;
    return 0;
}

/* The last node of a page whose key is not above `key`; the first one of a branch, which has no key, if none is. */
static int search(const struct shard_reader *r, const uint8_t *page, bool branch, const uint8_t key[KEY],
                  struct node *found)
{
    int64_t low = branch ? 0 : -1, high = node_count(r, page) - 1;
    while (low < high) {
        int64_t middle = low + (high - low + 1) / 2;
        struct node n;
        if (node_at(r, page, middle, &n) < 0 || n.key_len != KEY) return -1;
        if (memcmp(n.key, key, KEY) <= 0)
            low = middle;
        else
            high = middle - 1;
    }
    return low < 0 || low > high ? -1 : node_at(r, page, low, found);
}

static const uint8_t *leaf_of(const struct shard_reader *r, const uint8_t key[KEY])
{
    uint64_t n = r->root;
    for (int depth = 0; depth < DEEPEST; depth++) {
        const uint8_t *page = page_at(r, n, BRANCH);
        struct node node;
        if (!page) return page_at(r, n, LEAF);
        if (search(r, page, true, key, &node) < 0) return NULL;
        n = number(node.at, 6);
    }
    return NULL;
}

int shard_find(const struct shard_reader *r, int64_t key, const uint8_t **bytes, size_t *len, struct error *error)
{
    uint8_t wanted[KEY];
    struct node node;
    key_bytes(key, wanted);
    const uint8_t *leaf = leaf_of(r, wanted);
    if (!leaf) return error_set(error, ERROR_FAILED, "a page on the way to it is damaged");
    if (search(r, leaf, false, wanted, &node) < 0 || node.key_len != KEY || memcmp(node.key, wanted, KEY))
        return error_set(error, ERROR_FAILED, "not found");
    const uint8_t *value = node.key + KEY;
    size_t size = number(node.at, 4), room = node.room;
    if (number(node.at + 4, 2) & 1) {
        uint64_t n = room < 8 ? UINT64_MAX : number(value, 8);
        value = page_at(r, n, OVERFLOW);
        if (!value) return error_set(error, ERROR_FAILED, "its first page is damaged");
        value += PAGE_HEADER;
        room = r->file.len - (size_t)(value - r->file.bytes);
    }
    if (size > room) return error_set(error, ERROR_FAILED, "reaches over the end");
    *bytes = value;
    *len = size;
    return 0;
}

static bool is_meta(const uint8_t *page)
{
    return number(page + 10, 2) & META && number(page + 16, 4) == 0xbeefc0de && number(page + 20, 4) == 1;
}

/* Page size, root and number of records, from the later of the two metas. */
int shard_parse(struct shard_reader *reader, struct fs_map file)
{
    const uint8_t *first = file.bytes;
    if (file.len < META_END || !is_meta(first)) return -1;
    size_t page = number(first + 40, 4);
    if (page < SMALLEST_PAGE || page > LARGEST_PAGE || page & (page - 1) || file.len < 2 * page) return -1;
    const uint8_t *second = first + page;
    if (!is_meta(second)) return -1;
    const uint8_t *meta = number(second + 144, 8) > number(first + 144, 8) ? second : first;
    *reader = (struct shard_reader){
        .file = file, .page = page, .root = number(meta + 128, 8), .records = (int64_t)number(meta + 120, 8)};
    return 0;
}

int shard_open(struct shard_reader *reader, const char *path, struct error *error)
{
    struct fs_map file;
    if (fs_map(path, &file, error) < 0) return -1;
    if (shard_parse(reader, file) == 0) return 0;
    fs_unmap(&file);
    return error_set(error, ERROR_FAILED, "%s: not a shard: its first pages are not LMDB's", path);
}

void shard_close(struct shard_reader *r)
{
    fs_unmap(&r->file);
    *r = (struct shard_reader){0};
}

uint64_t shard_checksum(const struct shard_reader *r)
{
    return XXH3_64bits(r->file.bytes, r->file.len);
}

static int lmdb_failed(const struct shard_writer *w, int rc, struct error *error)
{
    const char *hint = rc == EIO ? " (disk full?)" : "";
    return error_set(error, ERROR_FAILED, "%s: cannot write: %s%s", w->aside, mdb_strerror(rc), hint);
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

/* In all the room there is where the system does not grant ROOM (ulimit -v).  The file is the same: its first pages,
 * with the size first asked for, are written before the map is made. */
static int open_env(struct shard_writer *w)
{
    int rc = ENOMEM;
    for (size_t room = ROOM; rc == ENOMEM && room >= (size_t)1 << 20; room /= 2) {
        MDB_env *env = NULL;
        rc = mdb_env_create(&env);
        if (!rc) rc = mdb_env_set_mapsize(env, room);
        if (!rc) rc = mdb_env_open(env, w->aside, MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOLOCK | MDB_NOTLS, 0666);
        if (!rc)
            w->env = env;
        else if (env)
            mdb_env_close(env);
    }
    return rc;
}

int shard_create(struct shard_writer *w, const char *path, struct error *error)
{
    struct str aside = {0};
    str_printf(&aside, "%s.tmp", path);
    *w = (struct shard_writer){.path = mem_strdup(path), .aside = str_steal(&aside)};
    unlink(w->aside);
    int rc = open_env(w);
    if (rc)
        lmdb_failed(w, rc, error);
    else
        rc = begin(w, error);
    if (rc) shard_abandon(w);
    return rc ? -1 : 0;
}

int shard_append(struct shard_writer *w, const void *bytes, size_t len, struct error *error)
{
    uint8_t name[KEY];
    key_bytes(w->samples, name);
    MDB_val key = {KEY, name}, value = {len, (void *)(uintptr_t)bytes};
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
    if (!rc) rc = fs_checksum(w->aside, checksum, error);
    if (!rc) {
        *bytes = fs_size(w->aside);
        rc = fs_rename(w->aside, w->path, error);
    }
    shard_abandon(w);
    return rc ? -1 : 0;
}
