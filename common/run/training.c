/* The life of a training run: options, objective, checkpoint, folder, device, steps. */
#include "run/training.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/stop.h"
#include "base/str.h"

/* --- opening --- */

static int make_plan(struct training *t, int64_t slices, struct error *error)
{
    const struct training_settings *c = t->settings;
    struct plan_wish wish = {.steps = c->steps,
                             .epochs = c->epochs,
                             .batch = c->global_batch,
                             .slices = slices,
                             .least_slice = t->objective->least_slice};
    return plan_make(&t->plan, &wish, t->samples, t->world->rank, t->world->size, error);
}

/* (all) A run that is there is locked before anyone looks for its checkpoints: the job at work may write one yet. */
static int lock_existing(struct training *t, struct error *error)
{
    char *checkpoints = fs_join(t->folder.path, "checkpoints");
    int rc = !t->world->rank && fs_exists(checkpoints) ? folder_lock(&t->folder, error) : 0;
    free(checkpoints);
    return world_agree(t->world, rc, error);
}

/* Rank 0, when it is clear that this run may go on here: from now on the folder is ours. */
static int open_folder(struct training *t, int64_t step, struct error *error)
{
    if (folder_lock(&t->folder, error) < 0) return -1;
    json_t *config = options_json(t->program, t->options);
    int rc = folder_open(&t->folder, config, step, error);
    json_decref(config);
    return rc;
}

/* (all) "node1 x 8, node2 x 8": hosts and their ranks; the caller frees. */
static char *host_names(const struct world *world)
{
    enum { HOST = sizeof world->host };
    char(*all)[HOST] = mem_alloc((size_t)world->size, HOST);
    struct str out = {0};
    world_gather_all(world, world->host, HOST, all);
    for (int r = 0, next; r < world->size; r = next) {
        for (next = r; next < world->size && !strcmp(all[next], all[r]);) next++;
        str_printf(&out, "%s%s x %d", r ? ", " : "", all[r], next - r);
    }
    free(all);
    return str_steal(&out);
}

/* (all) */
static void say_head(const struct training *t, int argc, char **argv)
{
    struct str command = {0};
    for (int i = 0; i < argc; i++) str_printf(&command, " %s", argv[i]);
    char *hosts = host_names(t->world);
    const struct plan *p = &t->plan;
    log_info("%s%s%s %s:%s", t->program->name, t->program->verb ? " " : "", t->program->verb ? t->program->verb : "",
             percept_version, command.data ? command.data : "");
    log_info("%d ranks x %d threads on %s, %s", t->world->size, t->device.threads, hosts, t->device.kernels->name);
    log_info("%.1f M parameters; %ld samples an epoch; %ld steps of %ld (%.1f epochs) in %ld slices",
             (double)parameters_elements(t->parameters) / 1e6, (long)p->samples, (long)p->steps, (long)p->batch,
             (double)p->steps * (double)p->batch / (double)p->samples, (long)p->slices);
    if (!t->world->rank && t->settings->warmup >= p->steps)
        log_warn("--warmup %ld: the run of %ld steps ends before its learning rate has reached --lr",
                 (long)t->settings->warmup, (long)p->steps);
    if (t->step) resume_say(t);
    free(hosts);
    str_free(&command);
}

/* (all) On the host: everything that can be refused, before anything is written. */
static int open_run(struct training *t, struct resumption *found, struct error *error)
{
    const struct training_settings *c = t->settings;
    const struct objective *o = t->objective;
    t->folder.path = c->name ? fs_join(c->logs, c->name) : o->folder(t->self);
    if (lock_existing(t, error) < 0) return -1;
    int rc = machine_open(&t->device, t->world, &c->machine, error);
    t->opened = rc == 0;
    if (t->opened) rc = o->open(t, t->self, error);
    if (world_agree(t->world, rc, error) < 0 || resume_find(t, found, error) < 0) return -1;
    rc = make_plan(t, resume_slices(t, found), error);
    if (rc == 0 && found->folder && !t->world->rank) rc = resume_check(t, found, error);
    if (world_agree(t->world, rc, error) < 0) return -1;
    rc = found->folder ? o->load(t->self, found->folder, error) : o->begin(t->self, error);
    return world_agree(t->world, rc, error);
}

static struct optimizer optimizer_of(const struct training_settings *c)
{
    bool lamb = !strcmp(c->opt, "lamb"), sgd = !strcmp(c->opt, "sgd");
    return (struct optimizer){.kind = lamb  ? OPTIMIZER_LAMB
                                      : sgd ? OPTIMIZER_SGD
                                            : OPTIMIZER_ADAMW,
                              .beta1 = c->beta1,
                              .beta2 = c->beta2,
                              .eps = c->eps,
                              .decay = c->wd,
                              .clip_norm = c->clip_norm,
                              .sharded = c->zero == 1};
}

/* (all) What lies on the device. */
static int open_device(struct training *t, const struct resumption *found, struct error *error)
{
    if (comm_open(&t->comm, t->world, &t->device, t->settings->reduction, error) < 0) return -1;
    parameters_place(t->parameters, &t->device, true);
    parameters_push(t->parameters);
    tape_init(&t->tape, &t->device);
    t->tape.recompute = t->settings->recompute;
    t->optimizer = optimizer_of(t->settings);
    optimizer_open(&t->optimizer, &t->comm, t->parameters);
    accumulator_open(&t->gradients, &t->comm, t->parameters, t->plan.slices);
    report_open(t);
    if (t->objective->start(t->self, error) < 0) return -1;
    if (found->folder && resume_load(t, found, error) < 0) return -1;
    return step_plan(t, error);
}

static int open_all(struct training *t, int argc, char **argv, struct error *error)
{
    struct resumption found = {0};
    int rc = open_run(t, &found, error);
    if (rc == 0) rc = world_agree(t->world, t->world->rank ? 0 : open_folder(t, found.step, error), error);
    t->step = t->first_step = found.step;
    if (rc == 0) say_head(t, argc, argv);
    if (rc == 0) rc = world_agree(t->world, t->world->rank ? 0 : resume_settle(t, &found, error), error);
    if (rc == 0) rc = open_device(t, &found, error);
    resume_free(&found);
    return rc;
}

static void close_all(struct training *t, const struct error *error)
{
    if (t->optimizer.comm) optimizer_close(&t->optimizer);
    accumulator_close(&t->gradients);
    report_close(t);
    if (t->opened) t->objective->close(t->self);
    if (t->tape.device) tape_free(&t->tape);
    if (t->comm.world) comm_close(&t->comm);
    if (t->device.kernels) device_close(&t->device);
    folder_close(&t->folder, error);
    json_decref(t->identity);
    json_decref(t->changes);
}

/* --- steps --- */

/* (all) Checkpoint and validation, as due after a step.  ERROR_STOPPED when a signal stops the run. */
static int after_step(struct training *t, struct error *error)
{
    const struct training_settings *c = t->settings;
    bool last = t->step == t->plan.steps, enough = c->stop_after && t->step - t->first_step >= c->stop_after;
    bool stopping = world_max(t->world, stop_asked() || enough) > 0 && !last;
    bool save = stopping || last || (c->save_steps && t->step % c->save_steps == 0) ||
                plan_epochs_end(&t->plan, c->save_epochs, t->step);
    if (save && (training_drain(t, error) < 0 || resume_save(t, error) < 0)) return -1;
    int looked = t->objective->validate ? t->objective->validate(t->self, last, error) : 0;
    if (looked < 0) return -1;
    if (save || looked) t->clock = clock_seconds(); /* not the step's time */
    if (!stopping) return 0;
    log_info("stopped by %s after step %ld, saved; run again with --resume latest to go on",
             enough ? "--stop-after" : "a signal", (long)t->step);
    return error_set(error, ERROR_STOPPED, "stopped after saving step %ld", (long)t->step);
}

static int run(struct training *t, struct error *error)
{
    int rc = 0;
    t->progress = progress_open("trained", t->plan.steps, t->world->rank > 0);
    if (t->step == 0 && t->objective->ready) rc = t->objective->ready(t->self, error);
    t->clock = clock_seconds();
    while (rc == 0 && t->step < t->plan.steps) {
        rc = step_train(t, error);
        if (rc == 0) rc = after_step(t, error);
    }
    return rc == 0 && t->objective->finish ? t->objective->finish(t->self, error) : rc;
}

void training_run(const struct world *world, const struct option_program *program, const struct objective *objective,
                  int argc, char **argv, struct error *error)
{
    char *options = mem_zalloc(1, TRAINING_SELF + objective->bytes);
    struct training t = {.world = world,
                         .program = program,
                         .objective = objective,
                         .options = options,
                         .settings = (void *)options,
                         .self = options + TRAINING_SELF,
                         .identity = json_object(),
                         .changes = json_array(),
                         .folder.lock = -1};
    int rc = options_parse(program, options, argc, argv, world->rank > 0, error);
    if (rc != OPTIONS_DONE) {
        rc = world_agree(world, rc, error);
        if (rc == 0) rc = open_all(&t, argc, argv, error);
        if (rc == 0) rc = run(&t, error);
        close_all(&t, error);
    }
    options_free(program, options);
    free(options);
}
