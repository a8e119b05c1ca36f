/* Which run is this?  Checkpoints found, compared, read and written. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/str.h"
#include "log/log.h"
#include "models/moments.h"
#include "run/training.h"

enum { STATE_VERSION = 2 };

/* --- identity --- */

/* What must be the same for a resumed run to be the same run: the flagged options, what the objective adds, and what
 * follows from both. */
static json_t *identity(const struct training *t)
{
    json_t *all = options_identity(t->program, t->options);
    json_object_update(all, t->identity);
    json_object_set_new(all, "slices", json_integer(t->plan.slices));
    json_object_set_new(all, "steps", json_integer(t->plan.steps));
    json_object_set_new(all, "samples", json_integer(t->samples));
    return all;
}

static bool listed(const char *list, const char *key)
{
    size_t len = strlen(key);
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (!strncmp(at, key, len) && (at[len] == ',' || !at[len])) return true;
    return false;
}

/* Every word of --resume-with is a part of the identity. */
static int check_list(const char *list, const json_t *all, struct error *error)
{
    for (const char *at = list; at && *at; at += strcspn(at, ","), at += *at == ',') {
        char key[64];
        const char *part;
        json_t *value;
        struct str known = {0};
        snprintf(key, sizeof key, "%.*s", (int)strcspn(at, ","), at);
        if (json_object_get(all, key)) continue;
        json_object_foreach ((json_t *)(uintptr_t)all, part, value) str_printf(&known, known.len ? ", %s" : "%s", part);
        error_set(error, ERROR_USAGE, "--resume-with %s: not part of a run's identity (%s)", key, known.data);
        str_free(&known);
        return -1;
    }
    return 0;
}

static char *text_of(const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9));
    return text ? text : mem_strdup("none");
}

static int compare(struct training *t, const struct resumption *found, const char *key, const json_t *before,
                   const json_t *value, struct error *error)
{
    if (json_equal(before, value)) return 0;
    char *from = text_of(before), *to = text_of(value);
    int rc = 0;
    if (listed(t->settings->resume_with, key))
        json_array_append_new(t->changes, json_pack("{s:I, s:s, s:O?, s:O?}", "step", (json_int_t)found->step, "key",
                                                    key, "from", before, "to", value));
    else
        rc = error_set(error, ERROR_USAGE,
                       "%s: made with %s %.300s, now it is %.300s; resume with the same, allow it by --resume-with %s, "
                       "or start a new --name from its weights",
                       found->folder, key, from, to, key);
    free(from);
    free(to);
    return rc;
}

int resume_check(struct training *t, const struct resumption *found, struct error *error)
{
    json_t *now = identity(t), *all = json_copy(now), *value;
    const json_t *then = json_object_get(found->state, "identity"), *changes = json_object_get(found->state, "changes");
    const char *key;
    json_object_update_missing(all,
                               (json_t *)(uintptr_t)then); /* a teacher that is no longer asked is a difference too */
    int rc = check_list(t->settings->resume_with, all, error);
    json_array_extend(t->changes, (json_t *)(uintptr_t)changes);
    json_object_foreach (all, key, value) {
        if (rc == 0) rc = compare(t, found, key, json_object_get(then, key), json_object_get(now, key), error);
    }
    if (rc == 0 && found->step > t->plan.steps)
        rc = error_set(error, ERROR_USAGE, "%s: is of step %ld, the run has %ld", found->folder, (long)found->step,
                       (long)t->plan.steps);
    json_decref(all);
    json_decref(now);
    return rc;
}

void resume_say(const struct training *t)
{
    size_t i;
    json_t *change;
    log_info("resumed at step %ld", (long)t->step);
    json_array_foreach (t->changes, i, change) {
        if (json_integer_value(json_object_get(change, "step")) != t->step) continue; /* said when it was made */
        char *from = text_of(json_object_get(change, "from")), *to = text_of(json_object_get(change, "to"));
        log_info("resumed with another %s: %.300s instead of %.300s", json_string_value(json_object_get(change, "key")),
                 to, from);
        free(from);
        free(to);
    }
}

int64_t resume_slices(const struct training *t, const struct resumption *found)
{
    const json_t *then = json_object_get(found->state, "identity");
    return t->settings->slices || !found->folder ? t->settings->slices
                                                 : json_integer_value(json_object_get(then, "slices"));
}

/* --- finding --- */

/* (all) Is the checkpoint one of this run, by whatever path?  As rank 0 sees it. */
static bool is_own(const struct world *world, const char *folder, const char *checkpoints)
{
    char *parent = mem_strdup(folder);
    *strrchr(parent, '/') = 0;
    int64_t own = world_max(world, world->rank ? 0 : fs_same(parent, checkpoints));
    free(parent);
    return own;
}

int resume_find(const struct training *t, struct resumption *found, struct error *error)
{
    const char *resume = t->settings->resume, *run = t->folder.path;
    char *checkpoints = fs_join(run, "checkpoints");
    bool latest = resume && !strcmp(resume, "latest");
    int64_t exists = world_max(t->world, t->world->rank ? 0 : fs_exists(checkpoints));
    int rc = 0;
    *found = (struct resumption){0};
    if (exists && !resume)
        rc = error_set(error, ERROR_USAGE, "%s: this run exists; go on with --resume latest, or choose another --name",
                       run);
    else if (latest)
        rc = checkpoint_find(t->world, run, &found->folder, &found->state, error);
    else if (resume)
        rc = checkpoint_open(t->world, resume, &found->folder, &found->state, error);
    found->own = rc > 0 && is_own(t->world, found->folder, checkpoints);
    if (rc > 0 && exists && !found->own)
        rc = error_set(error, ERROR_USAGE,
                       "--resume %s: a checkpoint of another run, and %s has its own; choose another --name", resume,
                       run);
    else if (found->own && strchr(strrchr(found->folder, '/'), '.'))
        rc = error_set(
            error, ERROR_USAGE,
            "--resume %s: has been set aside; rename it to step-N to go on from it, or choose another --name", resume);
    free(checkpoints);
    if (rc < 0) return world_agree(t->world, -1, error);
    found->step = json_integer_value(json_object_get(found->state, "step"));
    if (found->folder && json_integer_value(json_object_get(found->state, "version")) != STATE_VERSION)
        return error_set(error, ERROR_FAILED,
                         "%s: a checkpoint of another version of this program; start a new --name from its weights",
                         found->folder);
    return 0;
}

int resume_settle(const struct training *t, const struct resumption *found, struct error *error)
{
    return found->own ? checkpoint_supersede(t->folder.path, found->folder, error) : 0;
}

void resume_free(struct resumption *found)
{
    free(found->folder);
    json_decref(found->state);
    *found = (struct resumption){0};
}

/* --- reading and writing --- */

int resume_load(struct training *t, const struct resumption *found, struct error *error)
{
    int rc = moments_load(&t->optimizer, found->folder, json_object_get(found->state, "files"), error);
    return world_agree(t->world, rc, error);
}

static json_t *state_of(const struct training *t)
{
    json_t *state = json_pack("{s:s, s:i, s:I, s:I, s:I}", "format", "percept-checkpoint", "version", STATE_VERSION,
                              "step", (json_int_t)t->step, "samples_seen", (json_int_t)(t->step * t->plan.batch),
                              "ranks", (json_int_t)t->world->size);
    json_object_set_new(state, "identity", identity(t));
    json_object_set_new(state, "config", options_json(t->program, t->options));
    json_object_set(state, "changes", t->changes);
    return state;
}

int resume_save(struct training *t, struct error *error)
{
    struct checkpoint_writer w;
    if (checkpoint_begin(&w, t->world, t->folder.path, t->step, error) < 0) return -1;
    json_t *sums = json_object(), *state = state_of(t);
    int rc = 0;
    if (!t->world->rank) {
        parameters_pull(t->parameters);
        rc = t->objective->save(t->self, &w, sums, error);
    }
    if (rc == 0) rc = moments_save(&t->optimizer, &w, sums, error);
    rc = checkpoint_commit(&w, t->world, rc, sums, state, t->settings->keep, error);
    json_decref(state);
    if (rc == 0) log_info("saved checkpoint of step %ld", (long)t->step);
    return rc < 0 ? error_prefix(error, "checkpoint of step %ld", (long)t->step) : 0;
}
