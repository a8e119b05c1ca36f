/* What a step has to say: gathered on the device, fetched while the next step runs, then a line of the log and a row of
 * metrics.
 *
 *   on the device   | norm | factor, 4 bytes free | the objective's figures | checks [mine, objective->checks] | */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "log/log.h"
#include "run/training.h"

enum { NORM = 0, FACTOR = sizeof(double), GATHERED = 2 * sizeof(double) }; /* places in the notice */

static size_t checks_at(const struct training *t)
{
    return GATHERED + (t->objective->figures_bytes + sizeof(double) - 1) / sizeof(double) * sizeof(double);
}

static int64_t check_count(const struct training *t)
{
    return t->plan.mine * t->objective->checks;
}

static size_t notice_bytes(const struct training *t)
{
    return checks_at(t) + (size_t)check_count(t) * sizeof(double);
}

double *training_check(const struct training *t, int64_t n, int k)
{
    return (double *)(void *)(t->notices + checks_at(t)) + n * t->objective->checks + k;
}

void report_open(struct training *t)
{
    t->notices = t->device.kernels->map(&t->device, notice_bytes(t));
    t->clock = clock_seconds();
}

void report_close(struct training *t)
{
    if (t->notices) t->device.kernels->unmap(&t->device, t->notices, notice_bytes(t));
}

void report_begin(struct training *t, double rate, double waited)
{
    const struct kernels *k = t->device.kernels;
    k->copy(&t->device, t->notices + NORM, t->optimizer.norm, sizeof(double));
    k->copy(&t->device, t->notices + FACTOR, t->optimizer.factor, sizeof(float));
    t->objective->gather(t->self, t->notices + GATHERED);
    k->fetch_begin(&t->device, (int)(t->step & 1), t->notices, notice_bytes(t));
    t->pending[t->step & 1] = (struct step_notice){
        .active = true, .rate = rate, .waited = waited, .macs = t->objective->macs ? t->objective->macs(t->self) : 0};
}

/* This rank's first slice whose checks are not finite, -1: none. */
static int64_t guilty_slice(const struct training *t, const double *checks)
{
    for (int64_t i = 0; i < check_count(t); i++)
        if (!isfinite(checks[i])) return i / t->objective->checks;
    return -1;
}

/* (all) The message for numbers that are not finite: which step, slice, samples.  The rank of the first guilty slice
 * speaks, or, where the fault shows in no slice alone, rank 0. */
static int not_finite(struct training *t, int64_t step, const double *checks, const char *what, struct error *error)
{
    enum { ROOM = 900 };
    int64_t mine = guilty_slice(t, checks), own = mine < 0 ? t->plan.slices : t->plan.first + mine,
            first = -world_max(t->world, -own);
    bool found = first < t->plan.slices;
    if (found ? own != first : t->world->rank > 0) return world_agree(t->world, 0, error);
    struct str ids = {0};
    uint64_t epoch;
    for (int64_t n = found ? mine : 0; n < (found ? mine + 1 : t->plan.mine); n++)
        for (int64_t i = 0; i < t->plan.rows && ids.len < ROOM; i++)
            str_printf(&ids, " %ld", (long)training_sample(t, step - 1, n, i, &epoch));
    error_set(error, ERROR_FAILED,
              "step %ld: the %s is not finite (%s %ld, samples%s); the last checkpoint stays, resume from it with a "
              "lower --lr (--resume-with lr) or without "
              "these samples",
              (long)step, what, found ? "slice" : "no slice alone, first", (long)(found ? first : 0), ids.data);
    str_free(&ids);
    return world_agree(t->world, -1, error);
}

static void add(json_t *row, const char *key, double value)
{
    json_object_set_new(row, key, json_real(value));
}

static void add_whole(json_t *row, const char *key, int64_t value)
{
    json_object_set_new(row, key, json_integer(value));
}

/* The line of the log, as open_clip writes it, and the row of metrics. */
static void say(struct training *t, int64_t step, double rate, double norm)
{
    const struct plan *p = &t->plan;
    double n = (double)t->sum_steps, seconds = t->sum_seconds / n, speed = (double)p->batch / seconds;
    int64_t seen = step * p->batch, epoch = (seen - 1) / p->samples, inside = seen - epoch * p->samples;
    struct str figures = {0};
    json_t *row = json_object();
    char left[32];
    size_t now, peak;
    figures_report(&t->figures, t->sum_steps, t->sum_seconds, &figures, row);
    clock_duration((double)(p->steps - step) * seconds, left);
    log_info("Train Epoch: %ld [%ld/%ld (%.0f%%)] Data (t): %.3f Batch (t): %.3f, %.1f/s, %.1f/s/rank LR: %.6g%s Grad "
             "norm: %.3g Step: %ld/%ld ETA: %s",
             (long)epoch, (long)inside, (long)p->samples, 100. * (double)inside / (double)p->samples, t->sum_waited / n,
             seconds, speed, speed / t->world->size, rate, figures.data, norm, (long)step, (long)p->steps, left);
    mem_usage(&now, &peak);
    add(row, "epoch", (double)seen / (double)p->samples);
    add_whole(row, "samples_seen", seen);
    add(row, "lr", rate);
    add(row, "grad_norm", norm);
    add(row, "data_time", t->sum_waited / n);
    add(row, "batch_time", seconds);
    add(row, "samples_per_second", speed);
    double macs = t->sum_macs * (double)p->slices / (double)p->mine; /* of all ranks */
    if (macs > 0) add_whole(row, "flop_per_second", (int64_t)(6 * macs / t->sum_seconds));
    add_whole(row, "peak_memory", (int64_t)peak);
    training_row(t, "train", step, row);
    str_free(&figures);
}

void training_row(struct training *t, const char *split, int64_t step, json_t *row)
{
    if (t->world->rank)
        json_decref(row);
    else
        metrics_write(&t->folder.metrics, split, step, row);
}

/* The figures of a step are there: the first is said at once, then every so many. */
static void report(struct training *t, int64_t step, const struct step_notice *notice, double norm)
{
    double now = clock_seconds();
    figures_sum(&t->figures);
    t->sum_waited += notice->waited;
    t->sum_macs += notice->macs;
    t->sum_seconds += now - t->clock;
    t->sum_steps++;
    t->clock = now;
    bool first = step == t->first_step + 1;
    size_t used = first ? device_memory_used(&t->device) : 0;
    if (used)
        log_info(
            "memory in use on the GPU after the first step: %.2f GiB, the driver's own and other programs' included",
            (double)used / (1 << 30));
    if (t->progress.terminal) progress_show(&t->progress, step, "");
    if (!first && step % t->settings->log_steps && step < t->plan.steps) return;
    say(t, step, notice->rate, norm);
    t->sum_waited = t->sum_seconds = t->sum_macs = 0;
    t->sum_steps = 0;
}

int report_collect(struct training *t, int64_t step, struct error *error)
{
    struct step_notice *p = &t->pending[step & 1];
    if (step < 0 || !p->active) return 0;
    p->active = false;
    unsigned char *here = mem_alloc(notice_bytes(t), 1);
    double norm;
    float factor;
    int rc = 0;
    t->device.kernels->fetch_end(&t->device, (int)(step & 1), here);
    memcpy(&norm, here + NORM, sizeof norm);
    memcpy(&factor, here + FACTOR, sizeof factor);
    t->objective->figures(t->self, step + 1, here + GATHERED, &t->figures);
    bool finite = isfinite(figures_get(&t->figures, "loss"));
    if (!finite || factor == 0)
        rc = not_finite(t, step + 1, (double *)(void *)(here + checks_at(t)), finite ? "gradient" : "loss", error);
    else
        report(t, step + 1, p, norm);
    free(here);
    return rc;
}

int training_drain(struct training *t, struct error *error)
{
    return report_collect(t, t->step - 2, error) < 0 || report_collect(t, t->step - 1, error) < 0 ? -1 : 0;
}
