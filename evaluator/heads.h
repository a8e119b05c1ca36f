/* Heads on taps of a frozen encoder: one objective of common/run for whatever is learned from features that stay as
 * they are.
 *
 *   batch -> encoder, layer by layer -> tap: the layer's feature, made standard -> its heads: loss, gradients
 *
 * One pass of the encoder serves the heads of all chosen layers, and of all learning rates that are tried.  A head's
 * forward and backward pass run while its layer's rows are there, so no features are kept, and the encoder is never
 * recorded.  All heads start from the same draws and see the same batches; none knows of another, so each ends as it
 * would alone.
 *
 * Two tables make it a program: a subject says what is taught and how it is examined (heads/classes.h: class labels),
 * a kind what a head is (heads/linear.c, heads/attention.c).  To add a head: a file with its kind, and a line in
 * probe_list.c or verb_list.c. */
#ifndef EVALUATOR_HEADS_H
#define EVALUATOR_HEADS_H

#include "evaluator/layers.h"
#include "evaluator/session.h"
#include "evaluator/verb.h"
#include "run/training.h"

struct heads_settings {
    struct session_settings session; /* of it the model, its weights, the output and the batch of examinations */
    struct data_settings train;
    struct option_list data; /* to be examined on */
    struct augment_settings augment;
    char *layers, *feature, *norm, *rates, *choose;
    int64_t norm_samples, rate_batch, examine_steps;
    double held_out;
};
extern const struct option heads_base_options[]; /* of all kinds */
extern const struct option heads_options[];      /* and of those whose samples are labelled pictures */

/* A slice of a batch, or pictures of an examination. */
struct lesson {
    struct pictures pictures; /* on the device, staged in `slot` */
    const void *targets;      /* likewise, as the subject gives them; NULL in an examination */
    int slot;
    const int32_t *first;       /* pictures.starts in host memory, or NULL */
    struct arena *host, *there; /* for what goes to the device; they live as long as the lesson */
};

struct head {
    double rate; /* factor of --lr */
    int64_t width;
    struct parameter **parameters; /* in the order they were added */
    int count;
};

/* A layer that is tapped. */
struct heads_layer {
    int64_t layer, width;
    struct parameter *mean, *scale; /* [width] of its feature's columns, frozen; NULL: it is taken as it is */
    struct parameter *running_mean, *running_variance; /* --norm batch: likewise, for examinations; else NULL */
    struct head *heads;                                /* [rate_count] */
};

struct heads {
    struct heads_settings settings; /* first: the option table fills it */
    struct training *run;
    const struct head_kind *kind;
    struct towers towers;
    struct encoder encoder;
    enum feature feature;
    struct parameters parameters; /* of the heads */
    int64_t outputs;              /* numbers a head gives for a sample, and */
    size_t target_bytes;          /* bytes of a sample's target: set by the subject */
    double *rates;                /* [rate_count] factors of --lr */
    int64_t rate_count;
    struct layer_list chosen;
    struct heads_layer *layers;  /* [chosen.count] */
    bool *wanted;                /* [encoder.layers + 1] */
    struct tape tape;            /* of the encoder */
    struct lesson *lessons;      /* [mine] of the step under way */
    struct arena host[2], there; /* of lessons: two steps may be under way on a GPU; there: on the device */
    float *losses, *seeds;       /* on the device: [heads, rows] of a slice; [rows] 1 / batch */
    double *loss;                /* on the device: [slices] summed over heads and samples */
    double *columns;             /* --norm batch, on the device: [slices] sums of all layers' columns */
    void *subject;               /* the subject's own */
};

/* What is taught.  Its state is h->subject, `bytes` zeroed bytes. */
struct subject {
    size_t bytes;
    /* (all) Samples and targets: sets h->outputs, h->target_bytes and h->run->samples, and adds to h->run->identity.
     * Ranks fail together. */
    int (*open)(struct heads *h, struct error *error);
    int64_t (*sample)(const struct heads *h, uint64_t epoch, uint64_t place);
    /* From now on receive gives this rank's slices of steps [first, end), then no more. */
    void (*begin)(struct heads *h, int64_t first, int64_t end);
    int (*receive)(struct heads *h, int64_t n, double *waited, struct error *error); /* by heads_bring */
    int64_t (*pictures)(const struct heads *h);                                      /* of a sample at most */
    /* (all) All slices of a step were received, and none is learned yet.  NULL: nothing to do. */
    void (*between)(struct heads *h);
    /* (all) Figures of all heads as they are: into a row of metrics, or as the result, when the run is over. */
    int (*examine)(struct heads *h, bool result, struct error *error);
    void (*close)(struct heads *h);
};

/* What a head is. */
struct head_kind {
    const char *name, *summary, *task; /* the words that call it; in --help; as results name it */
    const struct option *options;      /* of the whole program; the kind's own lie at HEADS_OWN */
    double epochs;                     /* where no length is given; 0: 10 */
    int64_t least_slice;               /* samples of a slice that keep the products busy; 0: 32 */
    size_t bytes;                      /* of its own options */
    const struct subject *subject;
    enum feature (*feature)(const struct heads *h);
    int (*check)(const struct heads *h, int64_t width, struct error *error); /* NULL: any width will do */
    /* Register a head's parameters by heads_add. */
    void (*add)(struct heads *h, struct head *head, const char *prefix);
    /* Draw one; its name here is what heads_add was told. */
    void (*draw)(struct parameter *parameter, int64_t width, uint64_t seed);
    /* x: [samples, width] rows, or all tokens of all pictures -> [samples, 1] losses, float, in segments of the tape;
     * or [samples, outputs], float (NULL where the subject asks its kind otherwise). */
    struct tensor *(*loss)(struct heads *h, struct tape *tape, const struct head *head, struct tensor *x,
                           const struct lesson *lesson);
    struct tensor *(*output)(struct heads *h, struct tape *tape, const struct head *head, struct tensor *x,
                             const struct lesson *lesson);
};
#define HEADS_OWN (TRAINING_SELF + sizeof(struct heads))
static inline const void *heads_own(const struct heads *h)
{
    return h + 1;
}

/* (all) The program of a kind; argv: what follows its name. */
int heads_run(const struct head_kind *kind, const struct world *world, int argc, char **argv, struct error *error);

/* --- for kinds --- */

void heads_add(struct heads *h, struct head *head, const char *prefix, const char *name, int ndim,
               const int64_t *shape);
static inline struct tensor *head_tensor(const struct head *head, int which)
{
    return &head->parameters[which]->tensor;
}
/* pooled, class or mean, as --feature says. */
enum feature heads_feature(const struct heads *h);
/* For one query of each sample over all its tokens, `rows` of a picture. */
struct sequences heads_sequences(const struct heads *h, const struct lesson *lesson, int64_t rows);

/* --- for subjects, and between the files of this objective (heads_step.c) --- */

/* Pictures on their way to the device: pixels (in host memory, until the slot is used again), starts and targets
 * (copied; NULL: there are none). */
struct lesson heads_bring(struct heads *h, int slot, const struct pictures *pictures, const void *targets);
/* Forget what was brought: a step or a batch is over; the device is done with the one before (in a run), or with this
 * one. */
void heads_forget(struct heads *h);
/* A pass of the encoder: visit is given the feature of each chosen layer (its number in h->layers), until it returns;
 * as heads read it, or not made standard yet. */
void heads_look(struct heads *h, const struct lesson *lesson, bool standard,
                void (*visit)(void *context, int64_t index, struct tensor *x), void *context);
/* (all) Mean and scale of features from the samples of the first steps. */
int heads_measure(struct heads *h, struct error *error);
/* (all) --norm batch: those of the step's batch, by a pass of the encoder of its own; and those of examinations, from
 * what was gathered on the way (PyTorch's BatchNorm: momentum 0.1, unbiased variance, eps 1e-5). */
size_t heads_column_bytes(const struct heads *h); /* of h->columns */
void heads_normalize_batch(void *self);
void heads_normalize_all(struct heads *h);

/* (all) values [count] of all ranks, added up. */
void heads_sum_over_ranks(const struct world *w, int64_t *values, int64_t count);

void heads_step(void *self);
int heads_receive(void *self, int64_t n, double *waited, struct error *error);
void heads_imagine(void *self, int64_t n);
void heads_backward(void *self, int64_t n);

#endif
