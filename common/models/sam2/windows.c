/* Where pixels of windows lie. */
#include "models/sam2/windows.h"

#include <stdlib.h>

#include "base/memory.h"

enum { TILE_ROWS = 4096 };

int64_t windows_of_tile(const struct windows *w, int64_t n)
{
    int64_t left = w->across * w->across - n * w->each;
    return left < w->each ? left : w->each;
}

/* Fill in host arrays of the layout of w. */
static void lay_out(struct windows *w, int64_t side, int32_t *rows, int32_t *slots, int32_t *taken, int32_t *starts)
{
    int64_t area = w->window * w->window, at = 0;
    for (int64_t n = 0; n < w->across * w->across; n++) {
        if (n % w->each == 0) w->first[n / w->each] = at;
        for (int64_t k = 0; k < area; k++) {
            int64_t y = n / w->across * w->window + k / w->window, x = n % w->across * w->window + k % w->window;
            bool inside = y < side && x < side;
            slots[n * area + k] = inside ? (int32_t)(at - w->first[n / w->each]) : -1;
            if (!inside) continue;
            rows[at] = (int32_t)(y * side + x);
            taken[at++] = (int32_t)(n % w->each * area + k);
        }
    }
    w->first[w->tiles] = at;
    for (int64_t i = 0; i <= w->each; i++) starts[i] = (int32_t)(i * area);
}

void windows_open(struct windows *w, struct device *device, int64_t side, int64_t window, int64_t each)
{
    int64_t across = (side + window - 1) / window, all = across * across, area = window * window;
    if (!each) each = TILE_ROWS / area > 0 ? TILE_ROWS / area : 1;
    if (each > all) each = all;
    *w = (struct windows){.window = window,
                          .across = across,
                          .pixels = side * side,
                          .each = each,
                          .tiles = (all + each - 1) / each,
                          .padded = across * window != side};
    w->bytes = (size_t)(2 * w->pixels + all * area + each + 1) * sizeof *w->rows;
    w->first = mem_alloc((size_t)w->tiles + 1, sizeof *w->first);
    int32_t *host = mem_alloc(w->bytes, 1), *slots = host + w->pixels, *taken = slots + all * area,
            *starts = taken + w->pixels;
    lay_out(w, side, host, slots, taken, starts);
    w->rows = device->kernels->map(device, w->bytes);
    w->slots = w->rows + (slots - host);
    w->taken = w->rows + (taken - host);
    w->starts = w->rows + (starts - host);
    device->kernels->upload(device, w->rows, host, w->bytes);
    device->kernels->wait(device);
    free(host);
}

void windows_close(struct windows *w, struct device *device)
{
    device->kernels->unmap(device, w->rows, w->bytes);
    free(w->first);
    *w = (struct windows){0};
}
