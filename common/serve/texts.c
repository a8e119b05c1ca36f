/* Batches of texts dealt out to ranks in turn, features broadcast back. */
#include "serve/texts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dist/stopping.h"
#include "serve/sound.h"

static int64_t batch_rows(const struct embedder *e, int64_t batch, int64_t count)
{
    int64_t left = count - batch * e->batch;
    return left < e->batch ? left : e->batch;
}

/* Every rank gets all features, or the same error. */
static int deliver(const struct embedder *e, char *const *texts, int64_t count, float *features, struct error *error)
{
    int64_t dim = e->text->output, batches = (count + e->batch - 1) / e->batch;
    for (int64_t b = 0; e->world->size > 1 && b < batches; b++)
        world_broadcast(e->world, features + b * e->batch * dim,
                        (size_t)(batch_rows(e, b, count) * dim) * sizeof *features, (int)(b % e->world->size));
    for (int64_t i = 0; i < count; i++) {
        if (sound_row(features + i * dim, dim)) continue;
        char what[256];
        snprintf(what, sizeof what, "text %ld %s", (long)i, texts[i]);
        return sound_error(features + i * dim, dim, what, error);
    }
    return 0;
}

int texts_embed(const struct embedder *e, char *const *texts, int64_t count, float *features, struct error *error)
{
    int64_t context = e->text->config.context_length, dim = e->text->output,
            batches = (count + e->batch - 1) / e->batch;
    enum { ALIGNMENT = 4096 }; /* of the arrays of a batch */
    struct arena host, arena;
    size_t ids_bytes = (size_t)(e->batch * context) * sizeof(int32_t);
    device_host_arena_open(e->device, &host, text_pack_bytes(e->batch, context) + ids_bytes + ALIGNMENT);
    device_arena_open(e->device, &arena, DEVICE_ARENA);
    struct stopping stopping = stopping_begin(e->world);
    for (int64_t b = e->world->rank; b < batches && !(e->stops && stopping_now(&stopping)); b += e->world->size) {
        int64_t n = batch_rows(e, b, count), first = b * e->batch;
        arena_release(&host, 0);
        arena_release(&arena, 0);
        int32_t *ids = arena_take(&host, (size_t)(n * context), sizeof *ids);
        for (int64_t i = 0; i < n; i++) tokenizer_encode(e->tokenizer, texts[first + i], ids + i * context, context);
        struct text_batch words = text_pack(&host, e->device, &arena, ids, n, context);
        tape_reset(e->tape);
        e->tape->recording = false;
        struct tensor *f = text_forward(e->tape, e->text, &words);
        e->device->kernels->download(e->device, features + first * dim, f->data, (size_t)(n * dim) * sizeof *features);
    }
    arena_close(&host);
    arena_close(&arena);
    if (stopping_end(&stopping, 0, STOPPED, error) < 0) return -1;
    return deliver(e, texts, count, features, error);
}
