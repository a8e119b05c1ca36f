/* Blocks over tiles of windows. */
#include "models/sam2/hiera.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/memory.h"
#include "models/sam2/layer.h"

enum { PATCH = 7, STRIDE = 4, PADDING = 3 };

static const float norm_eps = 1e-6f;

/* --- parameters --- */

static void add_block(struct hiera_block *b, struct parameters *p, int64_t number, int64_t in, int64_t out)
{
    char prefix[64];
    snprintf(prefix, sizeof prefix, "image_encoder.trunk.blocks.%ld", (long)number);
    layer_register(p, b->norm1, prefix, "norm1", in, 0);
    layer_register(p, b->qkv, prefix, "attn.qkv", 3 * out, in);
    layer_register(p, b->out, prefix, "attn.proj", out, out);
    layer_register(p, b->norm2, prefix, "norm2", out, 0);
    layer_register(p, b->fc, prefix, "mlp.layers.0", 4 * out, out);
    layer_register(p, b->proj, prefix, "mlp.layers.1", out, 4 * out);
    if (!b->pool) return;
    layer_register(p, b->skip, prefix, "proj", out, in);
    b->q[0] = parameters_view(p, b->qkv[0], 0, out, in);
    b->kv[0] = parameters_view(p, b->qkv[0], out * in, 2 * out, in);
    b->q[1] = parameters_view(p, b->qkv[1], 0, 1, out);
    b->kv[1] = parameters_view(p, b->qkv[1], out, 1, 2 * out);
}

static int64_t block_count(const struct sam2_config *c)
{
    int64_t count = 0;
    for (int stage = 0; stage < SAM2_STAGES; stage++) count += c->blocks[stage];
    return count;
}

static bool sees_all(const struct sam2_config *c, int64_t block)
{
    for (int i = 0; i < SAM2_GLOBAL; i++)
        if (c->global[i] == block) return true;
    return false;
}

void hiera_register(struct hiera *h, struct parameters *p, const struct sam2_config *c)
{
    int64_t side = hiera_side(c, 0);
    *h = (struct hiera){.config = c, .blocks = mem_zalloc((size_t)block_count(c), sizeof *h->blocks)};
    layer_register(p, h->patch, "image_encoder.trunk.patch_embed", "proj", c->width, 3 * PATCH * PATCH);
    h->positions = parameters_add(p, "positions", 2, (int64_t[]){side * side, c->width});
    for (int64_t stage = 0, number = 0; stage < SAM2_STAGES; stage++)
        for (int64_t i = 0; i < c->blocks[stage]; i++, number++) {
            struct hiera_block *b = &h->blocks[number];
            int64_t width = c->width << stage;
            b->heads = c->heads << stage;
            b->pool = stage && i == 0;
            b->whole = sees_all(c, number);
            CHECK(!b->pool || !b->whole, "block %ld pools the whole map", (long)number);
            add_block(b, p, number, b->pool ? width / 2 : width, width);
        }
}

void hiera_open(struct hiera *h, struct device *device)
{
    const struct sam2_config *c = h->config;
    for (int i = 0; i < SAM2_STAGES; i++) {
        int64_t side = hiera_side(c, i);
        windows_open(&h->own[i], device, side, c->windows[i], 0);
        windows_open(&h->map[i], device, side, side, 1);
        if (!i) continue;
        CHECK(c->windows[i - 1] % 2 == 0 && 2 * side == hiera_side(c, i - 1), "stage %d cannot be halved", i);
        windows_open(&h->entry[i], device, side, c->windows[i - 1] / 2, h->own[i - 1].each);
    }
    for (int i = 0; i < 2; i++) {
        int64_t side = hiera_side(c, i), cols = c->width << i;
        h->map_bytes[i] = (size_t)(side * side * cols) * device->kernels->real_bytes;
        h->maps[i] = (struct tensor){.rows = side * side,
                                     .cols = cols,
                                     .data = device->kernels->map(device, h->map_bytes[i]),
                                     .segment = -1,
                                     .slot = -1};
    }
}

void hiera_close(struct hiera *h, struct device *device)
{
    for (int i = 0; i < SAM2_STAGES; i++) {
        windows_close(&h->own[i], device);
        windows_close(&h->map[i], device);
        if (i) windows_close(&h->entry[i], device);
    }
    for (int i = 0; i < 2; i++) device->kernels->unmap(device, h->maps[i].data, h->map_bytes[i]);
    free(h->blocks);
    *h = (struct hiera){0};
}

/* --- forward --- */

static struct tensor *mlp(struct tape *t, const struct hiera_block *b, struct tensor *x)
{
    struct tensor *y = op_norm_eps(t, x, b->norm2[0], b->norm2[1], norm_eps);
    y = op_linear(t, y, (struct linear){.weight = b->fc[0], .bias = b->fc[1], .gelu_output = true});
    struct linear last = {.weight = b->proj[0], .bias = b->proj[1], .residual = x, .gelu_input = true};
    return op_linear(t, y, last);
}

/* Pixels of tile n, filled up: what is filled in is zero behind the norm, and is attended to. */
static struct tensor *fill_up(struct tape *t, struct tensor *y, const struct windows *w, int64_t n)
{
    int64_t area = w->window * w->window;
    return w->padded ? op_embed(t, y, NULL, w->slots + n * w->each * area, NULL, NULL, windows_of_tile(w, n) * area)
                     : y;
}

static struct tensor *only_pixels(struct tape *t, struct tensor *y, const struct windows *w, int64_t n)
{
    return w->padded ? op_gather(t, y, w->taken + w->first[n], w->first[n + 1] - w->first[n]) : y;
}

/* Queries of windows `to` over keys of windows `from`. */
static struct sequences attend(const struct windows *to, const struct windows *from, int64_t count)
{
    return (struct sequences){count, to->starts, from->starts, to->window * to->window, from->window * from->window,
                              true};
}

static struct tensor *plain_rows(struct tape *t, const struct hiera_block *b, struct tensor *x, const struct windows *w,
                                 int64_t n)
{
    struct tensor *y = fill_up(t, op_norm_eps(t, x, b->norm1[0], b->norm1[1], norm_eps), w, n);
    y = op_attention(t, layer_forward(t, y, b->qkv, NULL), NULL, b->heads, attend(w, w, windows_of_tile(w, n)), false);
    return mlp(t, b, layer_forward(t, only_pixels(t, y, w, n), b->out, x));
}

/* Windows of `to` are those of `w`, halved. */
static struct tensor *pooled_rows(struct tape *t, const struct hiera_block *b, struct tensor *x,
                                  const struct windows *w, const struct windows *to, int64_t n)
{
    struct map map = {windows_of_tile(w, n), extent_square(w->window)};
    struct tensor *y = fill_up(t, op_norm_eps(t, x, b->norm1[0], b->norm1[1], norm_eps), w, n);
    struct tensor *skip = op_max_pool(t, layer_forward(t, y, b->skip, NULL), map, 2, 2);
    struct tensor *q = op_max_pool(t, layer_forward(t, y, b->q, NULL), map, 2, 2);
    q = op_attention(t, q, layer_forward(t, y, b->kv, NULL), b->heads, attend(to, w, map.pictures), false);
    return mlp(t, b, layer_forward(t, only_pixels(t, q, to, n), b->out, only_pixels(t, skip, to, n)));
}

/* A block from map to map, which may be one where it does not pool: a tile reads no pixel but its own. */
static void run_block(struct tape *t, const struct hiera_block *b, struct tensor *from, struct tensor *to,
                      const struct windows *w, const struct windows *result)
{
    for (int64_t n = 0; n < w->tiles; n++) {
        struct tape_branch branch = tape_branch(t);
        tape_open_segment(t);
        struct tensor *x = op_gather(t, from, w->rows + w->first[n], w->first[n + 1] - w->first[n]);
        x = b->pool ? pooled_rows(t, b, x, w, result, n) : plain_rows(t, b, x, w, n);
        tape_close_segment(t, NULL, op_put(t, to, x, result->rows + result->first[n]));
        tape_join(t, branch);
    }
}

static void embed_patches(struct tape *t, struct hiera *h, struct tensor *pixels)
{
    struct map map = {1, extent_square(h->config->size)};
    struct convolution c = {h->patch[0], h->patch[1], PATCH, STRIDE, PADDING};
    struct tape_branch branch = tape_branch(t);
    tape_open_segment(t);
    struct tensor *x = op_branch(t, op_convolve(t, pixels, map, c), h->positions, NULL, NULL, 1);
    tape_close_segment(t, NULL, x);
    t->device->kernels->copy(t->device, h->maps[0].data, x->data, h->map_bytes[0]);
    tape_join(t, branch);
}

void hiera_forward(struct tape *t, struct hiera *h, struct tensor *pixels,
                   void (*take)(void *context, struct tape *t, int stage, struct tensor *map), void *context)
{
    const struct hiera_block *b = h->blocks;
    CHECK(!t->recording, "Hiera is for inference");
    embed_patches(t, h, pixels);
    for (int stage = 0; stage < SAM2_STAGES; stage++) {
        struct tensor *x = &h->maps[stage % 2], *before = &h->maps[!(stage % 2)];
        int64_t side = hiera_side(h->config, stage);
        x->rows = side * side;
        x->cols = h->config->width << stage;
        for (int64_t i = 0; i < h->config->blocks[stage]; i++, b++) {
            if (b->pool)
                run_block(t, b, before, x, &h->own[stage - 1], &h->entry[stage]);
            else
                run_block(t, b, x, x, b->whole ? &h->map[stage] : &h->own[stage],
                          b->whole ? &h->map[stage] : &h->own[stage]);
        }
        struct tape_branch branch = tape_branch(t);
        take(context, t, stage, x);
        tape_join(t, branch);
    }
}
