/* The two vectors, a piece at a time. */
#include "models/moments.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/str.h"
#include "checkpoint/safetensors.h"

/* Device memory into a file, a piece at a time. */
static int append(struct device *d, struct safetensors_writer *out, const float *data, int64_t count,
                  struct error *error)
{
    enum { PIECE = 1 << 22 };
    const struct kernels *k = d->kernels;
    if (!k->reserve) return safetensors_append(out, data, count, error);
    float *piece = mem_alloc(PIECE, sizeof *piece);
    int rc = 0;
    for (int64_t at = 0; at < count && rc == 0; at += PIECE) {
        int64_t n = count - at < PIECE ? count - at : PIECE;
        k->download(d, piece, data + at, (size_t)n * sizeof *piece);
        rc = safetensors_append(out, piece, n, error);
    }
    free(piece);
    return rc;
}

int moments_save(const struct optimizer *o, const struct checkpoint_writer *w, json_t *sums, struct error *error)
{
    const struct world *world = o->comm->world;
    struct device *d = o->comm->device;
    if ((!o->sharded && world->rank) || o->first == o->end) return 0;
    char name[64], first[24];
    snprintf(name, sizeof name, "optimizer-%05d-of-%05d.safetensors", world->rank, o->sharded ? world->size : 1);
    snprintf(first, sizeof first, "%" PRId64, o->first);
    char *path = checkpoint_file(w, name);
    int64_t count = o->end - o->first;
    struct safetensors_writer out = {.fd = -1};
    safetensors_declare(&out, "m", 1, &count);
    safetensors_declare(&out, "v", 1, &count);
    json_t *metadata = json_pack("{s:s}", "first", first);
    uint64_t sum;
    int rc = safetensors_begin(&out, path, metadata, error);
    json_decref(metadata);
    if (rc == 0) rc = append(d, &out, o->m, count, error);
    if (rc == 0) rc = append(d, &out, o->v, count, error);
    if (rc == 0)
        rc = safetensors_finish(&out, &sum, error);
    else
        safetensors_abandon(&out);
    if (rc == 0) json_object_set_new(sums, name, json_checksum(sum));
    free(path);
    return rc;
}

/* Elements [from, to) of an entry into device memory. */
static int read_part(struct device *d, const struct safetensors *file, const struct safetensors_entry *e, int64_t from,
                     int64_t to, float *out, struct error *error)
{
    const struct kernels *k = d->kernels;
    if (!k->reserve) return safetensors_read(file, e, from, to - from, out, error);
    float *host = mem_alloc((size_t)(to - from), sizeof *host);
    int rc = safetensors_read(file, e, from, to - from, host, error);
    if (rc == 0) k->upload(d, out, host, (size_t)(to - from) * sizeof *host);
    k->wait(d);
    free(host);
    return rc;
}

/* Floats [first, end) of the store. */
struct range {
    int64_t first, end;
};

/* Copy what a file holds of this rank's part of the moments; *got is what that was. */
static int load_part(struct optimizer *o, const char *path, struct range *got, struct error *error)
{
    struct device *d = o->comm->device;
    struct safetensors file;
    if (safetensors_open(&file, path, error) < 0) return -1;
    const struct safetensors_entry *m = safetensors_find(&file, "m"), *v = safetensors_find(&file, "v");
    const char *start = safetensors_metadata(&file, "first");
    int rc = 0;
    if (!m || !v || !start || m->count != v->count) rc = error_set(error, ERROR_FAILED, "%s: no optimizer state", path);
    if (rc == 0) {
        int64_t first = strtoll(start, NULL, 10), end = first + m->count;
        *got = (struct range){first > o->first ? first : o->first, end < o->end ? end : o->end};
        if (got->first < got->end) {
            int64_t at = got->first - o->first;
            rc = read_part(d, &file, m, got->first - first, got->end - first, o->m + at, error);
            if (rc == 0) rc = read_part(d, &file, v, got->first - first, got->end - first, o->v + at, error);
        }
    }
    safetensors_close(&file);
    return rc;
}

/* The first float of [first, end) that none of the ranges has; end: there is none. */
static int64_t gap(const struct range *had, int count, int64_t first, int64_t end)
{
    for (bool further = true; further && first < end;) {
        further = false;
        for (int i = 0; i < count; i++)
            if (had[i].first <= first && had[i].end > first) first = had[i].end, further = true;
    }
    return first;
}

int moments_load(struct optimizer *o, const char *folder, const json_t *files, struct error *error)
{
    struct range *had = mem_zalloc(json_object_size(files), sizeof *had);
    const char *name;
    json_t *sum;
    int rc = 0, count = 0;
    json_object_foreach ((json_t *)files, name, sum) {
        if (rc < 0 || !str_starts_with(name, "optimizer-")) continue;
        char *path = fs_join(folder, name);
        rc = load_part(o, path, &had[count++], error);
        free(path);
    }
    int64_t missing = gap(had, count, o->first, o->end);
    if (rc == 0 && missing < o->end)
        rc = error_set(error, ERROR_FAILED,
                       "%s: its %d files of optimizer state do not hold moment %" PRId64 " of %" PRId64
                       "; start a new run from its model.safetensors",
                       folder, count, missing, o->parameters->total);
    free(had);
    return rc;
}
