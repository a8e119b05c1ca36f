/* pe-evaluator probe --kind attention: one learned query over all tokens, then a linear classifier (AIM: El-Nouby et
 * al. 2024; the head that ml-aim publishes).
 *
 *   x -> standard columns -> k | v = W_kv x -> o = softmax(q k / sqrt(head width)) v -> W o + b
 *
 * q ~ N(0, 0.02), no biases but the classifier's, no projection of o; other weights U(+-1 / sqrt(width)), PyTorch's.
 * AdamW with decay 0.1 (not of q and b).  Not as there: BatchNorm's batch statistics are measured once and kept. */
#include <math.h>

#include "evaluator/heads/classes.h"
#include "nn/init.h"

enum { QUERY, KEYS_VALUES, WEIGHT, BIAS };

struct attention_settings {
    int64_t heads;
};

/* clang-format off */
static const struct option own_options[] = {
    {OPTION_GROUP, "head", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_INT, "probe-heads", offsetof(struct attention_settings, heads), "0", 0, 1024, NULL, "heads of its attention; 0: 12, or one for each 64 columns where 12 do not divide them", OPTION_IDENTITY},
    {0}};
static const struct option options[] = {
    {OPTION_TABLE, .offset = TRAINING_SELF, .table = heads_options},
    {OPTION_TABLE, .offset = HEADS_OWN, .table = own_options},
    {OPTION_TABLE, .offset = 0, .table = training_options},
    {OPTION_DEFAULT, "global-batch-size", .fallback = "1024"},
    {OPTION_DEFAULT, "opt", .fallback = "adamw"},
    {OPTION_DEFAULT, "lr", .fallback = "1e-3"},
    {OPTION_DEFAULT, "warmup", .fallback = "0"},
    {OPTION_DEFAULT, "wd", .fallback = "0.1"},
    {OPTION_DEFAULT, "beta2", .fallback = "0.999"},
    {OPTION_DEFAULT, "eps", .fallback = "1e-8"},
    {OPTION_DEFAULT, "grad-clip-norm", .fallback = "0"},
    {OPTION_DEFAULT, "name", .fallback = NULL},
    {OPTION_DEFAULT, "resume", .fallback = "latest"},
    {0}};
/* clang-format on */

static int64_t heads_of(const struct heads *h, int64_t width)
{
    const struct attention_settings *c = heads_own(h);
    return c->heads ? c->heads : width % 12 == 0 ? 12 : width % 64 == 0 ? width / 64 : 1;
}

static int check(const struct heads *h, int64_t width, struct error *error)
{
    int64_t heads = heads_of(h, width);
    if (width % heads == 0) return 0;
    return error_set(error, ERROR_USAGE, "--probe-heads %ld does not divide %ld columns", (long)heads, (long)width);
}

static enum feature feature(const struct heads *h)
{
    (void)h;
    return FEATURE_TOKENS;
}

static void add(struct heads *h, struct head *head, const char *prefix)
{
    heads_add(h, head, prefix, "query", 1, &head->width);
    heads_add(h, head, prefix, "kv", 2, (int64_t[]){2 * head->width, head->width});
    heads_add(h, head, prefix, "weight", 2, (int64_t[]){h->outputs, head->width});
    heads_add(h, head, prefix, "bias", 1, &h->outputs);
}

static void draw(struct parameter *p, int64_t width, uint64_t seed)
{
    if (p->name[0] == 'q')
        init_normal(p, seed, 0.02);
    else
        init_uniform(p, seed, 1 / sqrt((double)width));
}

/* [samples, width] of all tokens, in an open segment. */
static struct tensor *attend(struct heads *h, struct tape *t, const struct head *head, struct tensor *x,
                             const struct lesson *lesson)
{
    struct sequences s = heads_sequences(h, lesson, x->rows / lesson->pictures.count);
    struct tensor *q = op_repeat(t, head_tensor(head, QUERY), s.count);
    struct tensor *kv = op_linear(t, x, (struct linear){.weight = head_tensor(head, KEYS_VALUES)});
    return op_attention(t, q, kv, heads_of(h, head->width), s, false);
}

static struct tensor *loss(struct heads *h, struct tape *t, const struct head *head, struct tensor *x,
                           const struct lesson *lesson)
{
    tape_open_segment(t);
    struct tensor *y = attend(h, t, head, x, lesson);
    return tape_close_segment(t, NULL,
                              op_loss(t, y, head_tensor(head, WEIGHT), head_tensor(head, BIAS), lesson->targets));
}

static struct tensor *output(struct heads *h, struct tape *t, const struct head *head, struct tensor *x,
                             const struct lesson *lesson)
{
    tape_open_segment(t);
    struct tensor *y = attend(h, t, head, x, lesson);
    return tape_close_segment(t, NULL, op_logits(t, y, head_tensor(head, WEIGHT), head_tensor(head, BIAS)));
}

const struct head_kind head_attention = {
    .name = "probe --kind attention",
    .summary =
        "attention over all tokens, and a linear classifier; 10 epochs when neither --epochs nor --steps says more",
    .task = "attention_probe",
    .options = options,
    .bytes = sizeof(struct attention_settings),
    .subject = &subject_classes,
    .feature = feature,
    .check = check,
    .add = add,
    .draw = draw,
    .loss = loss,
    .output = output};

static int run(const struct world *world, int argc, char **argv, struct error *error)
{
    return heads_run(&head_attention, world, argc, argv, error);
}

extern const struct verb verb_attention;
const struct verb verb_attention = {"attention", "one learned query over all tokens of each layer", run};
