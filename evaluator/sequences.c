/* Lists of names, or of folders. */
#include "evaluator/sequences.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "data/texts.h"

static int list_folders(const char *folder, char ***names, int64_t *count, struct error *error)
{
    struct fs_list list;
    if (fs_list(folder, &list, error) < 0) return -1;
    *names = mem_alloc(list.count + 1, sizeof **names);
    for (size_t i = 0; i < list.count; i++) {
        char *path = fs_join(folder, list.names[i]);
        if (fs_is_folder(path)) (*names)[(*count)++] = mem_strdup(list.names[i]);
        free(path);
    }
    fs_list_free(&list);
    return 0;
}

static int check_names(char *const *names, int64_t count, const char *where, struct error *error)
{
    if (!count) return error_set(error, ERROR_FAILED, "%s: no sequence in it", where);
    for (int64_t i = 0; i < count; i++) {
        if (strchr(names[i], '/') || names[i][0] == '.')
            return error_set(error, ERROR_FAILED, "%s: \"%s\" is no name of a sequence", where, names[i]);
        for (int64_t k = 0; k < i; k++)
            if (!strcmp(names[i], names[k]))
                return error_set(error, ERROR_FAILED, "%s: %s is there twice", where, names[i]);
    }
    return 0;
}

int sequences_read(const char *davis, const char *folder, const char *file, char ***names, int64_t *count,
                   struct error *error)
{
    char *standard = fs_join(davis, "ImageSets/2017/val.txt");
    if (!file && fs_exists(standard)) file = standard;
    int rc = file ? texts_read(file, true, names, count, error) : list_folders(folder, names, count, error);
    if (rc == 0) rc = check_names(*names, *count, file ? file : folder, error);
    free(standard);
    return rc;
}
