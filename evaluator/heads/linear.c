/* pe-evaluator probe --kind linear: a linear classifier on one row a picture (DINOv2's linear evaluation: Oquab et al.
 * 2023; dinov2 eval/linear.py).
 *
 *   x -> standard columns -> W x + b        W ~ N(0, 0.01), b = 0; SGD with momentum 0.9, cosine to 0
 *
 * As there: 13 learning rates for 256 samples at once, no decay.  Not as there: columns are standard by measured
 * figures of each layer, where DINOv2 passes every layer through the last one's norm; the rate is chosen on held-out
 * samples, where DINOv2 takes the test set; pictures are squashed, where it cuts the middle out. */
#include "evaluator/heads/classes.h"
#include "nn/init.h"

enum { WEIGHT, BIAS };

/* clang-format off */
static const struct option options[] = {
    {OPTION_TABLE, .offset = TRAINING_SELF, .table = heads_options},
    {OPTION_TABLE, .offset = 0, .table = training_options},
    {OPTION_DEFAULT, "global-batch-size", .fallback = "1024"},
    {OPTION_DEFAULT, "opt", .fallback = "sgd"},
    {OPTION_DEFAULT, "lr", .fallback = "1"},
    {OPTION_DEFAULT, "lr-grid", .fallback = "1e-5,2e-5,5e-5,1e-4,2e-4,5e-4,1e-3,2e-3,5e-3,1e-2,2e-2,5e-2,0.1"},
    {OPTION_DEFAULT, "lr-batch", .fallback = "256"},
    {OPTION_DEFAULT, "warmup", .fallback = "0"},
    {OPTION_DEFAULT, "wd", .fallback = "0"},
    {OPTION_DEFAULT, "grad-clip-norm", .fallback = "0"},
    {OPTION_DEFAULT, "name", .fallback = NULL},
    {OPTION_DEFAULT, "resume", .fallback = "latest"},
    {0}};
/* clang-format on */

static void add(struct heads *h, struct head *head, const char *prefix)
{
    heads_add(h, head, prefix, "weight", 2, (int64_t[]){h->outputs, head->width});
    heads_add(h, head, prefix, "bias", 1, &h->outputs);
}

static void draw(struct parameter *p, int64_t width, uint64_t seed)
{
    (void)width;
    if (p->ndim == 2) init_normal(p, seed, 0.01); /* the bias stays zero */
}

static struct tensor *loss(struct heads *h, struct tape *t, const struct head *head, struct tensor *x,
                           const struct lesson *lesson)
{
    (void)h;
    tape_open_segment(t);
    return tape_close_segment(t, NULL,
                              op_loss(t, x, head_tensor(head, WEIGHT), head_tensor(head, BIAS), lesson->targets));
}

static struct tensor *output(struct heads *h, struct tape *t, const struct head *head, struct tensor *x,
                             const struct lesson *lesson)
{
    (void)h, (void)lesson;
    tape_open_segment(t);
    return tape_close_segment(t, NULL, op_logits(t, x, head_tensor(head, WEIGHT), head_tensor(head, BIAS)));
}

const struct head_kind head_linear = {
    .name = "probe --kind linear",
    .summary = "linear classifiers on one row a picture; 10 epochs when neither --epochs nor --steps says more",
    .task = "linear_probe",
    .options = options,
    .subject = &subject_classes,
    .feature = heads_feature,
    .add = add,
    .draw = draw,
    .loss = loss,
    .output = output};

static int run(const struct world *world, int argc, char **argv, struct error *error)
{
    return heads_run(&head_linear, world, argc, argv, error);
}

extern const struct verb verb_linear;
const struct verb verb_linear = {"linear", "a linear classifier on each layer, a grid of learning rates at once", run};
