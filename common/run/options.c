/* Option tables of training programs.  Defaults are PE's published recipe (PE Tab. 18) where it names a value; an
 * objective with another recipe gives others. */
#include "run/options.h"

#include "optim/schedule.h"

#undef AT
#define AT(field) offsetof(struct data_settings, field)
/* clang-format off */
const struct option data_options[] = {
    {OPTION_STRINGS, "train-data", AT(train_data), "!", 0, 0, NULL, "data sets made by pe-dataloader pack, and what else the program learns from"},
    {OPTION_CHOICE, "verify-shards", AT(verify_shards), "on", 0, 0, "on|off", "compare each shard's checksum before its first sample; off: only those of samples"},
    {OPTION_INT, "workers", AT(workers), "1", 1, 256, NULL, "decode threads of a rank"},
    {OPTION_TABLE, .offset = AT(media), .table = media_settings_options},
    {0}};
/* clang-format on */

#undef AT
#define AT(field) offsetof(struct training_settings, field)
/* clang-format off */
const struct option training_options[] = {
    {OPTION_GROUP, "recipe", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_INT, "global-batch-size", AT(global_batch), "!", 1, 1e8, NULL, "samples a step, over all ranks", OPTION_IDENTITY},
    {OPTION_REAL, "epochs", AT(epochs), "0", 0, 1e9, NULL, "length of the run in passes over the data, or"},
    {OPTION_INT, "steps", AT(steps), "0", 0, 1e12, NULL, "in steps"},
    {OPTION_CHOICE, "opt", AT(opt), "lamb", 0, 0, "lamb|adamw|sgd", "optimizer", OPTION_IDENTITY},
    {OPTION_REAL, "lr", AT(lr), "2e-3", 0, 10, NULL, "peak learning rate", OPTION_IDENTITY},
    {OPTION_REAL, "lr-min", AT(lr_min), "0", 0, 10, NULL, "learning rate at the end of the cosine", OPTION_IDENTITY},
    {OPTION_INT, "warmup", AT(warmup), "2000", 0, 1e9, NULL, "steps of linear warm-up", OPTION_IDENTITY},
    {OPTION_REAL, "wd", AT(wd), "0.05", 0, 10, NULL, "weight decay of matrices (vectors and the logit scale have none)", OPTION_IDENTITY},
    {OPTION_REAL, "beta1", AT(beta1), "0.9", 0, 1, NULL, "decay of the first moment; the momentum of sgd", OPTION_IDENTITY},
    {OPTION_REAL, "beta2", AT(beta2), "0.95", 0, 1, NULL, "decay of the second moment", OPTION_IDENTITY},
    {OPTION_REAL, "eps", AT(eps), "1e-6", 0, 1, NULL, "added to the root of the second moment", OPTION_IDENTITY},
    {OPTION_REAL, "grad-clip-norm", AT(clip_norm), "1", 0, 1e9, NULL, "clip gradients to this global norm; 0: never", OPTION_IDENTITY},
    {OPTION_INT, "seed", AT(seed), "0", 0, 1e15, NULL, "of initial weights, order and augmentation", OPTION_IDENTITY},

    {OPTION_GROUP, "memory", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_INT, "slices", AT(slices), "0", 0, 1e6, NULL, "parts of the batch, at least the ranks; 0: the checkpoint's, else up to 8 or the ranks; results depend on it"},
    {OPTION_BOOL, "grad-checkpointing", AT(recompute), "false", 0, 0, NULL, "forget activations inside blocks, recompute them backward"},
    {OPTION_INT, "zero", AT(zero), "1", 0, 1, NULL, "1: optimizer state sharded over ranks; 0: a copy each"},
    {OPTION_CHOICE, "reduction", AT(reduction), "auto", 0, 0, "auto|exact|nccl", "sums over ranks: the same bits on any number of them, or GPU to GPU; auto: nccl where it can be"},
    {OPTION_TABLE, .offset = AT(machine), .table = machine_options},

    {OPTION_GROUP, "run folder", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_STRING, "logs", AT(logs), "./logs", 0, 0, NULL, "folder of runs"},
    {OPTION_STRING, "name", AT(name), "!", 0, 0, NULL, "this run's folder below it"},
    {OPTION_STRING, "resume", AT(resume), NULL, 0, 0, NULL, "latest: go on from the newest whole checkpoint, or start when there is none; or the folder of a checkpoint"},
    {OPTION_STRING, "resume-with", AT(resume_with), NULL, 0, 0, NULL, "options that may differ from the checkpoint's: steps,lr,..."},
    {OPTION_REAL, "save-frequency", AT(save_epochs), "1", 0, 1e9, NULL, "checkpoint every N epochs; 0: not by epochs"},
    {OPTION_INT, "save-every-n-steps", AT(save_steps), "0", 0, 1e12, NULL, "checkpoint every N steps; 0: not by steps"},
    {OPTION_INT, "keep-checkpoints", AT(keep), "2", 0, 1e9, NULL, "keep the newest N; 0: all"},
    {OPTION_INT, "log-every-n-steps", AT(log_steps), "10", 1, 1e9, NULL, "a line and a row of metrics every N steps, and of the first"},
    {OPTION_INT, "stop-after", AT(stop_after), "0", 0, 1e12, NULL, "save and stop with status 75 after N steps of this start; 0: never"},
    {0}};
/* clang-format on */

/* clang-format off */
const struct option schedule_options[] = {
    {OPTION_CHOICE, "lr-schedule", AT(schedule), "cosine", 0, 0, SCHEDULES, "after the warm-up: half a cosine, or a line, down to --lr-min; or steps of a tenth at 8/9 and 26/27; or PyTorch's one cycle, up and down", OPTION_IDENTITY},
    {0}};
/* clang-format on */
