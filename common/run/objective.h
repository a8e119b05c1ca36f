/* What a run teaches: a table of functions over a state of its own.  common/run does the rest of a training program and
 * knows nothing else of it.
 *
 *   open -> begin | load -> start -> ready -> ( step -> receive, forward of each slice -> between -> backward of each
 *   slice -> gradients -> settle -> gather )* -> finish -> close
 *
 * A rank has the slices n = 0 ... training->plan.mine - 1 of each step.  forward may leave a slice recorded on
 * training->tape, or run it again, recorded, in backward (which meets the slices from the last to the first: the tape
 * is a stack).  Calls marked (all) are made by all ranks in the same order; functions that may be NULL say so. To add
 * one: a file of such functions, and a main that hands the table to training_run (README). */
#ifndef RUN_OBJECTIVE_H
#define RUN_OBJECTIVE_H

#include "checkpoint/checkpoint.h"
#include "config/options.h"
#include "run/figures.h"

struct training;

struct objective {
    size_t bytes; /* of self, which begins with what the program's option table fills (training.h), then zeroes */
    int64_t least_slice;  /* samples of a slice that keep the products busy: --slices 0 cuts no smaller */
    int checks;           /* numbers a slice that show whether it is finite (training_check) */
    size_t figures_bytes; /* what gather copies */

    /* --- start --- */
    /* Where the run lies when --name is not given; the caller frees.  NULL: --name is required. */
    char *(*folder)(const void *self);
    /* Model, data, frozen parts, on the host; nothing is written.  Fills training->parameters (values still zero),
     * training->samples, and adds to training->identity what options do not say: the model, checksums of data and
     * weights. */
    int (*open)(struct training *training, void *self, struct error *error);
    /* A new run: draw the weights, or read those it starts from. */
    int (*begin)(void *self, struct error *error);
    /* Or the weights of a checkpoint's folder. */
    int (*load)(void *self, const char *folder, struct error *error);
    /* (all) Plan and step are known: memory on the device, where the weights come to lie; decode threads, from
     * training->step on. */
    int (*start)(void *self, struct error *error);
    /* (all) A new run is about to take its first step: what it needs to know of its data.  NULL: nothing. */
    int (*ready)(void *self, struct error *error);

    /* --- a step --- */
    void (*step)(void *self);                                                   /* begins; NULL: nothing to do */
    int (*receive)(void *self, int64_t n, double *waited, struct error *error); /* slice n is brought in */
    void (*imagine)(void *self,
                    int64_t n); /* in its place in a dry run: the largest shapes.  NULL: there is no dry run */
    void (*forward)(void *self, int64_t n);                        /* NULL: all is done in backward */
    void (*between)(void *self);                                   /* (all) over the whole batch; NULL: nothing */
    void (*backward)(void *self, int64_t n);                       /* adds the slice's gradients; last: n = 0 */
    void (*gradients)(void *self, float *gradients, bool reduced); /* what is known of the sum without slices; NULL */
    void (*settle)(void *self);                                    /* the weights have changed; NULL */
    void (*gather)(void *self, void *there); /* figures_bytes on the device, still there after the step */
    /* Figures of a step (counted from 1) from what gather copied; the one named "loss" must be among them. */
    void (*figures)(void *self, int64_t step, const void *gathered, struct figures *figures);
    double (*macs)(void *self); /* multiply-adds of this rank's forward passes of the step; NULL: not counted */

    /* Which sample stands at this place [0, samples) of an epoch. */
    int64_t (*sample)(const void *self, uint64_t epoch, uint64_t place);

    /* --- between steps --- */
    /* (all) Look at what has been learned, if it is time, after training_drain: 1 when it was.  NULL: never. */
    int (*validate)(void *self, bool last, struct error *error);
    /* Rank 0: the model's files; sums[name] = checksum of each. */
    int (*save)(void *self, const struct checkpoint_writer *writer, json_t *sums, struct error *error);
    /* (all) All steps are done and saved, by this start of the run or one before: what comes of it.  NULL: nothing. */
    int (*finish)(void *self, struct error *error);
    void (*close)(void *self); /* whatever open, which was called, and start have come to */
};

#endif
