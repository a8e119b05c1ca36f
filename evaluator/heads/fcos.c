/* pe-evaluator detect: FCOS on the simple feature pyramid (nn/fcos.h), trained on features that stay as they are.
 *
 *   x -> standard columns -> pyramid of five levels -> towers -> classes, boxes, centre-ness of every cell
 *
 * AdamW at 1e-4 for 16 pictures, decay 0.05 (not of vectors), 250 steps of warm-up, ViTDet's two steps down.  Rules of
 * targets, losses and boxes are torchvision's; not as there: losses are divided by what the whole batch has to find,
 * not a rank's part.  Not as ViTDet: gradients are not clipped, as heads that are trained together have no norm in
 * common.  Figures are not comparable with those of Mask R-CNN, which the paper's tables have. */
#include "evaluator/heads/boxes.h"
#include "evaluator/verb.h"

#define OWN(field) offsetof(struct detect_settings, field)
#define SHARED(field) (TRAINING_SELF + offsetof(struct heads_settings, field))

/* clang-format off */
static const struct option own_options[] = {
    {OPTION_STRING, "train-images", OWN(train_images), NULL, 0, 0, NULL, "folder of the pictures of --train-data, where COCO's layout does not say it"},
    {OPTION_STRING, "images", OWN(images), NULL, 0, 0, NULL, "the same of --data"},
    {OPTION_INT, "pixels", OWN(pixels), "0", 0, 16384, NULL, "a side of the squares that pictures are squashed to, whole patches; 0: the encoder's own, else its positions are resampled", OPTION_IDENTITY},
    {OPTION_GROUP, "augmentation", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_CHOICE, "aug", OWN(kind), "jitter", 0, 0, "jitter|none", "large-scale jitter and flip, or the plain squash", OPTION_IDENTITY},
    {OPTION_REAL, "aug-scale-min", OWN(jitter.scale_min), "0.1", 0.01, 10, NULL, "smallest scale of a picture; what it leaves free is grey", OPTION_IDENTITY},
    {OPTION_REAL, "aug-scale-max", OWN(jitter.scale_max), "2", 0.01, 10, NULL, "largest scale; of more than the square a window is seen", OPTION_IDENTITY},
    {OPTION_REAL, "aug-flip", OWN(jitter.flip), "0.5", 0, 1, NULL, "probability of a horizontal flip", OPTION_IDENTITY},
    {OPTION_GROUP, "head", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_INT, "channels", OWN(channels), "256", FCOS_GROUPS, 4096, NULL, "of its levels and towers; a multiple of 32", OPTION_IDENTITY},
    {OPTION_INT, "convs", OWN(convs), "4", 1, BOXES_CONVS_MOST, NULL, "convolutions of a tower", OPTION_IDENTITY},
    {OPTION_GROUP, "examination", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_REAL, "score-threshold", OWN(rules.threshold), "0.05", 0, 1, NULL, "boxes must score more"},
    {OPTION_REAL, "nms-overlap", OWN(rules.overlap), "0.6", 0, 1, NULL, "of a class, boxes that overlap a better one more are left out"},
    {OPTION_INT, "level-boxes", OWN(rules.level_most), "1000", 1, 1e6, NULL, "best boxes of a level, before that"},
    {OPTION_INT, "picture-boxes", OWN(rules.most), "100", 1, 1e5, NULL, "best boxes of a picture, after that"},
    {OPTION_STRING, "predictions", OWN(predictions), NULL, 0, 0, NULL, "file for the boxes of the best layer, as COCO's results", OPTION_WRITTEN},
    {0}};

static const struct option options[] = {
    {OPTION_TABLE, .offset = TRAINING_SELF, .table = heads_base_options},
    {OPTION_STRINGS, "train-data", SHARED(train.train_data), "!", 0, 0, NULL, "a COCO folder, or its file of annotations: boxes to learn from"},
    {OPTION_STRINGS, "data", SHARED(data), "!", 0, 0, NULL, "the same: boxes to be examined on"},
    {OPTION_INT, "workers", SHARED(train.workers), "1", 1, 256, NULL, "decode threads of a rank"},
    {OPTION_INT, "max-image-pixels", SHARED(train.media.max_pixels), "100000000", 1, 1e12, NULL, "larger pictures are refused", OPTION_IDENTITY},
    {OPTION_TABLE, .offset = HEADS_OWN, .table = own_options},
    {OPTION_TABLE, .offset = 0, .table = training_options},
    {OPTION_TABLE, .offset = 0, .table = schedule_options},
    {OPTION_WITHOUT, "verify-shards"},
    {OPTION_TABLE, .table = media_pictures_options},
    {OPTION_WITHOUT, "choose-on"},
    {OPTION_WITHOUT, "held-out"},
    {OPTION_DEFAULT, "lr-schedule", .fallback = "steps"},
    {OPTION_DEFAULT, "lr-batch", .fallback = "16"},
    {OPTION_DEFAULT, "batch-size", .fallback = "8"},
    {OPTION_DEFAULT, "norm-samples", .fallback = "256"},
    {OPTION_DEFAULT, "global-batch-size", .fallback = "16"},
    {OPTION_DEFAULT, "opt", .fallback = "adamw"},
    {OPTION_DEFAULT, "lr", .fallback = "1e-4"},
    {OPTION_DEFAULT, "warmup", .fallback = "250"},
    {OPTION_DEFAULT, "wd", .fallback = "0.05"},
    {OPTION_DEFAULT, "beta2", .fallback = "0.999"},
    {OPTION_DEFAULT, "eps", .fallback = "1e-8"},
    {OPTION_DEFAULT, "grad-clip-norm", .fallback = "0"},
    {OPTION_DEFAULT, "name", .fallback = NULL},
    {OPTION_DEFAULT, "resume", .fallback = "latest"},
    {0}};
/* clang-format on */

static enum feature feature(const struct heads *h)
{
    (void)h;
    return FEATURE_GRID;
}

static void add(struct heads *h, struct head *head, const char *prefix)
{
    struct fcos shape = boxes_shape(h, head->width);
    struct named_shape list[BOXES_TENSORS];
    int count = fcos_parameters(&shape, list);
    for (int i = 0; i < count; i++) heads_add(h, head, prefix, list[i].name, list[i].ndim, list[i].shape);
}

static void draw(struct parameter *p, int64_t width, uint64_t seed)
{
    (void)width;
    fcos_draw(p, seed);
}

static struct tensor *loss(struct heads *h, struct tape *t, const struct head *head, struct tensor *x,
                           const struct lesson *lesson)
{
    struct fcos shape = boxes_shape(h, head->width);
    struct fcos_truth truth = boxes_truth(h, lesson);
    struct tensor *p[BOXES_TENSORS];
    int64_t pictures = lesson->pictures.samples;
    boxes_tensors(head, p);
    return fcos_loss(t, &shape, p, x, pictures, &truth, boxes_of(h)->weight);
}

const struct head_kind head_fcos = {
    .name = "detect",
    .summary = "boxes by FCOS on a simple feature pyramid; 15 epochs when neither --epochs nor --steps says more",
    .task = "detection",
    .options = options,
    .epochs = 15,
    .bytes = sizeof(struct detect_settings),
    .subject = &subject_boxes,
    .least_slice = 2,
    .feature = feature,
    .add = add,
    .draw = draw,
    .loss = loss};

static int run(const struct world *world, int argc, char **argv, struct error *error)
{
    return heads_run(&head_fcos, world, argc, argv, error);
}

extern const struct verb verb_detect;
const struct verb verb_detect = {"detect", "boxes by a head on each layer, trained on frozen features: COCO's AP", run};
