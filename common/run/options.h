/* The options of every training program. */
#ifndef RUN_OPTIONS_H
#define RUN_OPTIONS_H

#include "data/media.h"
#include "dist/machine.h"

/* Where samples come from: part of an objective's own options. */
struct data_settings {
    struct option_list train_data;
    char *verify_shards;
    int64_t workers;
    struct media_settings media;
};
extern const struct option data_options[];

struct training_settings {
    /* recipe */
    int64_t global_batch, steps, warmup, seed;
    double epochs, lr, lr_min, wd, beta1, beta2, eps, clip_norm;
    char *opt;
    char *schedule; /* NULL: cosine */
    /* memory and machine */
    int64_t slices, zero;
    bool recompute;
    char *reduction;
    struct machine_settings machine;
    /* run folder */
    char *logs, *name, *resume, *resume_with;
    int64_t save_steps, keep, log_steps, stop_after;
    double save_epochs;
};
extern const struct option training_options[];
extern const struct option schedule_options[]; /* beside them, for programs that let it be chosen: at offset 0 too */

#endif
