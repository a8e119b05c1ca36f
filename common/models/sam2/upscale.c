/* Which pixels are made, and making them. */
#include "models/sam2/upscale.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "models/sam2/layer.h"

void sam2_upscale_register(struct sam2_upscale *u, struct parameters *p, const struct sam2_config *config,
                           int64_t channels)
{
    int64_t fine = channels / 4, finest = channels / 8;
    char name[32];
    *u = (struct sam2_upscale){.side = config->size / 16};
    for (int i = 0; i < SAM2_PLACES; i++) {
        snprintf(name, sizeof name, "upscale1.%d.weight", i);
        u->first[i] = parameters_add(p, name, 2, (int64_t[]){fine, channels});
        snprintf(name, sizeof name, "upscale2.%d.weight", i);
        u->second[i] = parameters_add(p, name, 2, (int64_t[]){finest, fine});
    }
    u->first_bias = parameters_add(p, "sam_mask_decoder.output_upscaling.0.bias", 1, &fine);
    u->second_bias = parameters_add(p, "sam_mask_decoder.output_upscaling.3.bias", 1, &finest);
    layer_register(p, u->norm, "sam_mask_decoder.output_upscaling", "1", fine, 0);
}

/* --- what is wanted --- */

static struct sam2_axis axis_open(int64_t side, int64_t to, bool whole)
{
    struct sam2_axis a = {.to = to};
    int32_t *place = mem_alloc((size_t)side, sizeof *place);
    bool *read = mem_zalloc((size_t)side, sizeof *read);
    a.wanted = mem_alloc((size_t)side, sizeof *a.wanted);
    a.low = mem_alloc((size_t)to, sizeof *a.low);
    a.high = mem_alloc((size_t)to, sizeof *a.high);
    a.weight = mem_alloc((size_t)to, sizeof *a.weight);
    for (int64_t i = 0; i < to; i++) {
        double at = ((double)i + 0.5) * (double)side / (double)to - 0.5;
        if (at < 0) at = 0;
        int64_t low = (int64_t)at, high = low + 1 < side ? low + 1 : low;
        a.low[i] = (int32_t)low;
        a.high[i] = (int32_t)high;
        a.weight[i] = (float)(at - (double)low);
        read[low] = true;
        if (a.weight[i] > 0) read[high] = true;
        if (!(a.weight[i] > 0)) a.high[i] = (int32_t)low;
    }
    for (int64_t i = 0; i < side; i++) {
        if (!read[i] && !whole) continue;
        place[i] = (int32_t)a.count;
        a.wanted[a.count++] = (int32_t)i;
    }
    for (int64_t i = 0; i < to; i++) a.low[i] = place[a.low[i]], a.high[i] = place[a.high[i]];
    free(place);
    free(read);
    return a;
}

static void axis_close(struct sam2_axis *a)
{
    free(a->wanted);
    free(a->low);
    free(a->high);
    free(a->weight);
    *a = (struct sam2_axis){0};
}

/* Along an axis: cells that have wanted pixels at place `fine` of 2, and those pixels at place `finest` of these. */
struct along {
    int64_t cells, pixels[2];
    int32_t *cell;      /* [cells] */
    int32_t *pixel[2];  /* [pixels] index among the wanted */
    int32_t *within[2]; /* [pixels] index among the cells */
};

static struct along along_open(const struct sam2_axis *a, int fine)
{
    struct along l = {.cell = mem_alloc((size_t)a->count, sizeof *l.cell)};
    for (int i = 0; i < 2; i++) {
        l.pixel[i] = mem_alloc((size_t)a->count, sizeof *l.pixel[i]);
        l.within[i] = mem_alloc((size_t)a->count, sizeof *l.within[i]);
    }
    for (int64_t i = 0; i < a->count; i++) {
        int32_t pixel = a->wanted[i], cell = pixel / SAM2_FACTOR, finest = pixel % 2;
        if (pixel / 2 % 2 != fine) continue;
        if (!l.cells || l.cell[l.cells - 1] != cell) l.cell[l.cells++] = cell;
        l.pixel[finest][l.pixels[finest]] = (int32_t)i;
        l.within[finest][l.pixels[finest]++] = (int32_t)l.cells - 1;
    }
    return l;
}

static void along_close(struct along *l)
{
    free(l->cell);
    for (int i = 0; i < 2; i++) {
        free(l->pixel[i]);
        free(l->within[i]);
    }
}

/* Takes its arrays from *at onwards. */
static void place_cells(struct sam2_upscale *u, int place, const struct along *y, const struct along *x, int32_t **at)
{
    struct sam2_cells *c = &u->cells[place];
    int64_t side = u->side, area = side * side;
    *c = (struct sam2_cells){.count = y->cells * x->cells, .all = y->cells * x->cells == area, .rows = *at};
    c->fine = c->rows + u->most * c->count;
    *at = c->fine + c->count;
    for (int64_t i = 0; i < c->count; i++) {
        int64_t cy = y->cell[i / x->cells], cx = x->cell[i % x->cells];
        for (int64_t n = 0; n < u->most; n++) c->rows[n * c->count + i] = (int32_t)(n * area + cy * side + cx);
        c->fine[i] = (int32_t)((2 * cy + place / 2) * 2 * side + 2 * cx + place % 2);
    }
    for (int k = 0; k < SAM2_PLACES; k++) {
        struct sam2_pixels *p = &c->pixels[k];
        int64_t across = x->pixels[k % 2], wide = SAM2_FACTOR * side;
        *p = (struct sam2_pixels){.count = y->pixels[k / 2] * across, .of = *at};
        p->fine = p->of + u->most * p->count;
        p->to = p->fine + p->count;
        *at = p->to + p->count;
        for (int64_t i = 0; i < p->count; i++) {
            int32_t py = y->pixel[k / 2][i / across], px = x->pixel[k % 2][i % across];
            int64_t of = y->within[k / 2][i / across] * x->cells + x->within[k % 2][i % across];
            for (int64_t n = 0; n < u->most; n++) p->of[n * p->count + i] = (int32_t)(n * c->count + of);
            p->fine[i] = (int32_t)(u->axis.wanted[py] * wide + u->axis.wanted[px]);
            p->to[i] = (int32_t)(py * u->axis.count + px);
        }
    }
}

/* Arrays of host memory -> where they lie on the device. */
static void move_arrays(struct sam2_upscale *u)
{
    for (int i = 0; i < SAM2_PLACES; i++) {
        struct sam2_cells *c = &u->cells[i];
        c->rows = u->block + (c->rows - u->host);
        c->fine = u->block + (c->fine - u->host);
        for (int k = 0; k < SAM2_PLACES; k++) {
            c->pixels[k].of = u->block + (c->pixels[k].of - u->host);
            c->pixels[k].fine = u->block + (c->pixels[k].fine - u->host);
        }
    }
}

void sam2_upscale_close(struct sam2_upscale *u, struct device *device)
{
    device->kernels->unmap(device, u->block, u->bytes);
    free(u->host);
    axis_close(&u->axis);
    u->block = u->host = NULL;
}

void sam2_upscale_aim(struct sam2_upscale *u, struct device *device, int64_t to, int64_t most, bool whole)
{
    int64_t side = SAM2_FACTOR * u->side;
    whole = whole || to == side;
    if (u->block && u->axis.to == to && u->most == most && u->whole == whole) return;
    sam2_upscale_close(u, device);
    u->axis = axis_open(side, to, whole);
    u->most = most;
    u->whole = whole;
    struct along along[2] = {along_open(&u->axis, 0), along_open(&u->axis, 1)};
    int64_t cells = (along[0].cells + along[1].cells) * (along[0].cells + along[1].cells),
            pixels = u->axis.count * u->axis.count;
    u->bytes = (size_t)(cells * (most + 1) + pixels * (most + 2)) * sizeof *u->host;
    int32_t *at = u->host = mem_alloc(u->bytes, 1);
    for (int i = 0; i < SAM2_PLACES; i++) place_cells(u, i, &along[i / 2], &along[i % 2], &at);
    for (int i = 0; i < 2; i++) along_close(&along[i]);
    u->block = device->kernels->map(device, u->bytes);
    device->kernels->upload(device, u->block, u->host, u->bytes);
    device->kernels->wait(device);
    move_arrays(u);
}

/* --- making them --- */

static struct tensor *layer(struct tape *t, struct tensor *x, struct tensor *weight, struct tensor *bias)
{
    return op_linear(t, x, (struct linear){.weight = weight, .bias = bias});
}

/* x of each prompt + the rows of what all share. */
static struct tensor *add_shared(struct tape *t, struct tensor *x, struct tensor *shared, const int32_t *rows,
                                 int64_t count, int64_t prompts)
{
    struct extent line = {1, count};
    return op_tokens(t, x, NULL, op_gather(t, shared, rows, count), line, line, NULL, prompts);
}

/* The logits of one group of pixels, to their places. */
static void put_pixels(struct tape *t, const struct sam2_pixels *p, int64_t n, int64_t wanted, struct tensor *y,
                       float *logits)
{
    float *got = mem_alloc((size_t)(n * p->count * SAM2_MASKS), sizeof *got);
    t->device->kernels->download(t->device, got, y->data, (size_t)(n * p->count * SAM2_MASKS) * sizeof *got);
#pragma omp parallel for num_threads(t->device->threads) schedule(static)
    for (int64_t prompt = 0; prompt < n; prompt++)
        for (int64_t i = 0; i < p->count; i++)
            for (int m = 0; m < SAM2_MASKS; m++)
                logits[(prompt * SAM2_MASKS + m) * wanted + p->to[i]] = got[(prompt * p->count + i) * SAM2_MASKS + m];
    free(got);
}

void sam2_upscale(struct tape *t, const struct sam2_upscale *u, const struct sam2_decoded *d, int64_t n,
                  struct tensor *fine1, struct tensor *fine0, float *logits)
{
    for (int i = 0; i < SAM2_PLACES; i++) {
        const struct sam2_cells *c = &u->cells[i];
        if (!c->count) continue;
        struct tape_branch branch = tape_branch(t);
        tape_open_segment(t);
        struct tensor *x = c->all ? d->map : op_gather(t, d->map, c->rows, n * c->count);
        x = add_shared(t, layer(t, x, u->first[i], u->first_bias), fine1, c->fine, c->count, n);
        x = op_gelu(t, op_norm_eps(t, x, u->norm[0], u->norm[1], 1e-6f));
        x = tape_close_segment(t, NULL, x);
        for (int k = 0; k < SAM2_PLACES; k++) {
            const struct sam2_pixels *p = &c->pixels[k];
            if (!p->count) continue;
            struct tape_branch inner = tape_branch(t);
            tape_open_segment(t);
            struct tensor *y = p->count == c->count ? x : op_gather(t, x, p->of, n * p->count);
            y = add_shared(t, layer(t, y, u->second[k], u->second_bias), fine0, p->fine, p->count, n);
            y = tape_close_segment(t, NULL, op_prompt_products(t, op_gelu(t, y), d->masks, n));
            put_pixels(t, p, n, u->axis.count * u->axis.count, y, logits);
            tape_join(t, inner);
        }
        tape_join(t, branch);
    }
}

void sam2_upscale_resize(const struct sam2_upscale *u, const float *wanted, float *out)
{
    const struct sam2_axis *a = &u->axis;
    for (int64_t y = 0; y < a->to; y++) {
        const float *upper = wanted + a->low[y] * a->count, *lower = wanted + a->high[y] * a->count;
        float down = a->weight[y];
        for (int64_t x = 0; x < a->to; x++) {
            float w = a->weight[x];
            out[y * a->to + x] = (1 - down) * ((1 - w) * upper[a->low[x]] + w * upper[a->high[x]]) +
                                 down * ((1 - w) * lower[a->low[x]] + w * lower[a->high[x]]);
        }
    }
}
