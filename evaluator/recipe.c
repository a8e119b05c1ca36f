/* Notes of what results were made from. */
#include "evaluator/recipe.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/str.h"
#include "checkpoint/tensors.h"

static char *note_of(const char *result)
{
    const char *slash = strrchr(result, '/');
    size_t folder = slash ? (size_t)(slash + 1 - result) : 0;
    struct str out = {0};
    str_append(&out, result, folder);
    str_printf(&out, ".%s.options", result + folder);
    return str_steal(&out);
}

json_t *recipe_make(json_t *options, const char *weights, struct error *error)
{
    json_t *recipe = json_pack("{s:o}", "options", options);
    if (!fs_exists(weights) || tensors_identify(recipe, "weights", weights, error) == 0) return recipe;
    json_decref(recipe);
    return NULL;
}

int recipe_find(const char *result, const json_t *recipe, bool *made, struct error *error)
{
    int rc = 0;
    *made = fs_exists(result);
    if (!*made) return 0;
    char *path = note_of(result);
    json_t *before = NULL;
    if (!fs_exists(path))
        rc = error_set(error, ERROR_FAILED, "%s: nothing says what it was made from (%s); remove it", result, path);
    else if (!(before = json_read(path, error)))
        rc = -1;
    else if (!json_equal(before, recipe))
        rc = error_set(error, ERROR_FAILED, "%s: made with other options or weights than these (%s); remove it", result,
                       path);
    json_decref(before);
    free(path);
    return rc;
}

int recipe_begin(const char *result, const json_t *recipe, struct error *error)
{
    char *path = note_of(result);
    int rc = 0;
    if (recipe && !fs_is_folder(result)) rc = fs_remove_tree(result, error);
    if (rc == 0) rc = recipe ? json_write(path, recipe, error) : fs_remove_tree(path, error);
    free(path);
    return rc;
}
