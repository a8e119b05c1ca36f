/* pe-captioner train: teach a Perception LM (PLM paper section 3; models/SPEC.md).
 *
 *   stage projector   tower and decoder frozen, media and caption alone, no pooling: the projector learns the decoder's space
 *   stage all         everything, chat template, loss on the response, LayerScale and DropPath on the tower
 *
 * The third stage of the paper is `all` again, on the rows that people corrected.  As in pe-trainer a step is a function of (seed, step): slices, their trees of sums and
 * counter-based draws make it the same on any number of ranks, and a run that was stopped goes on bit-equal. */
#ifndef CAPTIONER_TRAIN_H
#define CAPTIONER_TRAIN_H

#include "captioner/examples.h"
#include "config/options.h"
#include "dist/comm.h"
#include "log/metrics.h"
#include "models/plm.h"
#include "optim/accumulate.h"
#include "optim/optimizer.h"

struct train_config {
    struct option_list train_data;
    char *media_root, *model, *plm_config, *vision, *decoder, *tokenizer, *stage, *video_prompt, *image_prompt, *frame_rule;
    int64_t pooling, tiles, frames, context, max_pixels;
    double video_seconds;
    int64_t global_batch, slices, steps, warmup, seed;
    double epochs, lr, lr_min, wd, beta1, beta2, eps, clip, drop_path;
    bool recompute;
    int64_t threads, zero;
    char *device, *precision, *reduction, *cpu_level;
    char *logs, *name, *resume;
    int64_t save_steps, keep, log_steps, stop_after;
};
extern const struct option_program train_program;

struct train {
    const struct world *world;
    struct train_config config;
    char *folder;
    struct device device;
    struct comm comm;
    struct plm plm;
    struct bpe *bpe;
    struct chat_template template;
    struct examples examples;
    struct tape tape;
    struct arena host, there;   /* of a slice */
    struct optimizer optimizer;
    struct accumulator gradients;
    struct metrics metrics;
    int64_t step, steps, first_step, slices, mine, slice, pooling;
    double *loss;               /* [mine] on the device: sums over the targets of a slice, weighted */
    double clock, sum_loss, sum_tokens, sum_seconds;
    int64_t sum_count;
};

/* (all) The whole program. */
int train_run(const struct world *world, int argc, char **argv, struct error *error);

/* (all) One step; its loss (mean over the targets of the global batch), decoder rows of the global batch, and norm of the gradient. */
struct train_report {
    double loss, rows, norm, rate;
};
int train_step(struct train *train, struct train_report *report, struct error *error);
/* (all) A checkpoint of the present step: a folder transformers can load. */
int train_save(struct train *train, struct error *error);
/* (all) 1 when restored, 0 when there was nothing. */
int train_restore(struct train *train, struct error *error);

#endif
