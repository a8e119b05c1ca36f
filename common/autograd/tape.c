/* Recording, replay and the reverse walk. */
#include "autograd/tape.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* Address space of an arena of activations, and of that of calls and tensors; pages come when touched. */
static const size_t ACTIVATIONS_MOST = (size_t)1 << 40, NOTES_MOST = (size_t)1 << 32;

void tape_init(struct tape *tape, struct device *device)
{
    *tape = (struct tape){.device = device, .open = -1};
    arena_open(&tape->notes, NOTES_MOST);
    device_arena_open(device, &tape->kept, ACTIVATIONS_MOST);
    for (int i = 0; i < 2; i++) device_arena_open(device, &tape->scratch[i], ACTIVATIONS_MOST);
    device_arena_open(device, &tape->grads, ACTIVATIONS_MOST);
}

void tape_free(struct tape *tape)
{
    for (int i = 0; i < TAPE_SLOTS; i++)
        tape->device->kernels->unmap(tape->device, tape->pool[i].data, tape->pool[i].bytes);
    arena_close(&tape->notes);
    arena_close(&tape->kept);
    for (int i = 0; i < 2; i++) arena_close(&tape->scratch[i]);
    arena_close(&tape->grads);
    free(tape->calls);
    free(tape->segments);
    *tape = (struct tape){0};
}

static void count_uses(const struct call *call, int change)
{
    for (int i = 0; i < OP_INPUTS; i++)
        if (call->in[i] && call->in[i]->parameter) call->in[i]->uses += change;
}

void tape_reset(struct tape *tape)
{
    for (int i = 0; i < tape->call_count; i++) count_uses(&tape->calls[i], -1);
    tape->call_count = tape->segment_count = 0;
    tape->open = -1;
    tape->side = tape->spared = 0;
    arena_release(&tape->notes, 0);
    arena_release(&tape->kept, 0);
    for (int i = 0; i < 2; i++) arena_release(&tape->scratch[i], 0);
    arena_release(&tape->grads, 0);
    for (int i = 0; i < TAPE_SLOTS; i++) tape->pool[i].used = false;
}

size_t tape_peak(const struct tape *tape)
{
    size_t pool = 0;
    for (int i = 0; i < TAPE_SLOTS; i++) pool += tape->pool[i].bytes;
    return tape->kept.peak + tape->scratch[0].peak + tape->scratch[1].peak + tape->grads.peak + pool;
}

/* Where the outputs of the open segment go. */
static struct arena *home(struct tape *tape)
{
    return tape->recording && !tape->recompute ? &tape->kept : &tape->scratch[tape->side];
}

static size_t tensor_bytes(const struct tape *tape, const struct tensor *t)
{
    return (size_t)tensor_count(t) * (t->wide ? sizeof(float) : tape->device->kernels->real_bytes);
}

float *tape_take(struct tape *tape, int64_t count)
{
    return arena_take(home(tape), (size_t)count, sizeof(float));
}

void *tape_take_real(struct tape *tape, int64_t count)
{
    return arena_take(home(tape), (size_t)count, tape->device->kernels->real_bytes);
}

void *tape_borrow(struct tape *tape, int64_t count, size_t size)
{
    return arena_take(&tape->grads, (size_t)count, size);
}

void tape_open_segment(struct tape *tape)
{
    CHECK(tape->open < 0, "segment %d is still open", tape->open);
    if (tape->segment_count == tape->segment_cap)
        tape->segments = mem_realloc(tape->segments, (size_t)(tape->segment_cap = 2 * tape->segment_cap + 64),
                                     sizeof *tape->segments);
    tape->open = tape->segment_count++;
    tape->side = tape->recording ? 0 : !tape->side;
    tape->segments[tape->open] = (struct segment){.first = tape->call_count,
                                                  .kept = arena_mark(&tape->kept),
                                                  .scratch = arena_mark(&tape->scratch[tape->side]),
                                                  .side = tape->side};
}

struct tensor *tape_close_segment(struct tape *tape, struct tensor *input, struct tensor *output)
{
    CHECK(tape->open >= 0 && output->segment == tape->open, "output of segment %d closes segment %d", output->segment,
          tape->open);
    struct segment *s = &tape->segments[tape->open];
    s->end = tape->call_count;
    s->output = output;
    tape->open = -1;
    if (tape->recording && !tape->recompute) return output;

    if (tape->recording) { /* forget everything but the output */
        size_t bytes = tensor_bytes(tape, output);
        void *from = output->data;
        output->data = arena_take(&tape->kept, bytes, 1);
        tape->device->kernels->copy(tape->device, output->data, from, bytes);
        s->forgotten = true;
        for (int i = s->first; i < s->end; i++)
            if (tape->calls[i].out != output) tape->calls[i].out->data = NULL;
        arena_release(&tape->scratch[0], s->scratch);
        return output;
    }
    /* What was computed on the other side, the input on top, is done with. */
    const struct segment *before = input && input->segment >= tape->spared ? &tape->segments[input->segment] : NULL;
    if (before && before->side != s->side) arena_release(&tape->scratch[before->side], before->scratch);
    return output;
}

struct tape_branch tape_branch(struct tape *tape)
{
    CHECK(tape->open < 0, "a branch inside segment %d", tape->open);
    struct tape_branch b = {
        .segments = tape->segment_count, .side = tape->side, .spared = tape->spared, .notes = arena_mark(&tape->notes)};
    for (int i = 0; i < 2; i++) b.scratch[i] = arena_mark(&tape->scratch[i]);
    if (!tape->recording) tape->spared = tape->segment_count;
    return b;
}

void tape_join(struct tape *tape, struct tape_branch b)
{
    if (tape->recording) return;
    tape->segment_count = b.segments;
    tape->side = b.side;
    tape->spared = b.spared;
    arena_release(&tape->notes, b.notes);
    for (int i = 0; i < 2; i++) arena_release(&tape->scratch[i], b.scratch[i]);
}

void tape_tap(struct tape *tape, const struct taps *taps, int64_t layer, struct tensor *rows)
{
    if (!taps || layer > taps->layers || !taps->wanted[layer]) return;
    struct tape_branch branch = tape_branch(tape);
    taps->take(taps->self, tape, layer, rows);
    tape_join(tape, branch);
}

static void execute(struct tape *tape, struct call *call)
{
    if (call->op->in_place)
        call->out->data = call->in[0]->data;
    else if (!call->out->data)
        call->out->data = arena_take(home(tape), tensor_bytes(tape, call->out), 1);
    call->op->forward(tape, call);
}

struct tensor *tape_apply(struct tape *tape, const struct op_def *op, struct tensor *const in[OP_INPUTS], int64_t rows,
                          int64_t cols, const void *attributes, size_t bytes)
{
    CHECK(tape->open >= 0, "%s outside a segment", op->name);
    struct call call = {.op = op, .attributes = memcpy(arena_take(&tape->notes, bytes + 1, 1), attributes, bytes)};
    call.out = arena_take(&tape->notes, 1, sizeof *call.out);
    *call.out = (struct tensor){
        .rows = rows, .cols = cols, .wide = op->wide, .notes = call.attributes, .segment = tape->open, .slot = -1};
    for (int i = 0; i < OP_INPUTS; i++) {
        call.in[i] = in[i];
        if (in[i] && in[i]->needs_grad) call.out->needs_grad = tape->recording;
    }
    CHECK(!call.out->needs_grad || op->backward, "%s has no backward pass but its input needs a gradient", op->name);
    execute(tape, &call);
    if (tape->recording) {
        if (tape->call_count == tape->call_cap)
            tape->calls =
                mem_realloc(tape->calls, (size_t)(tape->call_cap = 2 * tape->call_cap + 256), sizeof *tape->calls);
        tape->calls[tape->call_count++] = call;
        count_uses(&call, 1);
    }
    return call.out;
}

static int pool_take(struct tape *tape, size_t bytes)
{
    const struct kernels *k = tape->device->kernels;
    int best = -1, empty = -1;
    for (int i = 0; i < TAPE_SLOTS; i++) {
        if (tape->pool[i].used) continue;
        if (tape->pool[i].bytes < bytes) {
            if (empty < 0 || tape->pool[i].bytes > tape->pool[empty].bytes) empty = i;
        } else if (best < 0 || tape->pool[i].bytes < tape->pool[best].bytes)
            best = i;
    }
    if (best < 0) { /* the largest that is too small makes room */
        CHECK(empty >= 0, "all %d gradient slots are in use", TAPE_SLOTS);
        best = empty;
        k->unmap(tape->device, tape->pool[best].data, tape->pool[best].bytes);
        tape->pool[best].data = k->map(tape->device, bytes);
        tape->pool[best].bytes = bytes;
    }
    tape->pool[best].used = true;
    return best;
}

struct gradient tape_gradient(struct tape *tape, struct tensor *t)
{
    if (!t || !t->needs_grad) return (struct gradient){0};
    struct gradient g = {.data = t->grad, .accumulate = t->touched};
    t->touched = true;
    if (g.data) return g;
    if (t->segment == tape->open) {
        g.data = arena_take(&tape->grads, tensor_bytes(tape, t), 1);
    } else {
        t->slot = pool_take(tape, tensor_bytes(tape, t));
        g.data = tape->pool[t->slot].data;
    }
    t->grad = g.data;
    return g;
}

void tape_pass_gradient(struct tape *tape, struct tensor *from, struct tensor *to)
{
    if (!to || !to->needs_grad) return;
    CHECK(!to->parameter && !to->wide && !from->wide, "a parameter, or a tensor of floats, as a residual");
    if (!to->grad && (from->slot >= 0 || to->segment == tape->open)) {
        to->grad = from->grad;
        to->slot = from->slot;
        to->touched = true;
        from->slot = -1;
        from->grad = NULL;
        return;
    }
    struct gradient g = tape_gradient(tape, to);
    if (g.accumulate)
        tape->device->kernels->add_real(tape->device, g.data, from->grad, tensor_count(to));
    else
        tape->device->kernels->copy(tape->device, g.data, from->grad, tensor_bytes(tape, to));
}

void tape_seed(struct tape *tape, struct tensor *tensor, const float *grad)
{
    struct gradient g = tape_gradient(tape, tensor);
    if (!g.data) return;
    CHECK(!g.accumulate, "the gradient of [%ld, %ld] is there already", (long)tensor->rows, (long)tensor->cols);
    if (tensor->wide)
        tape->device->kernels->copy(tape->device, g.data, grad, tensor_bytes(tape, tensor));
    else
        tape->device->kernels->round(tape->device, g.data, grad, tensor_count(tensor));
}

static void replay(struct tape *tape, struct segment *s)
{
    for (int i = s->first; i < s->end; i++) {
        struct call *call = &tape->calls[i];
        if (i == s->end - 1 && call->out == s->output && !call->op->saves) return;
        execute(tape, call);
    }
}

void tape_backward(struct tape *tape, int first, int end)
{
    CHECK(end == tape->segment_count && tape->open < 0, "segments up to %d of %d, open %d", end, tape->segment_count,
          tape->open);
    bool recompute = tape->recompute;
    tape->side = 0;
    tape->recording = tape->recompute = true; /* what is replayed goes to scratch */
    for (int n = end - 1; n >= first; n--) {
        struct segment *s = &tape->segments[n];
        size_t grads = arena_mark(&tape->grads), scratch = arena_mark(&tape->scratch[0]);
        tape->open = n;
        if (s->forgotten && s->output->needs_grad) replay(tape, s);
        for (int i = s->end - 1; i >= s->first; i--) {
            struct call *call = &tape->calls[i];
            if (call->out->needs_grad && call->out->grad) call->op->backward(tape, call);
            if (call->out->slot >= 0) tape->pool[call->out->slot].used = false;
            call->out->slot = -1;
            count_uses(call, -1);
        }
        arena_release(&tape->grads, grads);
        arena_release(&tape->scratch[0], scratch);
        arena_release(&tape->kept, s->kept);
        tape->call_count = s->first;
        tape->segment_count = n;
        if (tape->between) tape->between(tape->between_context);
    }
    tape->open = -1;
    tape->recompute = recompute;
}
