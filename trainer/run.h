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

struct step_report {
    double loss, contrastive, mask, accuracy, rate, grad_norm; /* of the last step */
    double data_seconds, step_seconds, macs;
};

struct run {
    const struct world *world;
    struct trainer_config config;
    char *folder;               /* logs/name */
    struct device device;
    struct clip clip;
    struct tape tape;
    struct arena arena;         /* host data of a step */
    struct optimizer optimizer;
    struct accumulator gradients;
    struct collection data, validation;
    struct tokenizer *tokenizer;
    struct loader *loader;
    struct augmentation augmentation;
    struct resolutions resolutions;
    struct metrics metrics;

    int64_t step, steps, first_step; /* steps done; in all; done when this process started */
    int64_t slices, mine, local, slice; /* slices in all and here; samples a rank and a slice */
    bool stopping;              /* a signal came, all ranks know */
    struct step_report report;
    /* sums since the last log line */
    double sum_loss, sum_data, sum_step, sum_macs;
    int64_t sum_count;
};

/* (all) Everything up to the first step: options, model, weights or checkpoint, data, files.  OPTIONS_DONE after --help. */
int run_open(struct run *run, const struct world *world, int argc, char **argv, struct error *error);
void run_close(struct run *run);

bool run_finished(const struct run *run);
/* Batch of the next step, or NULL. (all) */
struct batch *run_batch(struct run *run, struct error *error);

/* (all) Log line, metrics row, checkpoint, validation, as due after a step.  ERROR_STOPPED when a signal stops the run. */
int run_after_step(struct run *run, struct error *error);

/* (all) Save a checkpoint of the present step. */
int run_save(struct run *run, struct error *error);
/* (all) Continue from the newest checkpoint; 0 when there is none, 1 when restored. */
int run_restore(struct run *run, struct error *error);

/* (all) Retrieval on the validation data; writes a metrics row. */
int validate(struct run *run, struct error *error);

#endif
