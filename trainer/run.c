/* Opening and closing of a run, and what happens between steps. */
#include "trainer/mask.h"

#include <math.h>
#include <omp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/str.h"
#include "log/log.h"
#include "models/weights.h"

/* Set by the signal handler: the one thing that cannot hang off a struct. */
static volatile sig_atomic_t signalled;

static void on_signal(int number)
{
    signalled = number;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    signal(SIGXFSZ, SIG_IGN); /* a file over its size limit is a failed write, not a death */
}

static int plan(struct run *r, struct error *error)
{
    struct trainer_config *c = &r->config;
    int64_t batch = c->global_batch, ranks = r->world->size;
    if (!c->steps == !(c->epochs > 0)) return error_set(error, ERROR_USAGE, "give the length of the run as --steps or as --epochs");
    r->steps = c->steps ? c->steps : (int64_t)ceil(c->epochs * (double)r->data.epoch / (double)batch);
    r->slices = c->slices;
    if (!r->slices) {
        /* enough for a run to go on with more ranks later; each slice of a size that keeps the products busy */
        r->slices = 8;
        while (r->slices < ranks) r->slices *= 2;
        while (r->slices > ranks && (batch % r->slices || batch / r->slices < 32)) r->slices /= 2;
    }
    if (r->slices & (r->slices - 1)) return error_set(error, ERROR_USAGE, "--slices %ld: must be a power of two", (long)r->slices);
    if (batch % r->slices)
        return error_set(error, ERROR_USAGE, "--global-batch-size %ld does not divide into %ld slices; choose a multiple", (long)batch, (long)r->slices);
    if (ranks & (ranks - 1)) return error_set(error, ERROR_USAGE, "%ld ranks: must be a power of two (1, 2, 4, ...)", (long)ranks);
    if (r->slices % ranks)
        return error_set(error, ERROR_USAGE, "%ld ranks share %ld slices: use at most %ld ranks, or more --slices", (long)ranks, (long)r->slices, (long)r->slices);
    r->mine = r->slices / ranks;
    r->slice = batch / r->slices;
    r->local = r->slice * r->mine;
    r->pictures = r->slice * collection_pictures(&r->data, &r->media);
    const struct vision_config *v = &r->clip.config.vision;
    if (resolutions_parse(&r->resolutions, c->resolution_schedule, v->image_size, v->patch_size, r->steps, error) < 0) return -1;
    for (int i = 0; i < r->resolutions.count; i++) r->largest = r->resolutions.size[i] > r->largest ? (int)r->resolutions.size[i] : r->largest;
    return 0;
}

static int choose_model(struct run *r, struct model_config *model, struct error *error)
{
    struct trainer_config *c = &r->config;
    if (model_config_load(model, c->model, error) < 0) return -1;
    struct vision_config *v = &model->vision;
    if (c->image_size) {
        if (c->image_size % v->patch_size)
            return error_set(error, ERROR_USAGE, "--force-image-size %ld is no multiple of the patch size %ld", (long)c->image_size, (long)v->patch_size);
        v->image_size = c->image_size;
    }
    if (strcmp(c->pool, "model")) v->pool = strcmp(c->pool, "class") ? POOL_ATTENTION : POOL_CLASS;
    if (v->pool == POOL_CLASS && !v->class_token) return error_set(error, ERROR_USAGE, "--pool class: %s has no class token", c->model);
    if (strcmp(c->rope, "model")) v->rope = !strcmp(c->rope, "true");
    if (model->text.vocab_size != TOKEN_VOCABULARY)
        return error_set(error, ERROR_USAGE, "%s has a vocabulary of %ld, the CLIP tokenizer %d", c->model, (long)model->text.vocab_size, TOKEN_VOCABULARY);
    return 0;
}

static int open_teacher(struct run *r, struct error *error)
{
    struct trainer_config *c = &r->config;
    struct model_config model;
    if (!c->teacher) return 0;
    if (!c->teacher_weights) return error_set(error, ERROR_USAGE, "--distill-model %s: a teacher must know something, give --distill-pretrained", c->teacher);
    if (model_config_load(&model, c->teacher, error) < 0) return error_prefix(error, "--distill-model");
    if (c->teacher_size) {
        if (c->teacher_size % model.vision.patch_size)
            return error_set(error, ERROR_USAGE, "--distill-image-size %ld is no multiple of the patch size %ld", (long)c->teacher_size, (long)model.vision.patch_size);
        model.vision.image_size = c->teacher_size;
    }
    if (model.text.vocab_size != TOKEN_VOCABULARY)
        return error_set(error, ERROR_USAGE, "--distill-model: a vocabulary of %ld, the CLIP tokenizer has %d", (long)model.text.vocab_size, TOKEN_VOCABULARY);
    clip_open(&r->teacher, &model);
    return weights_load(&r->teacher, c->teacher_weights, false, error);
}

static void freeze(struct run *r)
{
    for (int64_t i = 0; i < r->clip.parameters.count; i++) {
        struct parameter *p = r->clip.parameters.list[i];
        bool vision = str_starts_with(p->name, "visual."), scale = !strcmp(p->name, "logit_scale");
        bool frozen = !scale && (vision ? r->config.lock_image : r->config.lock_text);
        p->tensor.needs_grad = !frozen;
        for (int v = 0; v < p->view_count; v++) p->views[v].needs_grad = !frozen;
    }
}

/* The loader's batch `number` is slice number % mine of step number / mine here: places of the global stream, permuted within each epoch. */
static void job(void *context, struct batch *b)
{
    struct run *r = context;
    uint64_t step = (uint64_t)(b->number / r->mine), slice = (uint64_t)(r->world->rank * r->mine + b->number % r->mine);
    b->count = r->slice;
    b->size = (int)resolution_at(&r->resolutions, (int64_t)step);
    uint64_t epoch = (uint64_t)r->data.epoch, seed = (uint64_t)r->config.seed;
    for (int64_t i = 0; i < r->slice; i++) {
        uint64_t at = step * (uint64_t)r->config.global_batch + slice * (uint64_t)r->slice + (uint64_t)i;
        b->epochs[i] = at / epoch;
        b->samples[i] = collection_draw(&r->data, seed, at / epoch, at % epoch);
    }
}

static int open_data(struct run *r, struct error *error)
{
    struct trainer_config *c = &r->config;
    if (collection_open(&r->data, c->train_data.items, c->train_data.count, error) < 0) return -1;
    if (!r->data.samples) return error_set(error, ERROR_FAILED, "--train-data: no samples");
    if (c->upsampling.count && collection_weigh(&r->data, c->upsampling.items, c->upsampling.count, error) < 0) return -1;
    r->media = (struct media_options){.frames = (int)c->frames, .rule = strcmp(c->frame_rule, "floor") ? VIDEO_SPAN : VIDEO_FLOOR,
                                      .limits = {c->video_seconds, c->max_pixels}};
    struct record first;
    bool trusted = !strcmp(c->verify_shards, "off");
    if (trusted) collection_trust(&r->data);
    if (collection_read(&r->data, 0, &first, error) < 0) return -1;
    if (!first.caption_count) return error_set(error, ERROR_FAILED, "--train-data %s: its samples have no captions, training needs them", c->train_data.items[0]);
    if (c->val_data.count && collection_open(&r->validation, c->val_data.items, c->val_data.count, error) < 0) return -1;
    if (trusted) collection_trust(&r->validation);
    r->tokenizer = tokenizer_open();
    bool plain = !strcmp(c->augment, "none");
    r->augmentation = (struct augmentation){.scale_min = plain ? 1 : c->scale_min, .scale_max = plain ? 1 : c->scale_max, .ratio_min = c->ratio_min,
                                            .ratio_max = c->ratio_max, .brightness = plain ? 0 : c->brightness,
                                            .saturation = plain ? 0 : c->saturation, .flip = plain ? 0 : c->flip};
    if (r->augmentation.scale_min > r->augmentation.scale_max || c->ratio_min > c->ratio_max)
        return error_set(error, ERROR_USAGE, "--aug-scale-min and --aug-ratio-min must not exceed their maxima");
    return 0;
}

static void start_loader(struct run *r)
{
    bool copied = r->device.kernels->reserve != NULL; /* pixels leave the loader's memory at once */
    int ahead = copied && r->mine > 8 ? 8 : (int)r->mine;
    struct loader_config c = {.data = &r->data, .tokenizer = r->tokenizer, .augmentation = &r->augmentation,
                              .context = r->clip.config.text.context_length, .media = r->media, .batches = r->steps * r->mine,
                              .first = r->step * r->mine, .count_max = r->slice, .size_max = r->largest, .seed = (uint64_t)r->config.seed,
                              .threads = (int)r->config.workers, .ahead = ahead + 2, .keep = copied ? 2 : (int)r->mine, .device = &r->device, .job = job, .job_context = r};
    if (r->config.teacher) c.other.size = (int)r->teacher.config.vision.image_size, c.other.context = r->teacher.config.text.context_length;
    r->loader = loader_open(&c);
}

/* Folder, log, resolved config; refuses to mix runs. */
static int open_folder(struct run *r, struct error *error)
{
    struct trainer_config *c = &r->config;
    char *log = fs_join(r->folder, "out.log"), *resolved = fs_join(r->folder, "config.json"), *checkpoints = fs_join(r->folder, "checkpoints");
    int rc = 0;
    if (fs_exists(checkpoints) && !c->resume)
        rc = error_set(error, ERROR_USAGE, "%s: this run exists; go on with --resume latest, or choose another --name", r->folder);
    if (rc == 0) rc = fs_make_folders(checkpoints, error);
    if (rc == 0) rc = log_file(log, error);
    if (rc == 0) rc = metrics_open(&r->metrics, r->folder, error);
    json_t *options = options_json(&trainer_program, c);
    json_object_set_new(options, "model-config", model_config_json(&r->clip.config));
    if (rc == 0) rc = json_write(resolved, options, error);
    json_decref(options);
    free(log);
    free(resolved);
    free(checkpoints);
    return rc;
}

static size_t figures_bytes(const struct run *r)
{
    return sizeof *r->figures + (size_t)(2 * r->mine) * sizeof *r->figures->finite;
}

static int open_all(struct run *r, struct error *error)
{
    struct trainer_config *c = &r->config;
    struct model_config model;
    int cores = omp_get_num_procs() / r->world->node_ranks;
    int threads = c->threads ? (int)c->threads : cores > 0 ? cores : 1;
    if (device_open(&r->device, c->device, c->precision, c->cpu_level, threads, r->world->node_rank, error) < 0) return -1;
    if (device_open(&r->host_device, "cpu", "fp32", c->cpu_level, threads, 0, error) < 0) return -1;
    if (choose_model(r, &model, error) < 0 || open_data(r, error) < 0) return -1;
    clip_open(&r->clip, &model);
    if (open_teacher(r, error) < 0 || plan(r, error) < 0) return -1;
    clip_init(&r->clip, (uint64_t)c->seed);
    if (c->pretrained && weights_load(&r->clip, c->pretrained, false, error) < 0) return -1;
    freeze(r);
    r->folder = fs_join(c->logs, c->name);
    return r->world->rank ? 0 : open_folder(r, error);
}

/* (all) What lies on the device. */
static int open_device(struct run *r, struct error *error)
{
    struct trainer_config *c = &r->config;
    if (comm_open(&r->comm, r->world, &r->device, c->reduction, error) < 0) return -1;
    clip_place(&r->clip, &r->device, true);
    tape_init(&r->tape, &r->device);
    if (c->teacher) {
        clip_place(&r->teacher, &r->device, false);
        tape_init(&r->teacher_tape, &r->device);
    }
    r->optimizer = (struct optimizer){.kind = strcmp(c->opt, "lamb") ? OPTIMIZER_ADAMW : OPTIMIZER_LAMB, .beta1 = c->beta1, .beta2 = c->beta2,
                                      .eps = c->eps, .decay = c->wd, .clip = c->clip, .sharded = c->zero == 1};
    optimizer_open(&r->optimizer, &r->comm, &r->clip.parameters);
    accumulator_open(&r->gradients, &r->comm, &r->clip.parameters, r->mine);
    contrastive_open(&r->contrastive, &r->device, &r->comm, r->local, r->clip.config.embed_dim, (int)r->slices);
    if (c->teacher) contrastive_teach(&r->contrastive, r->teacher.config.embed_dim, c->distill_contrastive, c->distill_weight, c->distill_scale);
    r->figures = r->device.kernels->map(&r->device, figures_bytes(r));
    device_arena_open(&r->device, &r->buffers, (size_t)1 << 38);
    size_t slice = sizeof(struct slice) + 4 * ((size_t)r->slice + 1) + (c->teacher ? text_pack_bytes(r->slice, r->teacher.config.text.context_length) : 0) + text_pack_bytes(r->slice, r->clip.config.text.context_length) + mask_host_bytes(r) + (size_t)r->slice * 16 + 8192;
    for (int i = 0; i < 2; i++) device_host_arena_open(&r->device, &r->host[i], slice * (size_t)r->mine + 8192);
    /* a slice's pixels stay until its backward pass is over; two more may be on their way meanwhile */
    r->pixel_slots = r->mine + 2;
    return 0;
}

int run_open(struct run *r, const struct world *world, int argc, char **argv, struct error *error)
{
    *r = (struct run){.world = world};
    log_open(world->rank);
    int rc = options_parse(&trainer_program, &r->config, argc - 1, argv + 1, world->rank > 0, error);
    if (rc == OPTIONS_DONE) return OPTIONS_DONE;
    if (world_agree(world, rc < 0 ? rc : open_all(r, error), error) < 0 || open_device(r, error) < 0) return -1;
    int restored = r->config.resume ? run_restore(r, error) : 0;
    if (restored < 0) return -1;
    r->first_step = r->step;
    catch_signals();
    if (step_plan(r, error) < 0) return -1;
    start_loader(r);
    r->clock = clock_seconds();
    const struct parameters *p = &r->clip.parameters;
    log_info("%s, %.1f M parameters; %ld samples; %ld steps of %ld (%.1f epochs) in %ld slices on %d ranks x %d threads, %s", r->clip.config.name,
             (double)parameters_elements(p) / 1e6, (long)r->data.samples, (long)r->steps, (long)r->config.global_batch,
             (double)r->steps * (double)r->config.global_batch / (double)r->data.epoch, (long)r->slices, world->size, r->device.threads,
             r->device.kernels->name);
    if (restored) log_info("resumed at step %ld", (long)r->step);
    return 0;
}

void run_close(struct run *r)
{
    loader_close(r->loader);
    if (!r->world->rank) {
        metrics_close(&r->metrics);
        log_close();
    }
    if (r->optimizer.comm) optimizer_close(&r->optimizer);
    accumulator_close(&r->gradients);
    contrastive_close(&r->contrastive);
    if (r->tape.device) tape_free(&r->tape);
    if (r->teacher_tape.device) tape_free(&r->teacher_tape);
    for (int i = 0; i < 2; i++) arena_close(&r->host[i]);
    arena_close(&r->buffers);
    if (r->figures) r->device.kernels->unmap(&r->device, r->figures, figures_bytes(r));
    clip_close(&r->clip);
    clip_close(&r->teacher);
    if (r->comm.world) comm_close(&r->comm);
    if (r->device.kernels) device_close(&r->device);
    if (r->host_device.kernels) device_close(&r->host_device);
    tokenizer_close(r->tokenizer);
    collection_close(&r->data);
    collection_close(&r->validation);
    options_free(&trainer_program, &r->config);
    free(r->folder);
}

bool run_finished(const struct run *r)
{
    return r->step >= r->steps;
}

static void log_line(struct run *r)
{
    const struct step_report *p = &r->report;
    double n = (double)r->sum_count, batch_time = r->sum_seconds / n, rate = (double)r->config.global_batch / batch_time;
    int64_t samples = r->data.epoch, seen = p->step * r->config.global_batch, epoch = (seen - 1) / samples, inside = seen - epoch * samples;
    char left[32];
    clock_duration((double)(r->steps - p->step) * batch_time, left);
    log_info("Train Epoch: %ld [%ld/%ld (%.0f%%)] Data (t): %.3f Batch (t): %.3f, %.1f/s, %.1f/s/rank LR: %.6f Logit Scale: %.3f Contrastive_loss: %.4g (%.4g) Loss: %.4g (%.4g)"
             " Grad norm: %.3g Acc: %.3f Res: %ld Step: %ld/%ld ETA: %s",
             (long)epoch, (long)inside, (long)samples, 100. * (double)inside / (double)samples, r->sum_data / n, batch_time, rate, rate / r->world->size,
             p->rate, p->logit_scale, p->contrastive, r->sum_loss / n, p->loss, r->sum_loss / n, p->grad_norm, p->accuracy,
             (long)resolution_at(&r->resolutions, p->step - 1), (long)p->step, (long)r->steps, left);
    size_t now, peak;
    mem_usage(&now, &peak);
    json_t *row = json_pack("{s:I, s:f, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I}", "step", (json_int_t)p->step, "epoch",
                            (double)seen / (double)samples, "samples_seen", (json_int_t)seen, "loss", r->sum_loss / n, "last_loss", p->loss, "contrastive_loss", p->contrastive,
                            "mask_loss", p->mask, "distill_loss", p->divergence, "accuracy", p->accuracy, "lr", p->rate, "logit_scale", p->logit_scale, "grad_norm", p->grad_norm, "data_time",
                            r->sum_data / n, "batch_time", batch_time, "samples_per_second", rate, "flop_per_second",
                            (json_int_t)(6 * r->sum_macs * r->world->size / r->sum_seconds), "peak_memory", (json_int_t)peak, "image_size",
                            (json_int_t)resolution_at(&r->resolutions, p->step - 1));
    metrics_write(&r->metrics, "train", p->step, row);
}

static bool due(int64_t step, int64_t every)
{
    return every > 0 && step % every == 0;
}

/* Did the last step end a period of `epochs` epochs? */
static bool epoch_due(const struct run *r, double epochs)
{
    if (!(epochs > 0)) return false;
    double period = epochs * (double)r->data.epoch, batch = (double)r->config.global_batch;
    return floor((double)r->step * batch / period) > floor((double)(r->step - 1) * batch / period);
}

void run_report(struct run *r)
{
    r->sum_loss += r->report.loss;
    r->sum_data += r->report.data_seconds;
    r->sum_seconds += r->report.seconds;
    r->sum_macs += r->report.macs;
    r->sum_count++;
    size_t used = r->report.step == r->first_step + 1 ? device_memory_used(&r->device) : 0;
    if (used) log_info("memory in use on the GPU after the first step: %.2f GiB, the driver's own and other programs' included", (double)used / (1 << 30));
    if (!due(r->report.step, r->config.log_steps) && r->report.step < r->steps) return;
    if (!r->world->rank) log_line(r);
    r->sum_loss = r->sum_data = r->sum_seconds = r->sum_macs = 0;
    r->sum_count = 0;
}

int run_after_step(struct run *r, struct error *error)
{
    const struct trainer_config *c = &r->config;
    bool last = run_finished(r);
    bool enough = c->stop_after && r->step - r->first_step >= c->stop_after;
    r->stopping = world_max(r->world, signalled || enough) > 0 && !last;
    bool save = r->stopping || last || due(r->step, c->save_steps) || epoch_due(r, c->save_epochs);
    bool check = r->validation.samples && (last || due(r->step, c->val_steps));
    if (save || check) {
        if (step_drain(r, error) < 0 || (save && run_save(r, error) < 0) || (check && validate(r, error) < 0)) return -1;
        r->clock = clock_seconds();
    }
    if (!r->stopping) return 0;
    log_info("stopped by %s after step %ld, saved; run again with --resume latest to go on", enough ? "--stop-after" : "a signal", (long)r->step);
    return error_set(error, ERROR_STOPPED, "stopped after saving step %ld", (long)r->step);
}
