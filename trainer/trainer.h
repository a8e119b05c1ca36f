/* What pe-trainer teaches: an image tower and a text tower to agree (PE section 2.1), from pairs alone, from a frozen
 * teacher's similarities, or both. */
#ifndef TRAINER_TRAINER_H
#define TRAINER_TRAINER_H

#include "data/loader.h"
#include "models/towers.h"
#include "nn/contrastive.h"
#include "optim/schedule.h"
#include "run/training.h"
#include "serve/prompts.h"
#include "serve/features.h"

struct trainer_settings {
    struct data_settings data;
    struct option_list val_data, upsampling;
    int64_t val_samples, val_steps;
    struct option_list zeroshot_data, zeroshot_templates, zeroshot_classes;
    int64_t zeroshot_steps;
    double zeroshot_max_bad;
    /* model */
    char *model, *pretrained, *pool, *rope, *resolution_schedule;
    int64_t image_size;
    bool lock_image, lock_text, grad_cache;
    /* augmentation and mask regularisation */
    struct augment_settings augment;
    double mask_weight, mask_fraction, mask_ratio;
    /* distillation */
    char *teacher, *teacher_weights;
    double distill_weight, distill_contrastive, distill_scale;
    int64_t teacher_size;
};

/* A slice of the batch on its way through the step. */
struct slice {
    int size, slot;        /* pixels a side; where they are staged */
    const uint8_t *pixels; /* on the device */
    int64_t pictures;      /* more than samples where there are videos */
    const int32_t *starts; /* on the device, [rows + 1] the first picture of each sample; NULL where each has one */
    int64_t *samples;      /* [rows] */
    uint64_t *epochs;      /* [rows] */
    struct text_batch words;
    const uint8_t *teacher_pixels; /* the same as the teacher takes them */
    struct text_batch teacher_words;
    struct tensor *image, *text, *tokens;
    int first, end; /* segments on the tape */
};

/* Of the step under way; its memory is in the trainer's arenas. */
struct step {
    struct arena *host;
    struct slice *slices;                 /* [mine] */
    void *images, *texts;                 /* [local, dim] real */
    void *teacher_images, *teacher_texts; /* likewise of the teacher */
    float *d_images, *d_texts;            /* [local, dim] */
    double *mask;                         /* [mine] sum of cosines of the mask loss */
};

/* A data set of --zeroshot-data. */
struct labelled_set {
    char *name;
    struct collection data;
    struct prompts prompts;
};

struct trainer {
    struct trainer_settings settings; /* first: the option table fills it */
    struct training *run;
    struct towers towers, teacher; /* teacher: when config.teacher is given */
    struct tape teacher_tape;
    struct device host; /* the CPU, for figures of the validation */
    struct collection data, validation;
    struct labelled_set *labelled; /* [labelled_count] */
    int64_t labelled_count;
    struct tokenizer *tokenizer;
    struct augmentation augmentation;
    struct media_options media;
    struct resolutions resolutions;
    int largest;      /* pixels a side, of all resolutions */
    int64_t pictures; /* of a slice, at most */
    struct loader *loader;
    int64_t received, pixel_slots; /* slices taken from the loader; places for their pixels */
    struct arena memory[2];        /* host data of a step; two steps may be under way on a GPU */
    struct arena buffers;          /* device data of a step */
    struct contrastive contrastive;
    struct step step;
};

extern const struct option_program trainer_program;
extern const struct objective contrastive_objective;

/* Steps of the objective (step.c); see run/objective.h. */
void trainer_step(void *trainer);
int trainer_receive(void *trainer, int64_t n, double *waited, struct error *error);
void trainer_imagine(void *trainer, int64_t n);
void trainer_forward(void *trainer, int64_t n);
void trainer_between(void *trainer);
void trainer_backward(void *trainer, int64_t n);
double trainer_macs(void *trainer);
size_t trainer_host_bytes(const struct trainer *trainer); /* of memory[], for one step */

/* What embeds during the run (validate.c). */
struct embedder trainer_embedder(struct trainer *trainer);
/* (all) Retrieval on the validation data; writes a metrics row. */
int trainer_validate(struct trainer *trainer, struct error *error);

/* Zero-shot classification of labelled data (zeroshot.c): their prompts are chosen, and files read, at the begin. */
int trainer_zeroshot_open(struct trainer *trainer, struct error *error);
void trainer_zeroshot_close(struct trainer *trainer);
int trainer_zeroshot(struct trainer *trainer, struct error *error); /* (all) Writes a metrics row. */

#endif
