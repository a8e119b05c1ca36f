/* One training step: forward over the slices, what lies between, back over the slices, update.  And the same on shapes
 * alone. */
#include <stdlib.h>

#include "base/fs.h"
#include "log/log.h"
#include "optim/schedule.h"
#include "run/training.h"

int64_t training_sample(const struct training *t, int64_t step, int64_t n, int64_t i, uint64_t *epoch)
{
    struct place p = plan_place(&t->plan, step, n, i);
    *epoch = p.epoch;
    return t->objective->sample(t->self, p.epoch, p.at);
}

void training_walk_back(struct training *t, int first, bool last)
{
    t->tape.between = last && t->gradients.sent ? accumulator_send : NULL;
    t->tape.between_context = &t->gradients;
    tape_backward(&t->tape, first, t->tape.segment_count);
    t->tape.between = NULL;
}

static int forward(struct training *t, double *waited, struct error *error)
{
    const struct objective *o = t->objective;
    for (int64_t n = 0; n < t->plan.mine; n++) {
        if (t->device.planning)
            o->imagine(t->self, n);
        else if (o->receive(t->self, n, waited, error) < 0)
            return -1;
        if (o->forward) o->forward(t->self, n);
    }
    return 0;
}

static void backward(struct training *t)
{
    for (int64_t n = t->plan.mine - 1; n >= 0; n--) {
        accumulator_begin(&t->gradients);
        t->objective->backward(t->self, n);
        accumulator_end(&t->gradients);
    }
}

int step_train(struct training *t, struct error *error)
{
    const struct objective *o = t->objective;
    const struct training_settings *c = t->settings;
    double waited = 0;
    bool reduced;
    if (o->step) o->step(t->self);
    if (world_agree(t->world, forward(t, &waited, error), error) < 0) return -1;
    if (o->between) o->between(t->self);
    backward(t);
    const struct tree *gradients = accumulator_sum(&t->gradients, &reduced);
    if (o->gradients) o->gradients(t->self, gradients->node[0].sum, reduced);
    double rate = schedule_rate_of(c->schedule, c->lr, c->lr_min, t->step, c->warmup, t->plan.steps);
    optimizer_step(&t->optimizer, gradients, reduced, rate, t->step + 1);
    if (o->settle) o->settle(t->self);
    report_begin(t, rate, waited);
    t->step++;
    /* a GPU is still at it: take in what the step before has to say */
    return t->device.kernels->reserve ? report_collect(t, t->step - 2, error) : training_drain(t, error);
}

static void dry_run(struct training *t)
{
    const struct objective *o = t->objective;
    struct device *d = &t->device;
    size_t fixed = d->mapped, before = d->committed;
    struct error none = {0};
    double waited;
    d->planning = true;
    if (o->step) o->step(t->self);
    forward(t, &waited, &none);
    if (o->between) o->between(t->self);
    backward(t);
    accumulator_forget(&t->gradients);
    tape_reset(&t->tape);
    d->planning = false;
    double gib = 1024. * 1024 * 1024;
    log_info("memory planned: %.2f GiB of %.2f on the GPU: weights, gradients, optimizer and loss %.2f, pictures and "
             "gradients between blocks %.2f, "
             "activations %.2f",
             (double)(d->mapped + d->committed) / gib, (double)d->total / gib, (double)fixed / gib,
             (double)(d->mapped - fixed) / gib, (double)(d->committed - before) / gib);
}

int step_plan(struct training *t, struct error *error)
{
    if (!t->device.kernels->reserve || !t->objective->imagine) return 0;
    /* rank 0 finds the fastest products, the others and later starts of this run take its choices: so they compute the
     * same bits */
    char *choices = fs_join(t->folder.path, "gpu-products.txt");
    int rc = 0;
    for (int turn = 0; turn < 2; turn++) {
        if ((turn == 0) == (t->world->rank == 0)) {
            int taken = device_choices_load(&t->device, choices, error);
            if (taken < 0) rc = -1;
            if (taken == 0 && fs_exists(choices))
                log_warn("%s: made on another kind of GPU or cuBLAS; products are chosen anew, and results may differ "
                         "in their last bits",
                         choices);
            dry_run(t);
            if (taken == 0 && turn == 0) rc = device_choices_save(&t->device, choices, error);
        }
        world_barrier(t->world);
    }
    free(choices);
    return world_agree(t->world, rc, error);
}
