/* What a training run owns, from the option table to the open files. */
#ifndef TRAINER_RUN_H
#define TRAINER_RUN_H

#include "checkpoint/checkpoint.h"
#include "data/loader.h"
#include "log/metrics.h"
#include "models/clip.h"
#include "nn/contrastive.h"
#include "optim/accumulate.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"
#include "trainer/options.h"

/* What a step says, in host memory. */
struct step_report {
    int64_t step; /* counted from 1 */
    double loss, contrastive, divergence, mask, accuracy, rate, grad_norm, logit_scale;
    double data_seconds, seconds, macs; /* waiting for data; since the step before; multiply-adds of a forward pass of this rank */
};

/* The same on the device, as it is fetched. */
struct step_figures {
    double totals[CONTRASTIVE_TOTALS], norm, mask;
    float factor, log_scale;
    double finite[]; /* [2, slices here] */
};

/* A step whose figures are on their way. */
struct pending_step {
    bool active;
    const struct slice *slices; /* in the step's host arena */
    double rate, waited, macs;
};

struct run {
    const struct world *world;
    struct trainer_config config;
    char *folder;               /* logs/name */
    struct device device;
    struct device host_device;  /* the CPU, for figures of the validation */
    struct comm comm;
    struct clip clip, teacher;  /* teacher: when config.teacher is given */
    struct tape tape, teacher_tape;
    struct arena host[2];       /* host data of a step; two steps may be under way on a GPU */
    struct arena buffers;       /* device data of a step */
    struct contrastive contrastive;
    struct optimizer optimizer;
    struct accumulator gradients;
    struct collection data, validation;
    struct tokenizer *tokenizer;
    struct loader *loader;
    struct augmentation augmentation;
    struct media_options media;
    struct resolutions resolutions;
    struct metrics metrics;

    int64_t step, steps, first_step; /* steps done; in all; done when this process started */
    int64_t slices, first, mine; /* slices in all; the first and how many here */
    int64_t local, slice;       /* samples of this rank and of a slice */
    int64_t pictures;           /* of a slice, at most */
    int largest;                /* pixels a side, of all resolutions */
    int64_t received, pixel_slots; /* slices taken from the loader; places for their pixels */
    struct pending_step pending[2];
    struct step_figures *figures; /* on the device */
    double clock;               /* when the last figures came */
    bool stopping;              /* a signal came, all ranks know */
    struct step_report report;
    /* sums since the last log line */
    double sum_loss, sum_data, sum_seconds, sum_macs;
    int64_t sum_count;
};

/* (all) Everything up to the first step: options, model, weights or checkpoint, data, files.  OPTIONS_DONE after --help. */
int run_open(struct run *run, const struct world *world, int argc, char **argv, struct error *error);
void run_close(struct run *run);

bool run_finished(const struct run *run);
/* The figures of a step are in run->report: log line and metrics row, as due. */
void run_report(struct run *run);
/* (all) Checkpoint and validation, as due after a step.  ERROR_STOPPED when a signal stops the run. */
int run_after_step(struct run *run, struct error *error);

/* (all) Save a checkpoint of the present step. */
int run_save(struct run *run, struct error *error);
/* (all) Continue from the newest checkpoint; 0 when there is none, 1 when restored. */
int run_restore(struct run *run, struct error *error);

/* (all) Retrieval on the validation data; writes a metrics row. */
int validate(struct run *run, struct error *error);

#endif
