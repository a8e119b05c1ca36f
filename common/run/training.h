/* A training run, written once: what is the same whatever is learned.
 *
 * One process, one device.  A step is a pure function of (run seed, step): its batch is cut into slices, a rank works
 * on its share of them, and gradients are summed in one tree over slices.  So a run that was stopped or killed goes on
 * bit-equal, on any number of ranks.  Nothing here waits for a GPU: what a step has to say is fetched while the next
 * one is being launched. */
#ifndef RUN_TRAINING_H
#define RUN_TRAINING_H

#include "autograd/tape.h"
#include "log/log.h"
#include "optim/accumulate.h"
#include "optim/optimizer.h"
#include "run/folder.h"
#include "run/objective.h"
#include "run/options.h"
#include "run/plan.h"

/* A step whose figures are on their way. */
struct step_notice {
    bool active;
    double rate, waited, macs;
};

struct training {
    /* what is run */
    const struct world *world;
    const struct option_program *program;
    const struct objective *objective;
    void *options; /* the block that the program's table fills: settings, then the objective's self */
    struct training_settings *settings;
    void *self;
    bool opened; /* objective->open was called, so close will be */

    /* set by objective->open */
    struct parameters *parameters; /* borrowed */
    int64_t samples;               /* of an epoch */
    json_t *identity;              /* on rank 0: what beside the options must be the same when the run is resumed */

    struct plan plan;
    struct device device;
    struct comm comm;
    struct tape tape;
    struct optimizer optimizer;
    struct accumulator gradients;
    struct run_folder folder; /* rank 0; its path everywhere */
    int64_t step, first_step; /* steps done; done when this process started */
    json_t *changes;          /* what was resumed with other options: [{ "step", "key", "from", "to" }] */

    /* reports (run/report.c) */
    unsigned char *notices; /* on the device: norm, factor, what the objective gathers, checks of slices */
    struct step_notice pending[2];
    struct figures figures;
    struct progress progress;                 /* on a terminal */
    double clock;                             /* when the last figures came */
    double sum_waited, sum_seconds, sum_macs; /* since the last line */
    int64_t sum_steps;
};

/* (all) The whole program: options, run, end.  The program's table has training_options at offset 0, the objective's
 * own at TRAINING_SELF. */
#define TRAINING_SELF sizeof(struct training_settings)
void training_run(const struct world *world, const struct option_program *program, const struct objective *objective,
                  int argc, char **argv, struct error *error);

/* --- for objectives --- */

/* Which sample is row i of this rank's slice n of a step (counted from 0), and in which epoch. */
int64_t training_sample(const struct training *t, int64_t step, int64_t n, int64_t i, uint64_t *epoch);
/* Where on the device check k of slice n goes: a number that is finite where the slice is. */
double *training_check(const struct training *t, int64_t n, int k);
/* Backward over the segments from `first` on; last: the last such walk of the step, so that finished gradients may
 * travel on the way. */
void training_walk_back(struct training *t, int first, bool last);
/* (all) Wait for the figures of all steps done. */
int training_drain(struct training *t, struct error *error);
/* Rank 0's row of metrics.jsonl (reference taken; elsewhere it is dropped). */
void training_row(struct training *t, const char *split, int64_t step, json_t *row);

/* --- between the files of common/run --- */

/* step.c, (all): one step; and the dry run that takes all the device memory a step needs, says how much, and measures
 * which products are fastest. */
int step_train(struct training *t, struct error *error);
int step_plan(struct training *t, struct error *error);

/* report.c: the figures of the present step on their way, and those of step `step` (counted from 0) taken in if they
 * still are. */
void report_open(struct training *t);
void report_close(struct training *t);
void report_begin(struct training *t, double rate, double waited);
int report_collect(struct training *t, int64_t step, struct error *error);

/* resume.c */
struct resumption {
    char *folder; /* of the checkpoint, NULL: a new run */
    bool own;     /* it lies in this run's folder */
    json_t *state;
    int64_t step;
};
/* (all) What --resume means; nothing is written. */
int resume_find(const struct training *t, struct resumption *found, struct error *error);
void resume_free(struct resumption *found);
/* Slices of the checkpoint where --slices is 0. */
int64_t resume_slices(const struct training *t, const struct resumption *found);
/* Rank 0: is it this run?  Differences that --resume-with allows are noted in t->changes. */
int resume_check(struct training *t, const struct resumption *found, struct error *error);
/* What goes on, and with which other options. */
void resume_say(const struct training *t);
/* Rank 0: later checkpoints of the run's own are another run's from now on. */
int resume_settle(const struct training *t, const struct resumption *found, struct error *error);
/* (all) Weights are the objective's affair; this reads the optimizer's state. */
int resume_load(struct training *t, const struct resumption *found, struct error *error);
/* (all) A checkpoint of the present step. */
int resume_save(struct training *t, struct error *error);

#endif
