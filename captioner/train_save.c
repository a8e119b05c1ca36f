/* Checkpoints of a PLM run: model folders with the optimizer's state beside. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/str.h"
#include "captioner/train.h"
#include "log/log.h"
#include "models/moments.h"
#include "models/plm_files.h"

/* The tokenizer belongs to the model's folder. */
static int copy_tokenizer(const struct train *t, const struct checkpoint_writer *w, json_t *sums, struct error *error)
{
    const char *path = t->config.tokenizer ? t->config.tokenizer : t->config.model ? t->config.model : t->config.plm_config, *name = "tokenizer.json";
    char *from = mem_strdup(path), *bytes;
    size_t len;
    if (fs_is_folder(path)) {
        free(from);
        from = fs_join(path, name);
    }
    if (!fs_exists(from) || str_ends_with(from, ".model")) {
        name = "tokenizer.model";
        if (fs_is_folder(path)) {
            free(from);
            from = fs_join(path, name);
        }
    }
    char *to = checkpoint_file(w, name);
    uint64_t sum = 0;
    int rc = fs_read(from, &bytes, &len, error);
    if (rc == 0) {
        rc = fs_write(to, bytes, len, error);
        free(bytes);
    }
    if (rc == 0) rc = file_checksum(to, &sum, error);
    if (rc == 0) moments_note(sums, name, sum);
    free(from);
    free(to);
    return rc;
}

static int save_model(struct train *t, const struct checkpoint_writer *w, json_t *sums, struct error *error)
{
    char *weights = checkpoint_file(w, "model.safetensors"), *config = checkpoint_file(w, "config.json");
    uint64_t sum = 0;
    json_t *json = plm_config_json(&t->plm.config);
    parameters_pull(&t->plm.parameters);
    int rc = plm_save(&t->plm, weights, &sum, error);
    if (rc == 0) moments_note(sums, "model.safetensors", sum);
    if (rc == 0) rc = json_write(config, json, error);
    if (rc == 0) rc = file_checksum(config, &sum, error);
    if (rc == 0) moments_note(sums, "config.json", sum);
    if (rc == 0) rc = copy_tokenizer(t, w, sums, error);
    json_decref(json);
    free(weights);
    free(config);
    return rc;
}

/* What must be the same for a resumed run to be the same run. */
static json_t *identity(const struct train *t)
{
    const struct train_config *c = &t->config;
    return json_pack("{s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:I, s:f}", "examples", (json_int_t)t->examples.count, "stage", c->stage, "seed",
                     (json_int_t)c->seed, "slices", (json_int_t)t->slices, "global-batch-size", (json_int_t)c->global_batch, "steps", (json_int_t)t->steps, "pooling",
                     (json_int_t)t->pooling, "max-tiles", (json_int_t)c->tiles, "frames", (json_int_t)c->frames, "context", (json_int_t)c->context, "lr", c->lr, "lr-min", c->lr_min,
                     "wd", c->wd, "warmup", (json_int_t)c->warmup, "drop-path", c->drop_path);
}

int train_save(struct train *t, struct error *error)
{
    struct checkpoint_writer w;
    if (checkpoint_begin(&w, t->world, t->folder, t->step, error) < 0) return -1;
    json_t *sums = json_object();
    int rc = t->world->rank ? 0 : save_model(t, &w, sums, error);
    if (rc == 0) rc = moments_save(&t->optimizer, &w, sums, error);
    json_t *state = json_pack("{s:s, s:i, s:I, s:I, s:o, s:o}", "format", "percept-checkpoint", "version", 1, "step", (json_int_t)t->step, "ranks", (json_int_t)t->world->size,
                              "identity", identity(t), "config", options_json(&train_program, &t->config));
    rc = checkpoint_commit(&w, t->world, rc, sums, state, t->config.keep, error);
    json_decref(state);
    if (rc == 0) log_info("saved checkpoint of step %ld", (long)t->step);
    return rc < 0 ? error_prefix(error, "checkpoint of step %ld", (long)t->step) : 0;
}

static int load(struct train *t, const char *folder, const json_t *state, struct error *error)
{
    json_t *now = identity(t), *value;
    const json_t *then = json_object_get(state, "identity");
    const char *key;
    int rc = 0;
    json_object_foreach(now, key, value)
    {
        if (rc == 0 && !json_equal(json_object_get(then, key), value))
            rc = error_set(error, ERROR_USAGE, "%s: made with another --%s; resume with the same, or start a new --name with --model", folder, key);
    }
    json_decref(now);
    if (rc == 0) rc = plm_load(&t->plm, folder, error);
    if (rc == 0) parameters_push(&t->plm.parameters);
    if (rc == 0) rc = moments_load(&t->optimizer, folder, json_object_get(state, "files"), error);
    if (rc == 0) t->step = json_integer_value(json_object_get(state, "step"));
    return rc;
}

int train_restore(struct train *t, struct error *error)
{
    char *folder = NULL;
    json_t *state = NULL;
    int found = checkpoint_find(t->world, t->folder, &folder, &state, error);
    if (found == 1 && world_agree(t->world, load(t, folder, state, error), error) < 0) found = -1;
    free(folder);
    json_decref(state);
    return found;
}
