/* Patches of one pixel. */
#include "models/pixels.h"

#include "ops/ops.h"

enum { CELLS = PIXELS_SIZE * PIXELS_SIZE };

static struct layer_shape pixels_shape(const void *self, int64_t layer)
{
    (void)self, (void)layer;
    return (struct layer_shape){.width = 3, .stride = 1};
}

static int64_t pixels_columns(const void *self, int64_t layer, enum feature feature)
{
    (void)self, (void)layer;
    if (feature == FEATURE_PAIRS) return 0;
    return feature == FEATURE_TOKENS || feature == FEATURE_GRID ? 3 : 3 * CELLS;
}

static void pixels_forward(void *self, struct tape *t, const struct pictures *p, const struct taps *taps)
{
    (void)self;
    tape_open_segment(t);
    struct tensor *rows = op_patches(t, p->pixels, p->count, p->size, 1);
    tape_tap(t, taps, 0, tape_close_segment(t, NULL, rows));
}

/* The rows of a picture lie one behind the other: they are its feature. */
static struct tensor *pixels_feature(void *self, struct tape *t, struct tensor *rows, const struct pictures *p,
                                     enum feature feature)
{
    (void)self;
    if (feature == FEATURE_TOKENS || feature == FEATURE_GRID) return rows;
    struct tensor *whole = arena_take(&t->notes, 1, sizeof *whole);
    *whole = *rows;
    whole->rows = p->count;
    whole->cols = 3 * CELLS;
    return whole;
}

struct encoder encoder_of_pixels(void)
{
    return (struct encoder){.size = PIXELS_SIZE,
                            .shape = pixels_shape,
                            .columns = pixels_columns,
                            .forward = pixels_forward,
                            .feature = pixels_feature};
}
