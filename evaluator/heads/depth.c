/* pe-evaluator depth: metres for each pixel from one layer's grid.  --head linear is DINOv2's (Oquab et al. 2023):
 *
 *   cell | class token -> standard columns -> W x + b, 256 bins -> bilinear x 4 -> depth from bins -> SigLoss
 *
 * W ~ N(0, 0.01), b = 0; recipe of DINOv3's public one: AdamW at 3e-4 (0.9, 0.99), decay 1e-4, one cycle, batches of
 * 16; there the first third of the steps warms up.  Not as there: the loss is that of each picture, then the mean;
 * vectors have no decay; pictures are squashed; no gradient-matching loss. */
#include "evaluator/heads/depth.h"

#include <string.h>

#include "base/str.h"
#include "nn/init.h"

#define AT(field) offsetof(struct depth_settings, field)
/* clang-format off */
static const struct option own_options[] = {
    {OPTION_GROUP, "head", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_BOOL, "class-token", AT(class_token), "true", 0, 0, NULL, "beside each cell stands the class token, where the encoder has one", OPTION_IDENTITY},
    {OPTION_INT, "bins", AT(bins), "256", 2, 65536, NULL, "depths that are mixed, from --depth-min to --depth-max", OPTION_IDENTITY},
    {OPTION_INT, "loss-warmup", AT(warming), "100", 0, 1e9, NULL, "first steps, whose loss is that of the mean depth alone", OPTION_IDENTITY},
    {0}};
static const struct option options[] = {
    {OPTION_TABLE, .offset = TRAINING_SELF, .table = heads_base_options},
    DENSE_ROWS,
    {OPTION_DEFAULT, "batch-size", .fallback = "8"},
    {OPTION_TABLE, .offset = HEADS_OWN, .table = dense_depths_options},
    {OPTION_TABLE, .offset = HEADS_OWN, .table = own_options},
    {OPTION_TABLE, .offset = 0, .table = training_options},
    {OPTION_TABLE, .offset = 0, .table = schedule_options},
    {OPTION_DEFAULT, "lr-schedule", .fallback = "one-cycle"},
    {OPTION_DEFAULT, "global-batch-size", .fallback = "16"},
    {OPTION_DEFAULT, "opt", .fallback = "adamw"},
    {OPTION_DEFAULT, "lr", .fallback = "3e-4"},
    {OPTION_DEFAULT, "warmup", .fallback = "1500"},
    {OPTION_DEFAULT, "wd", .fallback = "1e-4"},
    {OPTION_DEFAULT, "beta2", .fallback = "0.99"},
    {OPTION_DEFAULT, "eps", .fallback = "1e-8"},
    {OPTION_DEFAULT, "grad-clip-norm", .fallback = "0"},
    {OPTION_DEFAULT, "name", .fallback = NULL},
    {OPTION_DEFAULT, "resume", .fallback = "latest"},
    {0}};
/* clang-format on */

enum feature depth_feature(const struct heads *h)
{
    bool pairs = depth_of(h)->class_token && h->encoder.columns(h->encoder.self, 0, FEATURE_PAIRS);
    return pairs ? FEATURE_PAIRS : FEATURE_GRID;
}

struct tensor *depth_head_loss(const struct heads *h, struct tape *t, struct tensor *depth, struct map from,
                               const struct lesson *lesson)
{
    float spread = h->run->step < depth_of(h)->warming ? 0 : 1;
    return op_depth_loss(t, depth, from, lesson->pictures.size, lesson->targets, (float)depth_of(h)->dense.max, spread);
}

static void add(struct heads *h, struct head *head, const char *prefix)
{
    dense_head_add(h, head, prefix);
    heads_add(h, head, prefix, "weight", 2, (int64_t[]){depth_of(h)->bins, head->width});
    heads_add(h, head, prefix, "bias", 1, &depth_of(h)->bins);
}

static void draw(struct parameter *p, int64_t width, uint64_t seed)
{
    (void)width;
    if (!dense_head_draw(p) && p->ndim == 2) init_normal(p, seed, 0.01); /* the bias stays zero */
}

/* Depth at four times the grid, in an open segment. */
static struct tensor *depth(struct heads *h, struct tape *t, const struct head *head, struct tensor *x,
                            const struct lesson *lesson, struct map *at)
{
    enum { FINER = 4 };
    const struct depth_settings *c = depth_of(h);
    int first = dense_head_first(h);
    struct map from = dense_map(h, lesson);
    struct linear map = {.weight = head_tensor(head, first), .bias = head_tensor(head, first + 1)};
    *at = (struct map){from.pictures, {FINER * from.size.height, FINER * from.size.width}};
    struct tensor *logits = op_linear(t, dense_head_input(h, t, head, x), map);
    return op_bins(t, logits, from, at->size, (float)c->dense.min, (float)c->dense.max);
}

static struct tensor *loss(struct heads *h, struct tape *t, const struct head *head, struct tensor *x,
                           const struct lesson *lesson)
{
    struct map at;
    tape_open_segment(t);
    struct tensor *found = depth(h, t, head, x, lesson, &at);
    return tape_close_segment(t, NULL, depth_head_loss(h, t, found, at, lesson));
}

static struct tensor *output(struct heads *h, struct tape *t, const struct head *head, struct tensor *x,
                             const struct lesson *lesson)
{
    struct map at;
    tape_open_segment(t);
    return tape_close_segment(t, NULL, depth(h, t, head, x, lesson, &at));
}

const struct head_kind head_depth_linear = {
    .name = "depth --head linear",
    .summary = "a linear map from a layer's grid to depths that are mixed; 20 epochs when neither --epochs nor --steps "
               "says more",
    .task = "depth",
    .options = options,
    .epochs = 20,
    .bytes = sizeof(struct depth_settings),
    .subject = &subject_depths,
    .feature = depth_feature,
    .add = add,
    .draw = draw,
    .loss = loss,
    .output = output};

/* --- the verb --- */

/* --head NAME or --head=NAME is taken out of argv; "linear" when it is not there. */
static const char *take_head(int *argc, char **argv)
{
    const char *name = "linear";
    int kept = 0;
    for (int i = 0; i < *argc; i++) {
        if (!strcmp(argv[i], "--head") && i + 1 < *argc)
            name = argv[++i];
        else if (str_starts_with(argv[i], "--head="))
            name = argv[i] + strlen("--head=");
        else
            argv[kept++] = argv[i];
    }
    *argc = kept;
    return name;
}

static int run(const struct world *world, int argc, char **argv, struct error *error)
{
    const char *name = take_head(&argc, argv);
    if (!strcmp(name, "linear")) return heads_run(&head_depth_linear, world, argc, argv, error);
    if (!strcmp(name, "dpt")) return heads_run(&head_depth_dpt, world, argc, argv, error);
    return error_set(error, ERROR_USAGE, "depth --head %s: must be one of linear|dpt", name);
}

extern const struct verb verb_depth;
const struct verb verb_depth = {"depth", "metres of pixels, by linear or DPT heads on each layer", run};
