/* The options of pe-trainer.  Defaults are PE's published recipe (reference: PE Tab. 18) where it names a value. */
#ifndef TRAINER_OPTIONS_H
#define TRAINER_OPTIONS_H

#include "config/options.h"

struct trainer_config {
    /* data */
    struct option_list train_data, val_data, upsampling;
    int64_t workers, max_pixels, val_samples, frames;
    char *frame_rule;
    double video_seconds;
    char *verify_shards;
    /* model */
    char *model, *pretrained, *pool, *rope, *resolution_schedule;
    int64_t image_size;
    bool lock_image, lock_text;
    /* recipe */
    int64_t global_batch, slices, steps, warmup, seed;
    double epochs, lr, lr_min, wd, beta1, beta2, eps, clip;
    char *opt;
    /* augmentation and mask regularisation */
    char *augment;
    double scale_min, scale_max, ratio_min, ratio_max, brightness, saturation, flip;
    double mask_weight, mask_fraction, mask_ratio;
    /* distillation */
    char *teacher, *teacher_weights;
    double distill_weight, distill_contrastive, distill_scale;
    int64_t teacher_size;
    /* memory and machine */
    bool recompute, grad_cache;
    int64_t zero, threads;
    char *device, *cpu_level, *precision, *reduction;
    /* run folder */
    char *logs, *name, *resume;
    int64_t save_steps, keep, log_steps, val_steps, stop_after;
    double save_epochs;
};

extern const struct option_program trainer_program;

#endif
