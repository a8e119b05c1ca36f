/* A run into a checkpoint and back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/str.h"
#include "log/log.h"
#include "models/moments.h"
#include "models/weights.h"
#include "trainer/run.h"

static int save_model(struct run *r, const struct checkpoint_writer *w, json_t *sums, struct error *error)
{
    char *path = checkpoint_file(w, "model.safetensors");
    uint64_t sum;
    parameters_pull(&r->clip.parameters);
    int rc = weights_save(&r->clip, path, WEIGHTS_PE, &sum, error);
    if (rc == 0) moments_note(sums, "model.safetensors", sum);
    free(path);
    return rc;
}

/* What must be the same for a resumed run to be the same run. */
static json_t *identity(const struct run *r)
{
    const struct trainer_config *c = &r->config;
    return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:f, s:s, s:f, s:f, s:f, s:s, s:I, s:I, s:s, s:s, s:f, s:f, s:f}", "model-config",
                     model_config_json(&r->clip.config), "samples", (json_int_t)r->data.samples, "seed", (json_int_t)c->seed, "slices",
                     (json_int_t)r->slices, "global-batch-size", (json_int_t)c->global_batch, "steps", (json_int_t)r->steps, "opt", c->opt, "lr", c->lr,
                     "wd", c->wd, "beta1", c->beta1, "beta2", c->beta2, "eps", c->eps, "grad-clip-norm", c->clip, "warmup", (json_int_t)c->warmup,
                     "lr-min", c->lr_min, "aug", c->augment, "mask-weight", c->mask_weight, "mask-fraction", c->mask_fraction, "mask-ratio",
                     c->mask_ratio, "resolution-schedule", c->resolution_schedule ? c->resolution_schedule : "", "epoch", (json_int_t)r->data.epoch, "frames", (json_int_t)(r->data.videos ? c->frames : 0),
                     "frame-rule", r->data.videos ? c->frame_rule : "", "distill-model", c->teacher ? c->teacher : "", "distill-weight", c->distill_weight,
                     "distill-contrastive-weight", c->distill_contrastive, "distill-logit-scale", c->distill_scale);
}

int run_save(struct run *r, struct error *error)
{
    struct checkpoint_writer w;
    if (checkpoint_begin(&w, r->world, r->folder, r->step, error) < 0) return -1;
    json_t *sums = json_object();
    int rc = r->world->rank ? 0 : save_model(r, &w, sums, error);
    if (rc == 0) rc = moments_save(&r->optimizer, &w, sums, error);
    json_t *state = json_pack("{s:s, s:i, s:I, s:I, s:I, s:o, s:o}", "format", "percept-checkpoint", "version", 1, "step", (json_int_t)r->step,
                              "samples_seen", (json_int_t)(r->step * r->config.global_batch), "ranks", (json_int_t)r->world->size, "identity", identity(r),
                              "config", options_json(&trainer_program, &r->config));
    rc = checkpoint_commit(&w, r->world, rc, sums, state, r->config.keep, error);
    json_decref(state);
    if (rc == 0) log_info("saved checkpoint of step %ld", (long)r->step);
    else error_prefix(error, "checkpoint of step %ld", (long)r->step);
    return rc;
}

static int check_identity(struct run *r, const json_t *state, const char *folder, struct error *error)
{
    json_t *now = identity(r), *value;
    const json_t *then = json_object_get(state, "identity");
    const char *key;
    int rc = 0;
    json_object_foreach(now, key, value)
    {
        const json_t *before = json_object_get(then, key);
        if (rc == 0 && !json_equal(before, value)) {
            char *a = json_dumps(before, JSON_ENCODE_ANY | JSON_COMPACT), *b = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
            rc = error_set(error, ERROR_USAGE, "%s: made with %s %.300s, now it is %.300s; resume with the same, or start a new --name with --pretrained",
                           folder, key, a ? a : "none", b);
            free(a);
            free(b);
        }
    }
    json_decref(now);
    return rc;
}

static int load(struct run *r, const char *folder, const json_t *state, struct error *error)
{
    char *model = fs_join(folder, "model.safetensors");
    int rc = check_identity(r, state, folder, error);
    if (rc == 0) rc = weights_load(&r->clip, model, false, error);
    if (rc == 0) parameters_push(&r->clip.parameters);
    if (rc == 0) rc = moments_load(&r->optimizer, folder, json_object_get(state, "files"), error);
    free(model);
    if (rc == 0) r->step = json_integer_value(json_object_get(state, "step"));
    return rc;
}

int run_restore(struct run *r, struct error *error)
{
    char *folder = NULL;
    json_t *state = NULL;
    int found = checkpoint_find(r->world, r->folder, &folder, &state, error);
    if (found == 1 && world_agree(r->world, load(r, folder, state, error), error) < 0) found = -1;
    free(folder);
    json_decref(state);
    return found;
}
