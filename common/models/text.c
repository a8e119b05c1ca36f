/* The text tower's forward pass. */
#include "models/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "nn/init.h"

void text_register(struct text *x, struct parameters *p, const struct text_config *c, int64_t output)
{
    *x = (struct text){.config = *c, .output = output};
    x->positions = parameters_add(p, "positional_embedding", 2, (int64_t[]){c->context_length, c->width});
    x->projection = parameters_add(p, "text_projection", 2, (int64_t[]){c->width, output});
    x->blocks = mem_alloc((size_t)c->layers, sizeof *x->blocks);
    for (int64_t i = 0; i < c->layers; i++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "transformer.resblocks.%ld", (long)i);
        block_register(&x->blocks[i], p, prefix, c->width, c->heads, 4 * c->width, false);
    }
    x->tokens = parameters_add(p, "token_embedding.weight", 2, (int64_t[]){c->vocab_size, c->width});
    register_pair(p, "", "ln_final", c->width, 0, &x->ln_final_weight, &x->ln_final_bias);
}

void text_free(struct text *x)
{
    free(x->blocks);
    *x = (struct text){0};
}

void text_init(struct text *x, struct parameters *p, uint64_t seed)
{
    double width = (double)x->config.width, layers = (double)x->config.layers;
    for (int64_t i = 0; i < p->count; i++) {
        struct parameter *it = p->list[i];
        if (str_starts_with(it->name, "visual.") || !strcmp(it->name, "logit_scale")) continue;
        if (!strcmp(it->name, "token_embedding.weight"))
            init_normal(it, seed, 0.02);
        else if (!strcmp(it->name, "positional_embedding"))
            init_normal(it, seed, 0.01);
        else if (!strcmp(it->name, "text_projection"))
            init_normal(it, seed, 1 / sqrt(width));
        else if (str_ends_with(it->name, "attn.in_proj_weight"))
            init_normal(it, seed, 1 / sqrt(width));
        else if (str_ends_with(it->name, "out_proj.weight") || str_ends_with(it->name, "c_proj.weight"))
            init_normal(it, seed, 1 / sqrt(width * 2 * layers));
        else if (str_ends_with(it->name, "c_fc.weight"))
            init_normal(it, seed, 1 / sqrt(2 * width));
        else
            init_by_name(it, p, seed);
    }
}

/* order = rows by id, equal ids in order: sorting (id, row) as one number needs no comparison function of two arrays.
 * */
static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void text_order(int32_t *order, const int32_t *ids, int64_t rows)
{
    int64_t *keys = mem_alloc((size_t)rows, sizeof *keys);
    for (int64_t i = 0; i < rows; i++) keys[i] = ids[i] * ((int64_t)1 << 32) + i;
    qsort(keys, (size_t)rows, sizeof *keys, ascending);
    for (int64_t i = 0; i < rows; i++) order[i] = (int32_t)keys[i];
    free(keys);
}

struct text_batch text_pack(struct arena *host, struct device *device, struct arena *arena, const int32_t *ids,
                            int64_t count, int64_t context)
{
    struct text_batch b = {.count = count};
    b.starts = arena_take(host, (size_t)count + 1, sizeof *b.starts);
    b.ends = arena_take(host, (size_t)count, sizeof *b.ends);
    b.ids = arena_take(host, (size_t)(count * context), sizeof *b.ids);
    b.places = arena_take(host, (size_t)(count * context), sizeof *b.places);
    for (int64_t s = 0; s < count; s++) {
        const int32_t *row = ids + s * context;
        int64_t end = 0;
        for (int64_t i = 1; i < context; i++)
            if (row[i] > row[end]) end = i;
        b.starts[s] = (int32_t)b.rows;
        b.ends[s] = (int32_t)(b.rows + end);
        if (end + 1 > b.longest) b.longest = end + 1;
        for (int64_t i = 0; i <= end; i++) b.ids[b.rows] = row[i], b.places[b.rows++] = (int32_t)i;
    }
    b.starts[count] = (int32_t)b.rows;
    b.order = arena_take(host, (size_t)b.rows, sizeof *b.order);
    text_order(b.order, b.ids, b.rows);
    b.on_device.ids = device_bring(device, arena, b.ids, (size_t)b.rows * sizeof *b.ids);
    b.on_device.places = device_bring(device, arena, b.places, (size_t)b.rows * sizeof *b.places);
    b.on_device.order = device_bring(device, arena, b.order, (size_t)b.rows * sizeof *b.order);
    b.on_device.starts = device_bring(device, arena, b.starts, (size_t)(count + 1) * sizeof *b.starts);
    b.on_device.ends = device_bring(device, arena, b.ends, (size_t)count * sizeof *b.ends);
    return b;
}

size_t text_pack_bytes(int64_t count, int64_t context)
{
    return (size_t)(count * (3 * context + 2) + 1) * sizeof(int32_t) + 4096;
}

struct tensor *text_forward(struct tape *t, struct text *x, const struct text_batch *b)
{
    tape_open_segment(t);
    struct tensor *h = tape_close_segment(
        t, NULL,
        op_embed(t, x->tokens, x->positions, b->on_device.ids, b->on_device.places, b->on_device.order, b->rows));
    struct sequences s = {b->count, b->on_device.starts, b->on_device.starts, b->longest, b->longest, false};
    for (int64_t i = 0; i < x->config.layers; i++) h = block_forward(t, &x->blocks[i], h, s, true, NULL, NULL);
    tape_open_segment(t);
    struct tensor *end = op_norm(t, op_gather(t, h, b->on_device.ends, b->count), x->ln_final_weight, x->ln_final_bias);
    return tape_close_segment(t, h, op_normalize(t, op_project(t, end, x->projection)));
}

double text_macs(const struct text *x, double rows, double squares, double count)
{
    double macs = count * (double)(x->config.width * x->output);
    for (int64_t i = 0; i < x->config.layers; i++) macs += block_macs(&x->blocks[i], rows, squares);
    return macs;
}
