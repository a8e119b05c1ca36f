/* The tape: ops compute at once and, while recording, are noted down; the backward pass walks the notes in reverse.
 *
 *   tape_open_segment(t);                     a segment is a transformer block, or another chain with one output
 *   y = op_linear(t, op_linear(t, x, ...));
 *   x = tape_close_segment(t, x, y);          what is inside now belongs to the segment; only its output crosses
 *
 * The segment is the unit of memory.  With tape->recompute set when a segment is closed, everything inside it is
 * forgotten except its output; the backward pass replays its calls, bit for bit, before walking them.  Gradients of
 * tensors inside a segment live while its backward pass runs; gradients of segment outputs come from a small pool.
 *
 * Without recording nothing is noted.  Segments then take turns on two scratch arenas, and closing one gives up its
 * input `x`.  Who wants the rows of a layer taps them: while they are there, between two segments, it may compute from
 * them on a branch, which leaves no trace.
 *
 * Backward passes run over whole segments, last recorded first: the memory is a stack.  Tensors and arrays given
 * to ops (token ids, pixels; in device memory) must outlive the backward pass. */
#ifndef AUTOGRAD_TAPE_H
#define AUTOGRAD_TAPE_H

#include <stddef.h>

#include "backend/device.h"
#include "base/memory.h"
#include "tensor/tensor.h"

enum { OP_INPUTS = 6, TAPE_SLOTS = 32 };

struct tape;
struct call {
    const struct op_def *op;
    struct tensor *in[OP_INPUTS]; /* NULL where an optional input is missing */
    struct tensor *out;
    void *attributes; /* the op's own struct */
};

struct op_def {
    const char *name;
    bool saves;    /* forward keeps something besides its output for backward: replay even the last call of a segment */
    bool wide;     /* out is float whatever the device computes in */
    bool in_place; /* out shares the memory of in[0]; its backward hands the gradient over */
    void (*forward)(struct tape *tape, struct call *call);
    /* NULL: inference only, refused when a gradient is needed */
    void (*backward)(struct tape *tape, struct call *call);
};

struct segment {
    int first, end; /* calls */
    bool forgotten;
    size_t kept, scratch; /* arena marks at opening */
    int side;
    struct tensor *output;
};

struct tape {
    struct device *device;
    bool recording, recompute;
    struct arena notes, kept, scratch[2], grads;
    struct call *calls;
    struct segment *segments;
    int call_count, call_cap, segment_count, segment_cap;
    int open;                       /* the segment being recorded or walked, -1 when none */
    int side;                       /* which scratch the open segment uses */
    int spared;                     /* outputs of segments before this one are not given up: a branch reads them */
    void (*between)(void *context); /* called after each segment of a backward pass, when set */
    void *between_context;
    struct {
        void *data;
        size_t bytes;
        bool used;
    } pool[TAPE_SLOTS];
};

void tape_init(struct tape *tape, struct device *device);
void tape_free(struct tape *tape);
/* Forget all tensors, calls and segments; memory stays for the next step. */
void tape_reset(struct tape *tape);

void tape_open_segment(struct tape *tape);
/* Returns output (its data may have moved).  input: the previous segment's output that this one consumes, or NULL. */
struct tensor *tape_close_segment(struct tape *tape, struct tensor *input, struct tensor *output);

/* A branch: segments whose outputs are used at once.  Without recording all that was computed since tape_branch is
 * given up by tape_join, and what stood before is untouched, whatever the segments between named as input.  While
 * recording both do nothing.  Branches nest. */
struct tape_branch {
    int segments, side, spared;
    size_t notes, scratch[2]; /* arena marks */
};
struct tape_branch tape_branch(struct tape *tape);
void tape_join(struct tape *tape, struct tape_branch branch);

/* Who wants which layers' rows of a forward pass.  take is called on a branch, in order of layers.  Without recording
 * `rows` and what is computed from them die when it returns; while recording they are tensors like others: they live
 * until their backward pass, and tape_seed may give them a gradient, to which those of the layers above add. */
struct taps {
    int64_t layers;     /* the pass ends with this one */
    const bool *wanted; /* [layers + 1] by layer, counted from 1; 0: what enters the first one */
    void (*take)(void *self, struct tape *tape, int64_t layer, struct tensor *rows);
    void *self;
};
/* For models, between two segments; taps may be NULL. */
void tape_tap(struct tape *tape, const struct taps *taps, int64_t layer, struct tensor *rows);

/* Backward over segments [first, end), which must be the last ones recorded; afterwards they are gone.  The gradients
 * of their outputs must have been set by tape_seed. */
void tape_backward(struct tape *tape, int first, int end);
/* Copy grad [rows, cols] into the tensor's gradient, its first. */
void tape_seed(struct tape *tape, struct tensor *tensor, const float *grad);

size_t tape_peak(const struct tape *tape); /* bytes of activations, scratch and gradients at most so far */

/* --- for ops --- */

/* Run `op` on in[0 .. OP_INPUTS) and return its output [rows, cols]; `bytes` of attributes are copied. */
struct tensor *tape_apply(struct tape *tape, const struct op_def *op, struct tensor *const in[OP_INPUTS], int64_t rows,
                          int64_t cols, const void *attributes, size_t bytes);
/* Floats, or elements of type real, that live as long as the output being computed. */
float *tape_take(struct tape *tape, int64_t count);
void *tape_take_real(struct tape *tape, int64_t count);
/* The same until the backward call that takes them returns. */
void *tape_borrow(struct tape *tape, int64_t count, size_t size);

/* Where to put the gradient of t, and whether to add; data is NULL when none is wanted.  Counts as touching. */
struct gradient {
    void *data;
    bool accumulate;
};
struct gradient tape_gradient(struct tape *tape, struct tensor *t);
/* The gradient of `from` also flows to `to` unchanged, and `from` is done with: hand the buffer over or add it. */
void tape_pass_gradient(struct tape *tape, struct tensor *from, struct tensor *to);

#endif
