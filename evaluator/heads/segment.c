/* pe-evaluator segment: a class for each pixel from one layer's grid, by a linear map (DINOv2's linear segmentation:
 * Oquab et al. 2023, over mmsegmentation's BNHead).
 *
 *   grid -> standard columns (--norm batch: batch norm) -> W x + b -> bilinear to the crop -> cross entropy
 *
 * W ~ N(0, 0.01), b = 0; AdamW at 1e-3 (0.9, 0.999), decay 1e-4, 1,500 steps of warm-up and a line down to 0, batches
 * of 16.  Not as there: vectors have no decay, and columns are standard by figures measured once, unless --norm batch.
 * */
#include "evaluator/heads/dense_head.h"
#include "nn/init.h"

/* clang-format off */
static const struct option options[] = {
    {OPTION_TABLE, .offset = TRAINING_SELF, .table = heads_base_options},
    DENSE_ROWS,
    {OPTION_DEFAULT, "batch-size", .fallback = "8"},
    {OPTION_TABLE, .offset = HEADS_OWN, .table = dense_labels_options},
    {OPTION_TABLE, .offset = 0, .table = training_options},
    {OPTION_TABLE, .offset = 0, .table = schedule_options},
    {OPTION_DEFAULT, "lr-schedule", .fallback = "poly"},
    {OPTION_DEFAULT, "global-batch-size", .fallback = "16"},
    {OPTION_DEFAULT, "opt", .fallback = "adamw"},
    {OPTION_DEFAULT, "lr", .fallback = "1e-3"},
    {OPTION_DEFAULT, "warmup", .fallback = "1500"},
    {OPTION_DEFAULT, "wd", .fallback = "1e-4"},
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
    dense_head_add(h, head, prefix);
    heads_add(h, head, prefix, "weight", 2, (int64_t[]){h->outputs, head->width});
    heads_add(h, head, prefix, "bias", 1, &h->outputs);
}

static void draw(struct parameter *p, int64_t width, uint64_t seed)
{
    (void)width;
    if (!dense_head_draw(p) && p->ndim == 2) init_normal(p, seed, 0.01); /* the bias stays zero */
}

static struct tensor *loss(struct heads *h, struct tape *t, const struct head *head, struct tensor *x,
                           const struct lesson *lesson)
{
    int first = dense_head_first(h);
    tape_open_segment(t);
    struct linear map = {.weight = head_tensor(head, first), .bias = head_tensor(head, first + 1)};
    struct tensor *logits = op_linear(t, dense_head_input(h, t, head, x), map);
    return tape_close_segment(
        t, NULL, op_pixel_loss(t, logits, dense_map(h, lesson), lesson->pictures.size, lesson->targets, DENSE_NONE));
}

static struct tensor *output(struct heads *h, struct tape *t, const struct head *head, struct tensor *x,
                             const struct lesson *lesson)
{
    int first = dense_head_first(h);
    (void)lesson;
    tape_open_segment(t);
    struct tensor *y = dense_head_input(h, t, head, x);
    return tape_close_segment(t, NULL, op_logits(t, y, head_tensor(head, first), head_tensor(head, first + 1)));
}

extern const struct head_kind head_segment;
const struct head_kind head_segment = {
    .name = "segment",
    .summary = "a linear map from a layer's grid to classes of pixels; 32 epochs when neither --epochs nor --steps "
               "says more",
    .task = "segmentation",
    .options = options,
    .epochs = 32,
    .bytes = sizeof(struct dense_settings),
    .subject = &subject_labels,
    .feature = feature,
    .add = add,
    .draw = draw,
    .loss = loss,
    .output = output};

static int run(const struct world *world, int argc, char **argv, struct error *error)
{
    return heads_run(&head_segment, world, argc, argv, error);
}

extern const struct verb verb_segment;
const struct verb verb_segment = {"segment", "classes of pixels, by heads on each layer", run};
