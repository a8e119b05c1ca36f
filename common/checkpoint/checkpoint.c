/* Writing checkpoint folders as a whole, finding the newest sound one, removing old ones. */
#include "checkpoint/checkpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/str.h"
#include "log/log.h"

#define STEP_PREFIX "step-"
#define ASIDE ".tmp"
enum { STEP_DIGITS = 8 };

static bool is_step(const char *name)
{
    size_t prefix = strlen(STEP_PREFIX);
    return str_starts_with(name, STEP_PREFIX) && strlen(name) == prefix + STEP_DIGITS &&
           strspn(name + prefix, "0123456789") == STEP_DIGITS;
}

/* Rank 0: what a save that was killed has left. */
static int remove_torn(const char *root, struct error *error)
{
    struct fs_list list;
    int rc = fs_list(root, &list, error);
    if (rc < 0) return -1;
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        if (!str_starts_with(list.names[i], STEP_PREFIX) || !str_ends_with(list.names[i], ASIDE)) continue;
        char *path = fs_join(root, list.names[i]);
        rc = fs_remove_tree(path, error);
        free(path);
    }
    fs_list_free(&list);
    return rc;
}

int checkpoint_begin(struct checkpoint_writer *w, const struct world *world, const char *run, int64_t step,
                     struct error *error)
{
    struct str name = {0};
    *w = (struct checkpoint_writer){.root = fs_join(run, "checkpoints")};
    str_printf(&name, "%s/step-%08ld", w->root, (long)step);
    w->folder = mem_strdup(name.data);
    str_puts(&name, ASIDE);
    w->aside = str_steal(&name);
    int rc = 0;
    if (!world->rank) {
        rc = fs_make_folders(w->root, error);
        if (rc == 0) rc = remove_torn(w->root, error);
        if (rc == 0) rc = fs_make_folders(w->aside, error);
    }
    return world_agree(world, rc, error);
}

char *checkpoint_file(const struct checkpoint_writer *w, const char *name)
{
    return fs_join(w->aside, name);
}

/* Every rank's checksums on rank 0 (others: {}); a rank may hold at most 4 KB of them. */
static json_t *gather_sums(const struct world *world, json_t *sums)
{
    enum { ROOM = 4096 };
    char *mine = mem_zalloc(ROOM, 1), *all = mem_zalloc(ROOM, (size_t)world->size),
         *text = json_dumps(sums, JSON_COMPACT);
    snprintf(mine, ROOM, "%s", text);
    world_gather_all(world, mine, ROOM, all);
    json_t *joint = json_object();
    for (int r = 0; r < world->size && !world->rank; r++) {
        json_t *theirs = json_loads(all + (size_t)r * ROOM, 0, NULL);
        json_object_update(joint, theirs);
        json_decref(theirs);
    }
    free(mine);
    free(all);
    free(text);
    json_decref(sums);
    return joint;
}

static int point_latest(const char *root, const char *name, struct error *error)
{
    char *link = fs_join(root, "latest"), *aside = fs_join(root, "latest.tmp");
    unlink(aside);
    int rc = symlink(name, aside) < 0 ? error_set(error, ERROR_FAILED, "%s: %s", aside, strerror(errno)) : 0;
    if (rc == 0) rc = fs_rename(aside, link, error);
    free(link);
    free(aside);
    return rc;
}

/* Keep the one just written and the keep - 1 before it.  Later ones are damaged, or this one would not have been
 * written: they do not count. */
static int prune(const struct checkpoint_writer *w, int64_t keep, struct error *error)
{
    const char *own = strrchr(w->folder, '/') + 1;
    struct fs_list list;
    if (fs_list(w->root, &list, error) < 0) return -1;
    int64_t seen = 1;
    int rc = 0;
    for (size_t i = list.count; i-- > 0 && rc == 0;) {
        const char *name = list.names[i];
        if (!is_step(name) || strcmp(name, own) >= 0 || ++seen <= keep) continue;
        char *path = fs_join(w->root, name);
        rc = fs_remove_tree(path, error);
        free(path);
    }
    fs_list_free(&list);
    return rc;
}

static int finish(struct checkpoint_writer *w, json_t *sums, const json_t *state, int64_t keep, struct error *error)
{
    json_t *root = json_copy((json_t *)(uintptr_t)state);
    json_object_set(root, "files", sums);
    char *path = fs_join(w->aside, "state.json");
    int rc = json_write(path, root, error);
    free(path);
    json_decref(root);
    if (rc == 0) rc = fs_sync(w->aside, error);
    if (rc == 0 && fs_exists(w->folder)) rc = fs_remove_tree(w->folder, error); /* an unsound one of the same step */
    if (rc == 0) rc = fs_rename(w->aside, w->folder, error);
    if (rc == 0) rc = point_latest(w->root, strrchr(w->folder, '/') + 1, error);
    if (rc == 0 && keep > 0) rc = prune(w, keep, error);
    return rc;
}

int checkpoint_commit(struct checkpoint_writer *w, const struct world *world, int rc, json_t *sums, const json_t *state,
                      int64_t keep, struct error *error)
{
    rc = world_agree(world, rc, error);
    json_t *all = gather_sums(world, sums);
    if (!world->rank) {
        if (rc == 0) rc = finish(w, all, state, keep, error);
        if (rc < 0) {
            struct error ignored = {0};
            fs_remove_tree(w->aside, &ignored);
        }
    }
    rc = world_agree(world, rc, error);
    json_decref(all);
    free(w->folder);
    free(w->aside);
    free(w->root);
    *w = (struct checkpoint_writer){0};
    return rc;
}

/* Is this file as the state says? */
static int verify_file(const char *path, const json_t *sum, struct error *error)
{
    uint64_t found;
    if (fs_checksum(path, &found, error) < 0) return -1;
    json_t *hex = json_checksum(found);
    bool same = json_equal(sum, hex);
    json_decref(hex);
    return same ? 0 : error_set(error, ERROR_FAILED, "%s: checksum does not match: damaged or torn", path);
}

/* Check the step, and the files a state lists that fall to this rank. */
static int verify(const struct world *world, const char *folder, const json_t *state, struct error *error)
{
    const char *name = strrchr(folder, '/') ? strrchr(folder, '/') + 1 : folder, *key;
    json_t *sum;
    int n = 0, rc = 0;
    const json_t *files = json_object_get(state, "files"), *step = json_object_get(state, "step");
    if (!json_object_size(files)) return error_set(error, ERROR_FAILED, "%s: state.json lists no files", folder);
    if (!json_is_integer(step) || json_integer_value(step) < 0 ||
        (is_step(name) && json_integer_value(step) != atoll(name + strlen(STEP_PREFIX))))
        return error_set(error, ERROR_FAILED, "%s: state.json is of step %lld: edited or damaged", folder,
                         (long long)json_integer_value(step));
    json_object_foreach ((json_t *)(uintptr_t)files, key, sum) {
        if (rc < 0 || n++ % world->size != world->rank) continue;
        char *path = fs_join(folder, key);
        rc = verify_file(path, sum, error);
        free(path);
    }
    return rc;
}

/* (all) State of a whole checkpoint, a new reference; NULL with the reason. */
static json_t *read_state(const struct world *world, const char *folder, struct error *why)
{
    char *file = fs_join(folder, "state.json");
    json_t *state = json_read(file, why);
    free(file);
    if (world_agree(world, state ? verify(world, folder, state, why) : -1, why) == 0) return state;
    json_decref(state);
    return NULL;
}

/* The names of the step folders, newest first, as rank 0 sees them: on a shared file system others may see them later,
 * and all ranks must try the same ones.  *names is the caller's to free. */
static int64_t step_names(const struct world *world, const char *root, char (**names)[16], struct error *error)
{
    struct fs_list list = {0};
    int64_t count = 0;
    *names = NULL;
    if (world_agree(world, !world->rank && fs_exists(root) ? fs_list(root, &list, error) : 0, error) < 0) return -1;
    for (size_t i = list.count; i-- > 0;) {
        if (!is_step(list.names[i])) continue;
        *names = mem_realloc(*names, (size_t)count + 1, sizeof **names);
        snprintf((*names)[count++], sizeof **names, "%.13s", list.names[i]);
    }
    fs_list_free(&list);
    world_broadcast(world, &count, sizeof count, 0);
    if (world->rank) *names = mem_alloc((size_t)count, sizeof **names);
    world_broadcast(world, *names, (size_t)count * sizeof **names, 0);
    return count;
}

int checkpoint_find(const struct world *world, const char *run, char **folder, json_t **state, struct error *error)
{
    char *root = fs_join(run, "checkpoints"), (*names)[16];
    int64_t count = step_names(world, root, &names, error);
    int found = count < 0 ? -1 : 0;
    struct error first = {0};
    for (int64_t i = 0; i < count && !found; i++) {
        struct error why = {0};
        char *path = fs_join(root, names[i]);
        *state = read_state(world, path, &why);
        found = *state != NULL;
        if (found)
            *folder = path;
        else {
            if (!world->rank) log_warn("checkpoint skipped: %s", why.text);
            error_set(&first, ERROR_FAILED, "%s", why.text);
            free(path);
        }
    }
    if (!found && count > 0)
        found = error_set(error, ERROR_FAILED,
                          "%s: none of %ld checkpoints is sound; the newest: %s; mend it, or start a new --name", root,
                          (long)count, first.text);
    free(names);
    free(root);
    return found;
}

int checkpoint_open(const struct world *world, const char *path, char **folder, json_t **state, struct error *error)
{
    char *resolved = realpath(path, NULL);
    int rc = resolved ? 0
                      : error_set(error, ERROR_USAGE, "--resume %s: neither \"latest\" nor a checkpoint's folder: %s",
                                  path, strerror(errno));
    if (world_agree(world, rc, error) == 0 && (*state = read_state(world, resolved, error))) {
        *folder = resolved;
        return 1;
    }
    free(resolved);
    return -1;
}

int checkpoint_supersede(const char *run, const char *folder, struct error *error)
{
    const char *own = strrchr(folder, '/') + 1;
    char *root = fs_join(run, "checkpoints");
    struct fs_list list;
    int rc = fs_list(root, &list, error);
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        if (!is_step(list.names[i]) || strcmp(list.names[i], own) <= 0) continue;
        char *from = fs_join(root, list.names[i]);
        struct str to = {0};
        str_printf(&to, "%s.superseded", from);
        rc = fs_remove_tree(to.data, error);
        if (rc == 0) rc = fs_rename(from, to.data, error);
        if (rc == 0) log_info("%s: superseded by going on from %s", list.names[i], own);
        str_free(&to);
        free(from);
    }
    if (rc == 0) fs_list_free(&list);
    if (rc == 0) rc = point_latest(root, own, error);
    free(root);
    return rc;
}
