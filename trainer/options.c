/* The options of pe-trainer beside those of all training programs.  Defaults are PE's published recipe (PE Tab. 18)
 * where it names a value. */
#include "trainer/trainer.h"

#define AT(field) offsetof(struct trainer_settings, field)
/* clang-format off */
static const struct option trainer_options[] = {
    {OPTION_GROUP, "data", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_TABLE, .offset = AT(data), .table = data_options},
    {OPTION_STRINGS, "train-data-upsampling-factors", AT(upsampling), NULL, 0, 0, NULL, "how often an epoch takes the samples of each --train-data, 1 when not given", OPTION_IDENTITY},
    {OPTION_STRINGS, "val-data", AT(val_data), NULL, 0, 0, NULL, "data sets for validation during the run"},
    {OPTION_INT, "val-samples", AT(val_samples), "2000", 1, 1e9, NULL, "validate on the first N samples"},
    {OPTION_INT, "val-every-n-steps", AT(val_steps), "0", 0, 1e12, NULL, "validate every N steps; 0: at the end only"},
    {OPTION_STRINGS, "zeroshot-data", AT(zeroshot_data), NULL, 0, 0, NULL, "labelled data sets for zero-shot classification during the run: packed, ImageFolders, clip_benchmark's folders"},
    {OPTION_INT, "zeroshot-every-n-steps", AT(zeroshot_steps), "0", 0, 1e12, NULL, "classify every N steps; 0: at the end only"},
    {OPTION_STRINGS, "zeroshot-templates", AT(zeroshot_templates), NULL, 0, 0, NULL, "as --templates of pe-evaluator zeroshot: one for all sets, or one each (those of the data)"},
    {OPTION_STRINGS, "zeroshot-classnames", AT(zeroshot_classes), NULL, 0, 0, NULL, "as --classnames of pe-evaluator zeroshot: one for all sets, or one each (those of the data)"},
    {OPTION_REAL, "zeroshot-max-bad-fraction", AT(zeroshot_max_bad), "0", 0, 1, NULL, "the share of a set's samples that may be left out because they cannot be read; more end the run"},

    {OPTION_GROUP, "model", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_STRING, "model", AT(model), "!", 0, 0, NULL, "PE-Core-B16-224 ... or the path of a model's .json"},
    {OPTION_STRING, "pretrained", AT(pretrained), NULL, 0, 0, NULL, "start from these weights (.safetensors or checkpoint folder)"},
    {OPTION_INT, "force-image-size", AT(image_size), "0", 0, 4096, NULL, "final resolution; 0: the model's", OPTION_IDENTITY},
    {OPTION_STRING, "resolution-schedule", AT(resolution_schedule), NULL, 0, 0, NULL, "progressive resolution SIZE:SHARE,... of the steps", OPTION_IDENTITY},
    {OPTION_CHOICE, "pool", AT(pool), "model", 0, 0, "model|attention|class", "how tokens become one embedding"},
    {OPTION_CHOICE, "rope", AT(rope), "model", 0, 0, "model|true|false", "2D rotary position embedding"},
    {OPTION_BOOL, "lock-image", AT(lock_image), "false", 0, 0, NULL, "freeze the vision tower", OPTION_IDENTITY},
    {OPTION_BOOL, "lock-text", AT(lock_text), "false", 0, 0, NULL, "freeze the text tower", OPTION_IDENTITY},
    {OPTION_BOOL, "grad-cache", AT(grad_cache), "false", 0, 0, NULL, "embed first, then run slice by slice: any batch fits, gradients are exact"},

    {OPTION_GROUP, "augmentation and mask regularisation", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_TABLE, .offset = AT(augment), .table = augment_options},
    {OPTION_REAL, "mask-weight", AT(mask_weight), "0", 0, 1000, NULL, "weight of mask regularisation; 0: off", OPTION_IDENTITY},
    {OPTION_REAL, "mask-fraction", AT(mask_fraction), "0.0625", 0, 1, NULL, "share of the batch that is also seen masked", OPTION_IDENTITY},
    {OPTION_REAL, "mask-ratio", AT(mask_ratio), "0.4", 0, 1, NULL, "share of its patches that is hidden", OPTION_IDENTITY},

    {OPTION_GROUP, "distillation", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_STRING, "distill-model", AT(teacher), NULL, 0, 0, NULL, "teacher, frozen: its similarities are what this model learns (use --aug none, as PE does)"},
    {OPTION_STRING, "distill-pretrained", AT(teacher_weights), NULL, 0, 0, NULL, "its weights (.safetensors or checkpoint folder)"},
    {OPTION_INT, "distill-image-size", AT(teacher_size), "0", 0, 4096, NULL, "its resolution; 0: the model's", OPTION_IDENTITY},
    {OPTION_REAL, "distill-weight", AT(distill_weight), "1", 0, 1000, NULL, "of the divergence from the teacher's softmaxes", OPTION_IDENTITY},
    {OPTION_REAL, "distill-contrastive-weight", AT(distill_contrastive), "0", 0, 1000, NULL, "of the contrastive loss beside it", OPTION_IDENTITY},
    {OPTION_REAL, "distill-logit-scale", AT(distill_scale), "200", 0.001, 1e6, NULL, "of the teacher, fixed", OPTION_IDENTITY},
    {0}};
/* clang-format on */

/* clang-format off */
static const struct option options[] = {
    {OPTION_TABLE, .offset = TRAINING_SELF, .table = trainer_options},
    {OPTION_TABLE, .offset = 0, .table = training_options},
    {0}};
/* clang-format on */
const struct option_program trainer_program = {"pe-trainer", NULL, "train a Perception Encoder contrastively", options};
