/* The safetensors format: read any file into float32, write float32 files atomically.
 *
 *   | header bytes, u64 little-endian | JSON {"name": {"dtype", "shape", "data_offsets": [from, to]}, "__metadata__"} |
 *   tensors |
 *
 * Offsets count from the end of the header.  Reading maps the file; every offset, shape and name is checked first. */
#ifndef CHECKPOINT_SAFETENSORS_H
#define CHECKPOINT_SAFETENSORS_H

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"
#include "base/fs.h"

enum safetensors_dtype { ST_F32, ST_F16, ST_BF16, ST_F64, ST_I64, ST_OTHER };

struct safetensors_entry {
    const char *name; /* borrowed from the header */
    enum safetensors_dtype dtype;
    int ndim;
    int64_t shape[8], count; /* count: elements */
    const unsigned char *bytes;
};

struct safetensors {
    char *path;
    struct fs_map map, *more; /* more [more_count]: of the other files of a model in parts */
    int64_t more_count;
    json_t *header;                    /* of a model in parts: an array of headers */
    struct safetensors_entry *entries; /* in the order of the header */
    int64_t count;
};

int safetensors_open(struct safetensors *file, const char *path, struct error *error);
/* The same over bytes the caller keeps; `path` names them in messages. */
int safetensors_parse(struct safetensors *file, const char *path, const unsigned char *bytes, size_t len,
                      struct error *error);
void safetensors_close(struct safetensors *file);
const struct safetensors_entry *safetensors_find(const struct safetensors *file, const char *name);
const char *safetensors_metadata(const struct safetensors *file, const char *key); /* NULL when absent */

/* Elements [from, from + count) as float32; fails for integer types. */
int safetensors_read(const struct safetensors *file, const struct safetensors_entry *entry, int64_t from, int64_t count,
                     float *out, struct error *error);

/* Writing: declare all tensors, begin, then give their data in the same order. */
struct safetensors_writer {
    char *path, *aside;
    json_t *header;
    int64_t bytes, written;
    int fd;
    void *hash; /* XXH3 of all bytes */
};
void safetensors_declare(struct safetensors_writer *writer, const char *name, int ndim, const int64_t *shape);
int safetensors_begin(struct safetensors_writer *writer, const char *path, json_t *metadata,
                      struct error *error); /* metadata: borrowed object of strings or NULL */
int safetensors_append(struct safetensors_writer *writer, const float *data, int64_t count, struct error *error);
/* fsync and rename; *checksum (may be NULL) is XXH3-64 of the whole file.  Cleans up whether or not it fails. */
int safetensors_finish(struct safetensors_writer *writer, uint64_t *checksum, struct error *error);
void safetensors_abandon(struct safetensors_writer *writer);

#endif
