/* Claiming a folder. */
#include "data/writer.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/str.h"

/* Something of a data set lies there. */
static int is_taken(const char *folder, bool *taken, struct error *error)
{
    struct fs_list list;
    if (fs_list(folder, &list, error) < 0) return -1;
    *taken = false;
    for (size_t i = 0; i < list.count; i++)
        if (str_starts_with(list.names[i], "shard-") || !strcmp(list.names[i], "dataset.json")) *taken = true;
    fs_list_free(&list);
    return 0;
}

static int compare(const char *folder, const char *path, const json_t *recipe, struct error *error)
{
    json_t *before = json_read(path, error);
    if (!before) return -1;
    bool same = json_equal(before, recipe);
    json_decref(before);
    if (same) return 0;
    return error_set(error, ERROR_FAILED,
                     "%s: holds a pack of other inputs or options (see pack.json); choose another --output or remove it",
                     folder);
}

int writer_claim(const char *folder, const json_t *recipe, char *const *inputs, int64_t count, struct error *error)
{
    for (int64_t i = 0; i < count; i++)
        if (fs_same(folder, inputs[i]))
            return error_set(error, ERROR_USAGE, "%s: is the input %s itself; choose another --output", folder,
                             inputs[i]);
    if (fs_make_folders(folder, error) < 0) return -1;
    char *path = fs_join(folder, "pack.json");
    bool taken = false;
    int rc = fs_exists(path) ? compare(folder, path, recipe, error) : is_taken(folder, &taken, error);
    if (taken)
        rc = error_set(error, ERROR_FAILED,
                       "%s: holds a data set that no pack.json explains; choose another --output or remove it", folder);
    else if (rc == 0 && !fs_exists(path)) rc = json_write(path, recipe, error);
    free(path);
    return rc;
}
