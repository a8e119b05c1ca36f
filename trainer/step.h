/* One training step: embed, compare, walk back, update. */
#ifndef TRAINER_STEP_H
#define TRAINER_STEP_H

#include "trainer/run.h"

/* A slice of the batch on its way through the step. */
struct slice {
    int size, slot;               /* pixels a side; where they are staged */
    const uint8_t *pixels;        /* on the device */
    int64_t pictures;             /* more than samples where there are videos */
    const int32_t *starts;        /* on the device, [slice + 1] the first picture of each sample; NULL where each has one */
    int64_t *samples;             /* [slice] */
    uint64_t *epochs;             /* [slice] */
    struct text_batch words;
    const uint8_t *teacher_pixels; /* the same as the teacher takes them */
    struct text_batch teacher_words;
    struct tensor *image, *text, *tokens;
    int first, end;               /* segments on the tape */
};

/* (all) Advances run->step; its figures reach run_report when they are known, on a GPU during the next step.  A loss or gradient that is
 * not finite is an error that names step, slice and samples; that step has then changed no weights. */
int step_train(struct run *run, struct error *error);
/* (all) Wait for the figures of all steps done. */
int step_drain(struct run *run, struct error *error);
/* (all) A dry run on the largest shapes: takes all the device memory a step needs and says how much, and measures which products are the
 * fastest, once a run.  Nothing on the CPU. */
int step_plan(struct run *run, struct error *error);

#endif
