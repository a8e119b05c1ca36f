/* Which file a model is in, and the joining of its parts. */
#include "checkpoint/tensors.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/str.h"
#include "checkpoint/pytorch.h"

/* Take over what `part` holds. */
static void join(struct safetensors *all, struct safetensors *part)
{
    all->entries = mem_realloc(all->entries, (size_t)(all->count + part->count) + 1, sizeof *all->entries);
    memcpy(all->entries + all->count, part->entries, (size_t)part->count * sizeof *part->entries);
    all->count += part->count;
    all->more = mem_realloc(all->more, (size_t)all->more_count + 1, sizeof *all->more);
    all->more[all->more_count++] = part->map;
    json_array_append_new(all->header, part->header);
    free(part->entries);
    free(part->path);
}

/* weight_map of the index says which part holds which tensor; each part is opened once, in order of first mention. */
static int open_parts(struct safetensors *file, const char *folder, const char *index, struct error *error)
{
    json_t *root = json_read(index, error), *map = json_object_get(root, "weight_map"), *seen = json_object(), *value;
    struct safetensors all = {.path = mem_strdup(index), .header = json_array()};
    int rc = root ? 0 : -1;
    if (rc == 0 && !json_object_size(map)) rc = error_set(error, ERROR_FAILED, "%s: no weight_map", index);
    const char *name;
    json_object_foreach (map, name, value) {
        const char *part = json_string_value(value);
        if (rc < 0 || (part && json_object_get(seen, part))) continue;
        if (!part || strchr(part, '/')) {
            rc = error_set(error, ERROR_FAILED, "%s: tensor %.200s lies in no file beside the index", index, name);
            continue;
        }
        struct safetensors one;
        char *path = fs_join(folder, part);
        rc = safetensors_open(&one, path, error);
        if (rc == 0) join(&all, &one);
        json_object_set_new(seen, part, json_true());
        free(path);
    }
    json_object_foreach (map, name, value) {
        if (rc == 0 && !safetensors_find(&all, name))
            rc = error_set(error, ERROR_FAILED, "%s: tensor %.200s is not in %.200s", index, name,
                           json_string_value(value));
    }
    json_decref(root);
    json_decref(seen);
    if (rc < 0)
        safetensors_close(&all);
    else
        *file = all;
    return rc;
}

static int open_file(struct safetensors *file, const char *path, struct error *error)
{
    return str_ends_with(path, ".pt") || str_ends_with(path, ".pth") ? pytorch_open(file, path, error)
                                                                     : safetensors_open(file, path, error);
}

int tensors_open(struct safetensors *file, const char *path, struct error *error)
{
    static const char *const names[] = {
        "model.safetensors", "open_clip_model.safetensors", "model.safetensors.index.json", "consolidated.safetensors",
        "consolidated.pth",  "consolidated.00.pth"};
    if (!fs_is_folder(path)) return open_file(file, path, error);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *inside = fs_join(path, names[i]);
        int rc = 1;
        if (fs_exists(inside))
            rc =
                str_ends_with(inside, ".json") ? open_parts(file, path, inside, error) : open_file(file, inside, error);
        free(inside);
        if (rc != 1) return rc;
    }
    return error_set(error, ERROR_FAILED,
                     "%s: no model.safetensors, model.safetensors.index.json or consolidated.pth in this folder", path);
}

int tensors_identify(json_t *identity, const char *key, const char *path, struct error *error)
{
    struct safetensors file;
    if (!path) return 0;
    if (tensors_open(&file, path, error) < 0) return -1;
    uint64_t sum = XXH3_64bits(file.map.bytes, file.map.len);
    for (int64_t i = 0; i < file.more_count; i++) sum = XXH3_64bits_withSeed(file.more[i].bytes, file.more[i].len, sum);
    json_object_set_new(identity, key, json_checksum(sum));
    safetensors_close(&file);
    return 0;
}
