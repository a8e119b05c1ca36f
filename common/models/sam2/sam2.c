/* The picture: opening, trunk, neck. */
#include "models/sam2/sam2.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "models/sam2/files.h"
#include "models/sam2/layer.h"
#include "models/sam2/picture.h"

enum { MAP, KEYS, VALUES, SEEN, FINE0, FINE1, HELD };

/* Bytes of the maps of a tile of prompts. */
static const size_t tile_bytes = (size_t)64 << 20;

static void add_parameters(struct sam2 *s, const struct sam2_widths *w)
{
    struct parameters *p = &s->parameters;
    const struct sam2_config *c = &s->config;
    hiera_register(&s->hiera, p, c);
    layer_register(p, s->coarse, "image_encoder.neck.convs.0", "conv", w->channels, 8 * c->width);
    layer_register(p, s->map, "", "map", w->channels, 4 * c->width);
    layer_register(p, s->fine[1], "", "fine1", w->channels / 4, 2 * c->width);
    layer_register(p, s->fine[0], "", "fine0", w->channels / 8, c->width);
    parameters_add(p, "points", 2, (int64_t[]){2, w->channels});
    parameters_add(p, "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", 2,
                   (int64_t[]){2, w->channels / 2});
    sam2_decoder_register(&s->decoder, p, c, *w);
    sam2_upscale_register(&s->upscale, p, c, w->channels);
}

static int load(struct sam2 *s, const char *path, struct error *error)
{
    struct safetensors file;
    struct sam2_widths widths;
    if (tensors_open(&file, path, error) < 0) return -1;
    int rc = sam2_files_tell(&file, &s->config, &widths, error);
    if (rc == 0) {
        add_parameters(s, &widths);
        parameters_allocate(&s->parameters);
        rc = sam2_files_load(&s->parameters, &file, &s->config, &widths, error);
        if (rc < 0) parameters_free(&s->parameters), free(s->hiera.blocks);
    }
    safetensors_close(&file);
    return rc;
}

static void hold(struct sam2 *s, int which, int64_t rows, int64_t cols)
{
    s->held_bytes[which] = (size_t)(rows * cols) * s->device->kernels->real_bytes;
    s->held[which] = (struct tensor){.rows = rows,
                                     .cols = cols,
                                     .data = s->device->kernels->map(s->device, s->held_bytes[which]),
                                     .segment = -1,
                                     .slot = -1};
}

static void open_nearest(struct sam2 *s)
{
    int64_t rows = s->decoder.rows, side = s->config.size / 16;
    size_t bytes = (size_t)rows * sizeof *s->nearest;
    int32_t *host = mem_alloc(bytes, 1);
    for (int64_t i = 0; i < rows; i++) host[i] = (int32_t)(i / side / 2 * (side / 2) + i % side / 2);
    s->nearest = s->device->kernels->map(s->device, bytes);
    s->device->kernels->upload(s->device, s->nearest, host, bytes);
    s->device->kernels->wait(s->device);
    free(host);
}

int sam2_open(struct sam2 *s, struct device *device, const char *path, const struct sam2_config *config,
              struct error *error)
{
    *s = (struct sam2){.device = device};
    if (config) s->config = *config;
    if (load(s, path, error) < 0) return -1;
    const struct sam2_widths *w = &s->decoder.widths;
    int64_t rows = s->decoder.rows, most = (int64_t)(tile_bytes / ((size_t)(rows * w->channels) * sizeof(float)));
    parameters_place(&s->parameters, device, false);
    parameters_push(&s->parameters);
    s->points = parameters_find(&s->parameters, "points")->values;
    s->gaussian =
        parameters_find(&s->parameters, "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix")->values;
    hiera_open(&s->hiera, device);
    s->tile = most < 1 ? 1 : most > 256 ? 256 : most;
    sam2_decoder_open(&s->decoder, device, s->tile);
    hold(s, MAP, rows, w->channels);
    hold(s, KEYS, rows, w->inner);
    hold(s, VALUES, rows, w->inner);
    hold(s, SEEN, rows, w->inner);
    hold(s, FINE0, 16 * rows, w->channels / 8);
    hold(s, FINE1, 4 * rows, w->channels / 4);
    s->first = (struct sam2_first){&s->held[MAP], &s->held[KEYS], &s->held[VALUES], &s->held[SEEN]};
    open_nearest(s);
    return 0;
}

void sam2_close(struct sam2 *s)
{
    struct device *d = s->device;
    for (int i = 0; i < HELD; i++) d->kernels->unmap(d, s->held[i].data, s->held_bytes[i]);
    d->kernels->unmap(d, s->nearest, (size_t)s->decoder.rows * sizeof *s->nearest);
    sam2_upscale_close(&s->upscale, d);
    sam2_decoder_close(&s->decoder, d);
    hiera_close(&s->hiera, d);
    parameters_free(&s->parameters);
    *s = (struct sam2){0};
}

static void keep(struct sam2 *s, int which, const struct tensor *x)
{
    CHECK(tensor_count(x) == tensor_count(&s->held[which]), "%ld elements held as %d", (long)tensor_count(x), which);
    s->device->kernels->copy(s->device, s->held[which].data, x->data, s->held_bytes[which]);
}

/* The neck's levels, of which the coarsest is added to the map and the finer two go to the upscaling. */
static void take_stage(void *context, struct tape *t, int stage, struct tensor *map)
{
    struct sam2 *s = context;
    struct tensor *const *own = stage < 2 ? s->fine[stage] : stage == 2 ? s->map : s->coarse;
    tape_open_segment(t);
    struct tensor *x = layer_forward(t, map, own, NULL);
    if (stage == 3) x = op_branch(t, &s->held[MAP], op_gather(t, x, s->nearest, s->decoder.rows), NULL, NULL, 1);
    tape_close_segment(t, NULL, x);
    keep(s, stage < 2 ? FINE0 + stage : MAP, x);
}

/* Floats of host memory as the device's real; *bytes to unmap. */
static void *bring_real(struct device *d, const float *host, int64_t count, size_t *bytes)
{
    const struct kernels *k = d->kernels;
    size_t floats = (size_t)count * sizeof *host;
    *bytes = (size_t)count * k->real_bytes;
    void *there = k->map(d, floats), *real = there;
    k->upload(d, there, host, floats);
    if (*bytes != floats) {
        real = k->map(d, *bytes);
        k->round(d, real, there, count);
    }
    k->wait(d);
    if (real != there) k->unmap(d, there, floats);
    return real;
}

void sam2_embed(struct sam2 *s, struct tape *t, const uint8_t *pixels, struct extent size)
{
    int64_t area = s->config.size * s->config.size;
    size_t bytes;
    float *host = mem_alloc((size_t)(3 * area), sizeof *host);
    sam2_picture(pixels, size, s->config.size, host, s->device->threads);
    struct tensor input = {.rows = area, .cols = 3, .segment = -1, .slot = -1};
    input.data = bring_real(s->device, host, 3 * area, &bytes);
    free(host);
    hiera_forward(t, &s->hiera, &input, take_stage, s);
    s->device->kernels->wait(s->device);
    s->device->kernels->unmap(s->device, input.data, bytes);
    struct tape_branch branch = tape_branch(t);
    tape_open_segment(t);
    struct sam2_first first = sam2_first_layer(t, &s->decoder, &s->held[MAP]);
    tape_close_segment(t, NULL, first.seen);
    keep(s, KEYS, first.k);
    keep(s, VALUES, first.v);
    keep(s, SEEN, first.seen);
    tape_join(t, branch);
    s->embedded = true;
}

void sam2_grid(const struct sam2 *s, int64_t n, struct sam2_point *points)
{
    float step = (float)s->config.size / (float)n;
    for (int64_t i = 0; i < n * n; i++)
        points[i] = (struct sam2_point){((float)(i % n) + 0.5f) * step, ((float)(i / n) + 0.5f) * step, false};
}

/* --- prompts --- */

/* Where a point is, and which side of the mask's edge it is on: [channels]. */
static void encode_point(const struct sam2 *s, const struct sam2_point *point, float *out)
{
    int64_t half = s->decoder.widths.channels / 2;
    double x = 2 * ((double)point->x + 0.5) / (double)s->config.size - 1,
           y = 2 * ((double)point->y + 0.5) / (double)s->config.size - 1;
    const float *side = s->points + (point->outside ? 0 : 2 * half);
    for (int64_t k = 0; k < half; k++) {
        double angle = 2 * M_PI * (x * (double)s->gaussian[k] + y * (double)s->gaussian[half + k]);
        out[k] = (float)sin(angle) + side[k];
        out[half + k] = (float)cos(angle) + side[half + k];
    }
}

static struct tensor bring_points(const struct sam2 *s, const struct sam2_point *points, int64_t count, size_t *bytes)
{
    int64_t channels = s->decoder.widths.channels;
    float *host = mem_alloc((size_t)(count * channels), sizeof *host);
    for (int64_t i = 0; i < count; i++) encode_point(s, &points[i], host + i * channels);
    struct tensor x = {.rows = count, .cols = channels, .segment = -1, .slot = -1};
    x.data = bring_real(s->device, host, count * channels, bytes);
    free(host);
    return x;
}

/* Is a mask much the same a little above and below 0? */
static bool stable(const float *logits, int64_t count)
{
    int64_t inner = 0, outer = 0;
    for (int64_t i = 0; i < count; i++) inner += logits[i] > 0.05f, outer += logits[i] > -0.05f;
    return !outer || (double)inner >= 0.98 * (double)outer;
}

static int best(const float *quality)
{
    int top = 1;
    for (int m = 2; m < SAM2_MASKS; m++)
        if (quality[m] > quality[top]) top = m;
    return top;
}

/* The masks of one point, from its logits [4, wanted]. */
static void choose(const struct sam2 *s, const float *logits, const float *quality, enum sam2_choice choice,
                   float *rows, float *qualities)
{
    int64_t wanted = s->upscale.axis.count * s->upscale.axis.count, area = s->upscale.axis.to * s->upscale.axis.to;
    int first = choice == SAM2_ALL                                ? 1
                : choice == SAM2_BEST                             ? best(quality)
                : choice == SAM2_SINGLE || stable(logits, wanted) ? 0
                                                                  : best(quality);
    for (int i = 0; i < sam2_masks_each(choice); i++) {
        sam2_upscale_resize(&s->upscale, logits + (first + i) * wanted, rows + i * area);
        if (qualities) qualities[i] = 1 / (1 + expf(-quality[first + i]));
    }
}

void sam2_masks(struct sam2 *s, struct tape *t, const struct sam2_point *points, int64_t count, enum sam2_choice choice,
                int64_t to, float *rows, float *qualities)
{
    CHECK(s->embedded && !t->recording && s->tile <= s->decoder.most, "no picture was taken up");
    size_t bytes, real = s->device->kernels->real_bytes;
    sam2_upscale_aim(&s->upscale, s->device, to, s->tile, choice == SAM2_STABLE);
    struct tensor all = bring_points(s, points, count, &bytes);
    int64_t wanted = s->upscale.axis.count * s->upscale.axis.count, each = sam2_masks_each(choice);
    float *logits = mem_alloc((size_t)(s->tile * SAM2_MASKS * wanted), sizeof *logits);
    float *quality = mem_alloc((size_t)(s->tile * SAM2_MASKS), sizeof *quality);
    for (int64_t p = 0; p < count; p += s->tile) {
        int64_t n = count - p < s->tile ? count - p : s->tile;
        struct tensor some = all;
        some.rows = n;
        some.data = (char *)all.data + (size_t)(p * all.cols) * real;
        struct tape_branch branch = tape_branch(t);
        tape_open_segment(t);
        struct sam2_decoded decoded = sam2_decode(t, &s->decoder, &s->first, &some);
        tape_close_segment(t, NULL, decoded.map);
        s->device->kernels->download(s->device, quality, decoded.qualities->data,
                                     (size_t)(n * SAM2_MASKS) * sizeof *quality);
        sam2_upscale(t, &s->upscale, &decoded, n, &s->held[FINE1], &s->held[FINE0], logits);
        tape_join(t, branch);
#pragma omp parallel for num_threads(s->device->threads) schedule(static)
        for (int64_t i = 0; i < n; i++)
            choose(s, logits + i * SAM2_MASKS * wanted, quality + i * SAM2_MASKS, choice,
                   rows + (p + i) * each * to * to, qualities ? qualities + (p + i) * each : NULL);
    }
    s->device->kernels->unmap(s->device, all.data, bytes);
    free(logits);
    free(quality);
}
