/* A run into a checkpoint and back. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/str.h"
#include "checkpoint/safetensors.h"
#include "log/log.h"
#include "models/weights.h"
#include "trainer/run.h"

static void note(json_t *sums, const char *name, uint64_t sum)
{
    char hex[20];
    snprintf(hex, sizeof hex, "%016" PRIx64, sum);
    json_object_set_new(sums, name, json_string(hex));
}

static int save_model(struct run *r, const struct checkpoint_writer *w, json_t *sums, struct error *error)
{
    char *path = checkpoint_file(w, "model.safetensors");
    uint64_t sum;
    parameters_pull(&r->clip.parameters);
    int rc = weights_save(&r->clip, path, WEIGHTS_PE, &sum, error);
    if (rc == 0) note(sums, "model.safetensors", sum);
    free(path);
    return rc;
}

/* Device memory into a file, a piece at a time. */
static int append(struct run *r, struct safetensors_writer *out, const float *data, int64_t count, struct error *error)
{
    enum { PIECE = 1 << 22 };
    const struct kernels *k = r->device.kernels;
    if (!k->reserve) return safetensors_append(out, data, count, error);
    float *piece = mem_alloc(PIECE, sizeof *piece);
    int rc = 0;
    for (int64_t at = 0; at < count && rc == 0; at += PIECE) {
        int64_t n = count - at < PIECE ? count - at : PIECE;
        k->download(&r->device, piece, data + at, (size_t)n * sizeof *piece);
        rc = safetensors_append(out, piece, n, error);
    }
    free(piece);
    return rc;
}

static int save_optimizer(struct run *r, const struct checkpoint_writer *w, json_t *sums, struct error *error)
{
    const struct optimizer *o = &r->optimizer;
    char name[64], first[24];
    snprintf(name, sizeof name, "optimizer-%05d-of-%05d.safetensors", r->world->rank, o->sharded ? r->world->size : 1);
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
    if (rc == 0) rc = append(r, &out, o->m, count, error);
    if (rc == 0) rc = append(r, &out, o->v, count, error);
    if (rc == 0) rc = safetensors_finish(&out, &sum, error);
    else safetensors_abandon(&out);
    if (rc == 0) note(sums, name, sum);
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
    if (rc == 0 && (r->optimizer.sharded || !r->world->rank)) rc = save_optimizer(r, &w, sums, error);
    json_t *state = json_pack("{s:s, s:i, s:I, s:I, s:I, s:o, s:o}", "format", "percept-checkpoint", "version", 1, "step", (json_int_t)r->step,
                              "samples_seen", (json_int_t)(r->step * r->config.global_batch), "ranks", (json_int_t)r->world->size, "identity", identity(r),
                              "config", options_json(&trainer_program, &r->config));
    rc = checkpoint_commit(&w, r->world, rc, sums, state, r->config.keep, error);
    json_decref(state);
    if (rc == 0) log_info("saved checkpoint of step %ld", (long)r->step);
    else error_prefix(error, "checkpoint of step %ld", (long)r->step);
    return rc;
}

/* Elements [from, to) of an entry into device memory. */
static int read_part(struct run *r, const struct safetensors *file, const struct safetensors_entry *e, int64_t from, int64_t to, float *out, struct error *error)
{
    const struct kernels *k = r->device.kernels;
    if (!k->reserve) return safetensors_read(file, e, from, to - from, out, error);
    float *host = mem_alloc((size_t)(to - from), sizeof *host);
    int rc = safetensors_read(file, e, from, to - from, host, error);
    if (rc == 0) k->upload(&r->device, out, host, (size_t)(to - from) * sizeof *host);
    k->wait(&r->device);
    free(host);
    return rc;
}

/* Copy what file i of n holds of this rank's part of the moments. */
static int load_part(struct run *r, const char *path, struct error *error)
{
    struct optimizer *o = &r->optimizer;
    struct safetensors file;
    if (safetensors_open(&file, path, error) < 0) return -1;
    const struct safetensors_entry *m = safetensors_find(&file, "m"), *v = safetensors_find(&file, "v");
    const char *start = safetensors_metadata(&file, "first");
    int rc = m && v && start && m->count == v->count ? 0 : error_set(error, ERROR_FAILED, "%s: no optimizer state", path);
    if (rc == 0) {
        int64_t first = strtoll(start, NULL, 10), from = first > o->first ? first : o->first, to = first + m->count < o->end ? first + m->count : o->end;
        if (from < to) {
            rc = read_part(r, &file, m, from - first, to - first, o->m + (from - o->first), error);
            if (rc == 0) rc = read_part(r, &file, v, from - first, to - first, o->v + (from - o->first), error);
        }
    }
    safetensors_close(&file);
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
    const char *name;
    json_t *sum;
    json_object_foreach(json_object_get(state, "files"), name, sum)
    {
        if (rc < 0 || !str_starts_with(name, "optimizer-")) continue;
        char *path = fs_join(folder, name);
        rc = load_part(r, path, error);
        free(path);
    }
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
