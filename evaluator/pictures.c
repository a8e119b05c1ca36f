/* By the names' endings. */
#include "evaluator/pictures.h"

#include "base/fs.h"
#include "base/memory.h"
#include "data/image.h"

int pictures_list(const char *folder, char ***paths, int64_t *count, struct error *error)
{
    struct fs_list list;
    if (fs_list(folder, &list, error) < 0) return -1;
    char **out = mem_alloc(list.count + 1, sizeof *out);
    int64_t n = 0;
    for (size_t i = 0; i < list.count; i++)
        if (image_is_name(list.names[i])) out[n++] = fs_join(folder, list.names[i]);
    fs_list_free(&list);
    *paths = out;
    *count = n;
    return n ? 0 : error_set(error, ERROR_FAILED, "%s: no pictures (.jpg .jpeg .png .webp)", folder);
}
