/* What pe-captioner train teaches: a Perception LM to answer (PLM paper section 3; models/SPEC.md).
 *
 *   stage projector   tower and decoder frozen, media and caption alone, no pooling: the projector learns the decoder's
 *                     space
 *   stage all         everything, chat template, loss on the response, LayerScale and DropPath on the tower
 *
 * The third stage of the paper is `all` again, on the rows that people corrected.  How a run lives is in
 * run/training.h. */
#ifndef CAPTIONER_TRAIN_H
#define CAPTIONER_TRAIN_H

#include "models/examples.h"
#include "data/ring.h"
#include "models/plm.h"
#include "run/training.h"

struct train_settings {
    struct data_settings data;
    char *media_root, *video_prompt, *image_prompt;
    int64_t tiles, context;
    char *model, *plm_config, *vision, *decoder, *tokenizer, *stage;
    int64_t pooling;
    double drop_path;
};

/* The examples of a slice, made ahead by decode threads. */
struct packed {
    struct example *examples; /* [rows] */
    int64_t *numbers;         /* [rows] which they are */
    uint64_t *epochs;
    int64_t rows, tiles, media,
        targets; /* of the decoder; of all examples: tiles, decoder rows of them, tokens to predict */
};

struct train {
    struct train_settings settings; /* first: the option table fills it */
    struct training *run;
    struct plm plm;
    struct bpe *bpe;
    struct chat_template template;
    struct examples examples;
    int64_t pooling;
    struct ring *ring;
    struct arena host, there; /* of a slice */
    struct packed **slices;   /* [mine] of the step under way */
    double targets[2];        /* tokens to predict and decoder rows of the global batch, of two steps under way */
    double rows[2];
    double *loss; /* [slices] on the device: sums over the targets of a slice */
};

extern const struct option_program train_program;
extern const struct objective caption_objective;

/* Steps of the objective (train_step.c); see run/objective.h. */
extern const struct ring_maker train_slices;
size_t train_host_bytes(const struct train *train); /* of `host` */
int train_receive(void *train, int64_t n, double *waited, struct error *error);
void train_between(void *train);
void train_backward(void *train, int64_t n);

#endif
