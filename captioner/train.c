/* Options, opening and the loop of pe-captioner train. */
#include "captioner/train.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/stop.h"
#include "base/str.h"
#include "log/log.h"
#include "models/plm_files.h"
#include "optim/schedule.h"

#define AT(field) offsetof(struct train_config, field)
static const struct option options[] = {
    {OPTION_GROUP, "data", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_STRINGS, "train-data", AT(train_data), "!", 0, 0, NULL, "data sets with captions (pe-dataloader pack), and JSONL files of conversations"},
    {OPTION_STRING, "media-root", AT(media_root), NULL, 0, 0, NULL, "folder of relative paths in JSONL; else the file's own"},
    {OPTION_STRING, "video-prompt", AT(video_prompt), "Describe this video in detail.", 0, 0, NULL, "question for videos of data sets"},
    {OPTION_STRING, "image-prompt", AT(image_prompt), "Describe this image in detail.", 0, 0, NULL, "question for pictures of data sets"},
    {OPTION_INT, "frames", AT(frames), "16", 1, 1024, NULL, "frames of a video"},
    {OPTION_CHOICE, "frame-rule", AT(frame_rule), "span", 0, 0, "span|floor", "frame i of n in a video of T: i (T - 1) / (n - 1), or i T / n"},
    {OPTION_INT, "max-tiles", AT(tiles), "16", 0, 128, NULL, "tiles of a picture beside its thumbnail"},
    {OPTION_INT, "context", AT(context), "6144", 8, 1 << 24, NULL, "tokens of an example, at most"},
    {OPTION_INT, "max-image-pixels", AT(max_pixels), "100000000", 1, 1e12, NULL, "larger pictures are an error"},
    {OPTION_REAL, "video-seconds", AT(video_seconds), "60", 1e-6, 1e6, NULL, "a video that takes longer to decode is an error"},
    {OPTION_GROUP, "model", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_STRING, "model", AT(model), NULL, 0, 0, NULL, "go on from this Perception LM's folder, or"},
    {OPTION_STRING, "plm-config", AT(plm_config), NULL, 0, 0, NULL, "start anew: folder with the config.json of a Perception LM"},
    {OPTION_STRING, "vision", AT(vision), NULL, 0, 0, NULL, "its tower from these PE weights"},
    {OPTION_STRING, "decoder", AT(decoder), NULL, 0, 0, NULL, "its decoder from this Llama's folder"},
    {OPTION_STRING, "tokenizer", AT(tokenizer), NULL, 0, 0, NULL, "tokenizer.json or tokenizer.model; else the one in the model's folder"},
    {OPTION_CHOICE, "stage", AT(stage), "all", 0, 0, "projector|all", "what learns"},
    {OPTION_INT, "pooling", AT(pooling), "0", 0, 64, NULL, "of the projected grid; 0: the model's, 1 in the stage of the projector"},
    {OPTION_REAL, "drop-path", AT(drop_path), "0", 0, 0.9, NULL, "share of the tower's branches left out (the paper: 0.1 in stage all)"},
    {OPTION_GROUP, "recipe", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_INT, "global-batch-size", AT(global_batch), "!", 1, 1e8, NULL, "examples a step, over all ranks"},
    {OPTION_REAL, "epochs", AT(epochs), "0", 0, 1e9, NULL, "length of the run in passes over the data, or"},
    {OPTION_INT, "steps", AT(steps), "0", 0, 1e12, NULL, "in steps"},
    {OPTION_REAL, "lr", AT(lr), "4e-5", 0, 10, NULL, "peak learning rate (the paper: 1e-4 for the projector)"},
    {OPTION_REAL, "lr-min", AT(lr_min), "0", 0, 10, NULL, "at the end of the cosine (the paper: a hundredth of the peak)"},
    {OPTION_INT, "warmup", AT(warmup), "120", 0, 1e9, NULL, "steps of linear warm-up"},
    {OPTION_REAL, "wd", AT(wd), "0.05", 0, 10, NULL, "weight decay of matrices"},
    {OPTION_REAL, "beta1", AT(beta1), "0.9", 0, 1, NULL, "decay of the first moment"},
    {OPTION_REAL, "beta2", AT(beta2), "0.95", 0, 1, NULL, "decay of the second moment"},
    {OPTION_REAL, "eps", AT(eps), "1e-8", 0, 1, NULL, "added to the root of the second moment"},
    {OPTION_REAL, "grad-clip-norm", AT(clip), "1", 0, 1e9, NULL, "clip gradients to this global norm; 0: never"},
    {OPTION_INT, "seed", AT(seed), "0", 0, 1e15, NULL, "of initial weights, order and DropPath"},
    {OPTION_GROUP, "memory and machine", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_INT, "slices", AT(slices), "0", 0, 256, NULL, "parts of the batch, a power of two, at least the ranks; 0: up to 8; results depend on it"},
    {OPTION_BOOL, "grad-checkpointing", AT(recompute), "false", 0, 0, NULL, "forget activations inside blocks, recompute them backward"},
    {OPTION_INT, "zero", AT(zero), "1", 0, 1, NULL, "1: optimizer state sharded over ranks; 0: a copy each"},
    {OPTION_STRING, "device", AT(device), "cpu", 0, 0, NULL, "cpu, cuda (a GPU for each rank of a host) or cuda:N"},
    {OPTION_CHOICE, "precision", AT(precision), "fp32", 0, 0, "fp32|bf16", "arithmetic of the model; bf16 keeps fp32 weights beside it"},
    {OPTION_CHOICE, "reduction", AT(reduction), "auto", 0, 0, "auto|exact|nccl", "sums over ranks"},
    {OPTION_STRING, "cpu-level", AT(cpu_level), NULL, 0, 0, NULL, "force an instruction level: portable, x86-64-v3, x86-64-v4"},
    {OPTION_INT, "threads", AT(threads), "0", 0, 1024, NULL, "compute threads of a rank; 0: its share of the cores"},
    {OPTION_GROUP, "run folder", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_STRING, "logs", AT(logs), "./logs", 0, 0, NULL, "folder of runs"},
    {OPTION_STRING, "name", AT(name), "!", 0, 0, NULL, "this run's folder below it"},
    {OPTION_CHOICE, "resume", AT(resume), NULL, 0, 0, "latest", "go on from the newest whole checkpoint, or start when there is none"},
    {OPTION_INT, "save-every-n-steps", AT(save_steps), "0", 0, 1e12, NULL, "checkpoint every N steps; 0: at the end only"},
    {OPTION_INT, "keep-checkpoints", AT(keep), "2", 0, 1e9, NULL, "keep the newest N; 0: all"},
    {OPTION_INT, "log-every-n-steps", AT(log_steps), "10", 1, 1e9, NULL, "a line and a row of metrics every N steps"},
    {OPTION_INT, "stop-after", AT(stop_after), "0", 0, 1e12, NULL, "save and stop with status 75 after N steps of this start; 0: never"},
    {0}};
const struct option_program train_program = {"pe-captioner", "train", "teach a Perception LM", options};

static int plan(struct train *t, struct error *error)
{
    const struct train_config *c = &t->config;
    int64_t ranks = t->world->size, batch = c->global_batch;
    if (!c->steps == !(c->epochs > 0)) return error_set(error, ERROR_USAGE, "give the length of the run as --steps or as --epochs");
    t->steps = c->steps ? c->steps : (int64_t)ceil(c->epochs * (double)t->examples.count / (double)batch);
    t->slices = c->slices;
    if (!t->slices)
        for (t->slices = 8 > ranks ? 8 : ranks; t->slices > ranks && batch % t->slices;) t->slices /= 2;
    if ((t->slices & (t->slices - 1)) || batch % t->slices)
        return error_set(error, ERROR_USAGE, "--slices %ld: must be a power of two that divides the batch of %ld", (long)t->slices, (long)batch);
    if ((ranks & (ranks - 1)) || t->slices % ranks) return error_set(error, ERROR_USAGE, "%ld ranks: must be a power of two, at most the %ld slices", (long)ranks, (long)t->slices);
    t->mine = t->slices / ranks;
    t->slice = batch / t->slices;
    return 0;
}

static int open_model(struct train *t, struct error *error)
{
    const struct train_config *c = &t->config;
    struct plm_config config;
    if (!c->model == !c->plm_config) return error_set(error, ERROR_USAGE, "give either --model, to go on from, or --plm-config, to start anew");
    if (c->model && (c->vision || c->decoder)) return error_set(error, ERROR_USAGE, "--vision and --decoder are for a start with --plm-config");
    const char *folder = c->model ? c->model : c->plm_config;
    if (plm_config_load(&config, folder, error) < 0 || bpe_open(&t->bpe, c->tokenizer ? c->tokenizer : folder, error) < 0 ||
        chat_template_open(&t->template, t->bpe, error) < 0)
        return -1;
    if (bpe_size(t->bpe) > config.decoder.vocab_size)
        return error_set(error, ERROR_USAGE, "the tokenizer has %ld tokens, the model %ld: they do not belong together", (long)bpe_size(t->bpe), (long)config.decoder.vocab_size);
    plm_open(&t->plm, &config);
    plm_init(&t->plm, (uint64_t)c->seed);
    t->pooling = c->pooling ? c->pooling : strcmp(c->stage, "all") ? 1 : config.pooling;
    if (config.vision.image_size / config.vision.patch_size % t->pooling) return error_set(error, ERROR_USAGE, "--pooling %ld does not divide the grid", (long)t->pooling);
    return c->model ? plm_load(&t->plm, c->model, error) : plm_load_parts(&t->plm, c->vision, c->decoder, error);
}

static void freeze(struct train *t)
{
    bool all = !strcmp(t->config.stage, "all");
    for (int64_t i = 0; i < t->plm.parameters.count; i++) {
        struct parameter *p = t->plm.parameters.list[i];
        p->tensor.needs_grad = all || str_starts_with(p->name, "projector.");
    }
}

static int open_examples(struct train *t, struct error *error)
{
    struct train_config *c = &t->config;
    const struct vision_config *v = &t->plm.config.vision;
    int64_t side = v->image_size / v->patch_size / t->pooling;
    struct examples_config x = {.sources = &c->train_data, .media_root = c->media_root, .video_prompt = c->video_prompt, .image_prompt = c->image_prompt,
                                .media = {.frames = (int)c->frames, .rule = strcmp(c->frame_rule, "floor") ? VIDEO_SPAN : VIDEO_FLOOR, .limits = {c->video_seconds, c->max_pixels}},
                                .size = (int)v->image_size, .tiles = (int)c->tiles, .tile_rows = side * side, .context = c->context, .plain = strcmp(c->stage, "all") != 0,
                                .template = &t->template, .seed = (uint64_t)c->seed};
    return examples_open(&t->examples, &x, error);
}

static int open_folder(struct train *t, struct error *error)
{
    char *log = fs_join(t->folder, "out.log"), *resolved = fs_join(t->folder, "config.json"), *checkpoints = fs_join(t->folder, "checkpoints");
    int rc = 0;
    if (fs_exists(checkpoints) && !t->config.resume) rc = error_set(error, ERROR_USAGE, "%s: this run exists; go on with --resume latest, or choose another --name", t->folder);
    if (rc == 0) rc = fs_make_folders(checkpoints, error);
    if (rc == 0) rc = log_file(log, error);
    if (rc == 0) rc = metrics_open(&t->metrics, t->folder, error);
    json_t *json = options_json(&train_program, &t->config);
    if (rc == 0) rc = json_write(resolved, json, error);
    json_decref(json);
    free(log);
    free(resolved);
    free(checkpoints);
    return rc;
}

/* Host memory for the arrays of a slice: tiles, ids, and what llama_pack takes. */
static size_t host_bytes(const struct train *t)
{
    const struct examples_config *c = &t->examples.config;
    size_t tiles = (size_t)t->slice * (size_t)((c->tiles + 1) > c->media.frames ? c->tiles + 1 : c->media.frames), rows = (size_t)(t->slice * c->context);
    size_t patches = (size_t)plm_patches(&t->plm.config);
    return tiles * ((size_t)(c->size * c->size) * 3 + patches * 4 + (size_t)t->plm.config.vision.layers * 8) + rows * 4 * 8 + (1 << 20);
}

static int open_all(struct train *t, struct error *error)
{
    struct train_config *c = &t->config;
    int cores = omp_get_num_procs() / t->world->node_ranks, threads = c->threads ? (int)c->threads : cores > 0 ? cores : 1;
    if (device_open(&t->device, c->device, c->precision, c->cpu_level, threads, t->world->node_rank, error) < 0) return -1;
    if (open_model(t, error) < 0 || open_examples(t, error) < 0 || plan(t, error) < 0) return -1;
    freeze(t);
    t->folder = fs_join(c->logs, c->name);
    return t->world->rank ? 0 : open_folder(t, error);
}

static int open_device(struct train *t, struct error *error)
{
    const struct train_config *c = &t->config;
    if (comm_open(&t->comm, t->world, &t->device, c->reduction, error) < 0) return -1;
    plm_place(&t->plm, &t->device, true);
    tape_init(&t->tape, &t->device);
    t->optimizer = (struct optimizer){.kind = OPTIMIZER_ADAMW, .beta1 = c->beta1, .beta2 = c->beta2, .eps = c->eps, .decay = c->wd, .clip = c->clip, .sharded = c->zero == 1};
    optimizer_open(&t->optimizer, &t->comm, &t->plm.parameters);
    accumulator_open(&t->gradients, &t->comm, &t->plm.parameters, t->mine);
    llama_reserve(&t->plm.decoder, &t->device, c->context);
    t->loss = t->device.kernels->map(&t->device, (size_t)t->mine * sizeof *t->loss);
    device_host_arena_open(&t->device, &t->host, host_bytes(t));
    device_arena_open(&t->device, &t->there, (size_t)1 << 38);
    return 0;
}

static void close_all(struct train *t)
{
    if (!t->world->rank) {
        metrics_close(&t->metrics);
        log_close();
    }
    if (t->optimizer.comm) optimizer_close(&t->optimizer);
    accumulator_close(&t->gradients);
    if (t->loss) t->device.kernels->unmap(&t->device, t->loss, (size_t)t->mine * sizeof *t->loss);
    if (t->tape.device) tape_free(&t->tape);
    arena_close(&t->host);
    arena_close(&t->there);
    examples_close(&t->examples);
    plm_close(&t->plm);
    chat_template_close(&t->template);
    bpe_close(t->bpe);
    if (t->comm.world) comm_close(&t->comm);
    if (t->device.kernels) device_close(&t->device);
    options_free(&train_program, &t->config);
    free(t->folder);
}

static void report(struct train *t, const struct train_report *r)
{
    double now = clock_seconds();
    t->sum_loss += r->loss;
    t->sum_tokens += r->rows;
    t->sum_seconds += now - t->clock;
    t->sum_count++;
    t->clock = now;
    if (t->step % t->config.log_steps && t->step < t->steps) return;
    double n = (double)t->sum_count, seconds = t->sum_seconds / n, tokens = t->sum_tokens / t->sum_seconds;
    char left[32];
    clock_duration((double)(t->steps - t->step) * seconds, left);
    log_info("Train Step: %ld/%ld Epoch: %.2f Batch (t): %.3f, %.1f examples/s, %.0f tokens/s LR: %.3g Loss: %.4g (%.4g) Grad norm: %.3g ETA: %s", (long)t->step, (long)t->steps,
             (double)t->step * (double)t->config.global_batch / (double)t->examples.count, seconds, (double)t->config.global_batch / seconds, tokens, r->rate, r->loss, t->sum_loss / n,
             r->norm, left);
    if (!t->world->rank)
        metrics_write(&t->metrics, "train", t->step,
                      json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "step", (json_int_t)t->step, "loss", t->sum_loss / n, "last_loss", r->loss, "lr", r->rate, "grad_norm", r->norm,
                                "batch_time", seconds, "tokens_per_second", tokens));
    t->sum_loss = t->sum_tokens = t->sum_seconds = 0;
    t->sum_count = 0;
}

static int loop(struct train *t, struct error *error)
{
    const struct train_config *c = &t->config;
    t->clock = clock_seconds();
    while (t->step < t->steps) {
        struct train_report r;
        if (world_agree(t->world, train_step(t, &r, error), error) < 0) return -1;
        report(t, &r);
        bool enough = c->stop_after && t->step - t->first_step >= c->stop_after, last = t->step == t->steps;
        bool stop = world_max(t->world, stop_asked() || enough) > 0 && !last;
        if ((last || stop || (c->save_steps && t->step % c->save_steps == 0)) && train_save(t, error) < 0) return -1;
        if (stop) {
            log_info("stopped after step %ld, saved; run again with --resume latest to go on", (long)t->step);
            return error_set(error, ERROR_STOPPED, "stopped after saving step %ld", (long)t->step);
        }
    }
    return 0;
}

int train_run(const struct world *world, int argc, char **argv, struct error *error)
{
    struct train t = {.world = world};
    int rc = options_parse(&train_program, &t.config, argc, argv, world->rank > 0, error);
    if (rc == OPTIONS_DONE) return 0;
    rc = world_agree(world, rc < 0 ? rc : open_all(&t, error), error);
    if (rc == 0) rc = open_device(&t, error);
    int restored = rc == 0 && t.config.resume ? train_restore(&t, error) : 0;
    if (restored < 0) rc = -1;
    if (rc == 0) {
        t.first_step = t.step;
        log_info("%.1f M parameters, stage %s; %ld examples; %ld steps of %ld in %ld slices on %d ranks x %d threads, %s", (double)parameters_elements(&t.plm.parameters) / 1e6,
                 t.config.stage, (long)t.examples.count, (long)t.steps, (long)t.config.global_batch, (long)t.slices, world->size, t.device.threads, t.device.kernels->name);
        if (restored) log_info("resumed at step %ld", (long)t.step);
        rc = loop(&t, error);
    }
    close_all(&t);
    return rc;
}
