/* Segmentation: classes of pixels.  Logits of windows are averaged where they overlap, seen at the size of the truth,
 * and the largest is the class (of equal ones the first); counts are those of `score --metric miou`. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/str.h"
#include "data/mask.h"
#include "data/texts.h"
#include "evaluator/heads/dense.h"

/* --- options, truth --- */

static int count_lines(const char *folder, int64_t *count, struct error *error)
{
    char *path = fs_join(folder, "classes.txt"), **lines;
    int rc = 0;
    if (!fs_exists(path))
        rc = error_set(error, ERROR_USAGE, "--classes: how many are there? (%s is not there to count its lines)", path);
    else if ((rc = texts_read(path, true, &lines, count, error)) == 0)
        texts_free(lines, *count);
    free(path);
    return rc;
}

static int check(struct heads *h, struct error *error)
{
    struct dense *x = dense_of(h);
    struct dense_settings *c = (void *)(h + 1);
    if (!c->classes && count_lines(h->settings.train.train_data.items[0], &c->classes, error) < 0) return -1;
    if (c->classes >= DENSE_NONE) return error_set(error, ERROR_USAGE, "--classes %ld: too many", (long)c->classes);
    if (c->predictions && c->classes + c->reduce > 256)
        return error_set(error, ERROR_USAGE, "--predictions: maps of 8 bits do not hold %ld classes", (long)c->classes);
    if (!c->short_side) c->short_side = x->size;
    if (!c->stride) c->stride = (2 * x->size + 1) / 3;
    if (c->short_side < x->size)
        return error_set(error, ERROR_USAGE, "--short-side %ld: less than the window, %ld pixels", (long)c->short_side,
                         (long)x->size);
    if (c->stride > x->size)
        return error_set(error, ERROR_USAGE, "--stride %ld: windows of %ld pixels would leave gaps", (long)c->stride,
                         (long)x->size);
    h->outputs = c->classes;
    return 0;
}

static int read(const struct dense *x, const struct dense_pair *pair, void **targets, struct error *error)
{
    const struct dense_settings *c = x->settings;
    struct mask mask;
    if (mask_read(pair->truth, x->max_pixels, &mask, error) < 0) return -1;
    for (int64_t i = 0; i < (int64_t)mask.width * mask.height; i++) {
        int64_t value = mask.pixels[i], class = value - c->reduce;
        bool none = value == c->ignored || class < 0;
        if (!none && class >= c->classes) {
            error_set(error, ERROR_FAILED, "%s: %ld at row %ld, column %ld is none of the %ld classes%s", pair->truth,
                      (long)value, (long)(i / mask.width), (long)(i % mask.width), (long)c->classes,
                      c->reduce ? "" : "; where 1 is the first of them, give --reduce-zero-label");
            mask_free(&mask);
            return -1;
        }
        mask.pixels[i] = (uint16_t)(none ? DENSE_NONE : class);
    }
    *targets = mask.pixels;
    return 0;
}

/* --- one map of many windows --- */

/* Where pixel i of `to` lies among `from`: the lower neighbour, the higher, and the weight of that. */
static int64_t between(int64_t i, int64_t to, int64_t from, int64_t *high, float *weight)
{
    double at = fmax(((double)i + .5) * (double)from / (double)to - .5, 0);
    int64_t low = (int64_t)at < from - 1 ? (int64_t)at : from - 1;
    *high = low + 1 < from ? low + 1 : low;
    *weight = (float)(at - (double)low);
    return low;
}

static void mix(float *out, const float *a, const float *b, float weight, int64_t count)
{
    for (int64_t k = 0; k < count; k++) out[k] = (1 - weight) * a[k] + weight * b[k];
}

struct merge {
    const struct dense *x;
    const struct dense_output *o;
    float *line;    /* [grid width, columns] of a window */
    float *rows[2]; /* [canvas width, columns] */
    int64_t at[2];  /* which they are, -1: none yet */
    float *covered; /* [canvas width] windows over a pixel */
};

/* A row of the canvas: the mean over the windows that cover it. */
static void merge_row(const struct merge *m, int64_t y, float *row)
{
    const struct dense_output *o = m->o;
    int64_t size = m->x->size, c = o->columns, cells = extent_area(o->grid) * c, right;
    memset(row, 0, (size_t)(o->views.canvas.width * c) * sizeof *row);
    memset(m->covered, 0, (size_t)o->views.canvas.width * sizeof *m->covered);
    for (int64_t view = 0; view < o->views.rows * o->views.columns; view++) {
        struct extent corner = dense_corner(m->x, &o->views, view);
        int64_t below;
        float weight;
        if (y < corner.height || y >= corner.height + size) continue;
        int64_t above = between(y - corner.height, size, o->grid.height, &below, &weight);
        const float *from = o->data + view * cells;
        mix(m->line, from + above * o->grid.width * c, from + below * o->grid.width * c, weight, o->grid.width * c);
        for (int64_t i = 0; i < size; i++) {
            int64_t left = between(i, size, o->grid.width, &right, &weight);
            const float *a = m->line + left * c, *b = m->line + right * c;
            float *to = row + (corner.width + i) * c;
            for (int64_t k = 0; k < c; k++) to[k] += (1 - weight) * a[k] + weight * b[k];
            m->covered[corner.width + i]++;
        }
    }
    for (int64_t i = 0; i < o->views.canvas.width; i++) {
        float share = 1 / m->covered[i];
        for (int64_t k = 0; k < c && m->covered[i] > 1; k++) row[i * c + k] *= share;
    }
}

static const float *canvas_row(struct merge *m, int64_t y)
{
    int slot = (int)(y & 1);
    if (m->at[slot] != y) merge_row(m, y, m->rows[slot]);
    m->at[slot] = y;
    return m->rows[slot];
}

/* The class of each pixel of a picture of this size, the caller frees; NULL: a logit is not finite. */
static uint16_t *label(const struct dense *x, struct extent size, const struct dense_output *o)
{
    int64_t width = o->views.canvas.width, c = o->columns, below, right;
    uint16_t *out = mem_alloc((size_t)extent_area(size), sizeof *out);
    float *space = mem_alloc((size_t)((o->grid.width + 3 * width + 1) * c + width), sizeof *space), down, across;
    float *mixed = space + o->grid.width * c, *pixel = mixed + width * c;
    struct merge m = {x, o, space, {pixel + c, pixel + c + width * c}, {-1, -1}, pixel + c + 2 * width * c};
    bool finite = true;
    for (int64_t y = 0; y < size.height; y++) {
        int64_t above = between(y, size.height, o->views.canvas.height, &below, &down);
        const float *first = canvas_row(&m, above), *second = canvas_row(&m, below);
        mix(mixed, first, second, down, width * c);
        for (int64_t i = 0; i < size.width; i++) {
            int64_t left = between(i, size.width, width, &right, &across), best = 0;
            mix(pixel, mixed + left * c, mixed + right * c, across, c);
            for (int64_t k = 0; k < c; k++) {
                finite = finite && isfinite(pixel[k]);
                if (pixel[k] > pixel[best]) best = k;
            }
            out[y * size.width + i] = (uint16_t)best;
        }
    }
    free(space);
    if (finite) return out;
    free(out);
    return NULL;
}

static uint16_t *label_or_fail(const struct dense *x, const struct dense_pair *pair, const struct dense_output *o,
                               struct error *error)
{
    uint16_t *classes = label(x, pair->size, o);
    if (!classes)
        error_set(error, ERROR_FAILED,
                  "%s: what a head says of it is not finite: the encoder's weights are damaged, or --lr is too high",
                  pair->picture);
    return classes;
}

/* --- counts --- */

static void open(struct dense *x)
{
    x->counts = mem_zalloc((size_t)(x->heads * x->settings->classes), sizeof *x->counts);
}

static void close(struct dense *x)
{
    free(x->counts);
    x->counts = NULL;
}

static int judge(struct dense *x, int64_t place, const struct dense_pair *pair, const struct dense_output *outputs,
                 struct error *error)
{
    int64_t classes = x->settings->classes, area = extent_area(pair->size);
    struct class_counts *counts = mem_zalloc((size_t)(x->heads * classes), sizeof *counts);
    void *targets = NULL;
    int rc = read(x, pair, &targets, error);
    (void)place;
    for (int64_t head = 0; head < x->heads && rc == 0; head++) {
        const uint16_t *truth = targets;
        uint16_t *found = NULL;
        if (outputs[head].data && !(found = label_or_fail(x, pair, &outputs[head], error))) rc = -1;
        for (int64_t i = 0; i < area && rc == 0; i++)
            class_counts_add(counts + head * classes, truth[i] == DENSE_NONE ? NO_CLASS : truth[i],
                             found ? found[i] : x->majority);
        free(found);
    }
    free(targets);
#pragma omp critical(dense_counts)
    for (int64_t i = 0; i < x->heads * classes; i++) {
        x->counts[i].common += counts[i].common;
        x->counts[i].truth += counts[i].truth;
        x->counts[i].predicted += counts[i].predicted;
    }
    free(counts);
    return rc;
}

static void sum(struct dense *x, const struct world *world)
{
    heads_sum_over_ranks(world, &x->counts->common,
                         x->heads * x->settings->classes * (int64_t)(sizeof *x->counts / sizeof(int64_t)));
}

static json_t *figures(const struct dense *x, int64_t head)
{
    json_t *out = json_object();
    class_counts_figures(x->counts + head * x->settings->classes, x->settings->classes, out);
    return out;
}

struct census {
    struct dense *x;
    int64_t *pixels; /* [classes] */
};

static int take_census(void *context, const struct dense_pair *pair, struct error *error)
{
    const struct census *s = context;
    void *targets;
    if (read(s->x, pair, &targets, error) < 0) return -1;
    for (int64_t i = 0; i < extent_area(pair->size); i++)
        if (((uint16_t *)targets)[i] != DENSE_NONE) s->pixels[((uint16_t *)targets)[i]]++;
    free(targets);
    return 0;
}

/* The class most common in training, of equal ones the first. */
static int prior(struct heads *h, struct error *error)
{
    struct dense *x = dense_of(h);
    struct census s = {x, mem_zalloc((size_t)x->settings->classes, sizeof *s.pixels)};
    int rc = dense_each_taught(h, take_census, &s, error);
    if (rc == 0) heads_sum_over_ranks(h->run->world, s.pixels, x->settings->classes);
    x->majority = 0;
    for (int64_t k = 0; k < x->settings->classes; k++)
        if (s.pixels[k] > s.pixels[x->majority]) x->majority = k;
    free(s.pixels);
    return rc;
}

static int write(const struct dense *x, const struct dense_pair *pair, const struct dense_output *output,
                 const char *folder, struct error *error)
{
    struct mask mask = {.width = (int)pair->size.width, .height = (int)pair->size.height};
    struct str path = {0};
    if (!(mask.pixels = label_or_fail(x, pair, output, error))) return -1;
    for (int64_t i = 0; i < extent_area(pair->size) && x->settings->reduce; i++) mask.pixels[i]++;
    str_printf(&path, "%s/%s.png", folder, pair->name);
    int rc = mask_write(path.data, &mask, error);
    mask_free(&mask);
    str_free(&path);
    return rc;
}

static void describe(const struct dense *x, json_t *metrics)
{
    json_object_set_new(metrics, "ignore", json_integer(x->settings->ignored));
    json_object_set_new(metrics, "reduce_zero_label", json_boolean(x->settings->reduce));
}

static const uint16_t none = DENSE_NONE;
const struct dense_task dense_labels = {.headline = "mIoU",
                                        .chance_name = "majority class",
                                        .target_bytes = sizeof(uint16_t),
                                        .none = &none,
                                        .list = dense_list_ade,
                                        .check = check,
                                        .read = read,
                                        .open = open,
                                        .close = close,
                                        .judge = judge,
                                        .sum = sum,
                                        .figures = figures,
                                        .prior = prior,
                                        .write = write,
                                        .describe = describe};
