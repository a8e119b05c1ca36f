/* Depth: metres of pixels.  The map of a head is that of the whole picture, or the mean of it and that of the mirror
 * image turned back; at the size of the truth, rounded to float as its file has it, it is measured as `score --metric
 * depth` does. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/str.h"
#include "data/npy.h"
#include "evaluator/heads/dense.h"

static int check(struct heads *h, struct error *error)
{
    const struct dense_settings *c = heads_own(h);
    h->outputs = 1;
    if (!(c->min < c->max)) return error_set(error, ERROR_USAGE, "--depth-min %g is not below --depth-max", c->min);
    return 0;
}

static int read_map(const struct dense *x, const struct dense_pair *pair, struct depth_map *map, struct error *error)
{
    if (depth_map_read(map, pair->truth, x->settings->scale, error) < 0) return -1;
    if (strcmp(x->settings->crop, "eigen") || (map->size.height == 480 && map->size.width == 640)) return 0;
    free(map->metres);
    return error_set(error, ERROR_FAILED, "%s: %ld x %ld: --depth-crop eigen is for 640 x 480", pair->truth,
                     (long)map->size.width, (long)map->size.height);
}

static int read(const struct dense *x, const struct dense_pair *pair, void **targets, struct error *error)
{
    struct depth_map map;
    if (read_map(x, pair, &map, error) < 0) return -1;
    float *out = mem_alloc((size_t)extent_area(map.size), sizeof *out);
    for (int64_t i = 0; i < extent_area(map.size); i++) out[i] = (float)map.metres[i];
    free(map.metres);
    *targets = out;
    return 0;
}

/* At the size of a picture, as floats; the caller frees. */
static struct depth_map predict(struct extent size, const struct dense_output *o)
{
    int64_t area = extent_area(o->grid), width = o->grid.width;
    struct depth_map map = {o->grid, mem_alloc((size_t)area, sizeof(double))};
    for (int64_t i = 0; i < area; i++) {
        map.metres[i] = (double)o->data[i];
        if (o->views.columns > 1)
            map.metres[i] = (map.metres[i] + (double)o->data[area + i / width * width + width - 1 - i % width]) / 2;
    }
    struct depth_map out = depth_map_resized(&map, size);
    free(map.metres);
    for (int64_t i = 0; i < extent_area(size); i++) out.metres[i] = (double)(float)out.metres[i];
    return out;
}

static bool is_finite(const struct depth_map *map)
{
    for (int64_t i = 0; i < extent_area(map->size); i++)
        if (!isfinite(map->metres[i])) return false;
    return true;
}

static int not_finite(const struct dense_pair *pair, struct error *error)
{
    return error_set(error, ERROR_FAILED,
                     "%s: what a head says of it is not finite: the encoder's weights are damaged, or --lr is too high",
                     pair->picture);
}

/* --- figures --- */

static void open(struct dense *x)
{
    x->figures = mem_zalloc((size_t)(x->heads * x->pictures), sizeof *x->figures);
}

static void close(struct dense *x)
{
    free(x->figures);
    x->figures = NULL;
}

static int judge(struct dense *x, int64_t place, const struct dense_pair *pair, const struct dense_output *outputs,
                 struct error *error)
{
    const struct dense_settings *c = x->settings;
    struct depth_range range = {c->min, c->max, !strcmp(c->crop, "eigen")};
    struct depth_map truth;
    if (read_map(x, pair, &truth, error) < 0) return -1;
    int rc = 0;
    for (int64_t head = 0; head < x->heads && rc == 0; head++) {
        struct depth_map found =
            outputs[head].data ? predict(truth.size, &outputs[head]) : depth_map_resized(&x->mean, truth.size);
        if (!is_finite(&found))
            rc = not_finite(pair, error);
        else if (!depth_map_measure(&x->figures[head * x->pictures + place], &range, &truth, &found))
            rc = error_set(error, ERROR_FAILED, "%s: no depth between --depth-min and --depth-max: leave it out",
                           pair->truth);
        free(found.metres);
    }
    free(truth.metres);
    return rc;
}

/* A picture is measured by one rank, and zero bits elsewhere: bits add up. */
static void sum(struct dense *x, const struct world *world)
{
    _Static_assert(sizeof *x->figures % sizeof(int64_t) == 0, "figures are doubles");
    int64_t count = x->heads * x->pictures * (int64_t)(sizeof *x->figures / sizeof(int64_t));
    int64_t *bits = mem_alloc((size_t)count, sizeof *bits);
    memcpy(bits, x->figures, (size_t)count * sizeof *bits);
    heads_sum_over_ranks(world, bits, count);
    memcpy(x->figures, bits, (size_t)count * sizeof *bits);
    free(bits);
}

static json_t *figures(const struct dense *x, int64_t head)
{
    const struct depth_figures *of = x->figures + head * x->pictures;
    json_t *out = json_object();
    double n = (double)x->pictures, squares = 0;
    depth_figures_report(of, x->pictures, out);
    double mean = json_real_value(json_object_get(out, "a1"));
    for (int64_t i = 0; i < x->pictures; i++) squares += (of[i].of[DEPTH_A1] - mean) * (of[i].of[DEPTH_A1] - mean);
    if (x->pictures > 1) json_object_set_new(out, "stderr", json_real(sqrt(squares / (n - 1) / n)));
    return out;
}

/* --- the mean of training maps --- */

#define MICRO 1e6 /* sums are whole micrometres, so their order does not matter */

struct survey {
    struct dense *x;
    int64_t *sums, *counts; /* [size, size] */
};

static int take_survey(void *context, const struct dense_pair *pair, struct error *error)
{
    const struct survey *s = context;
    struct depth_map map;
    int64_t size = s->x->size;
    if (read_map(s->x, pair, &map, error) < 0) return -1;
    for (int64_t i = 0; i < size * size; i++) {
        int64_t y = (2 * (i / size) + 1) * map.size.height / (2 * size),
                column = (2 * (i % size) + 1) * map.size.width / (2 * size);
        double metres = map.metres[y * map.size.width + column];
        if (!(metres > s->x->settings->min && metres < s->x->settings->max)) continue;
        s->sums[i] += llround(metres * MICRO);
        s->counts[i]++;
    }
    free(map.metres);
    return 0;
}

static int prior(struct heads *h, struct error *error)
{
    struct dense *x = dense_of(h);
    int64_t area = x->size * x->size, sum = 0, count = 0;
    struct survey s = {x, mem_zalloc((size_t)(2 * area), sizeof *s.sums), NULL};
    s.counts = s.sums + area;
    int rc = dense_each_taught(h, take_survey, &s, error);
    if (rc == 0) heads_sum_over_ranks(h->run->world, s.sums, 2 * area);
    for (int64_t i = 0; i < area; i++) sum += s.sums[i], count += s.counts[i];
    free(x->mean.metres);
    x->mean = (struct depth_map){extent_square(x->size), mem_alloc((size_t)area, sizeof(double))};
    for (int64_t i = 0; i < area; i++) /* where no truth ever was: the mean of all */
        x->mean.metres[i] = s.counts[i] ? (double)s.sums[i] / (double)s.counts[i] / MICRO
                            : count     ? (double)sum / (double)count / MICRO
                                        : x->settings->min;
    free(s.sums);
    return rc;
}

static int write(const struct dense *x, const struct dense_pair *pair, const struct dense_output *output,
                 const char *folder, struct error *error)
{
    struct depth_map map = predict(pair->size, output);
    int64_t area = extent_area(map.size);
    float *metres = mem_alloc((size_t)area, sizeof *metres);
    struct str path = {0};
    (void)x;
    for (int64_t i = 0; i < area; i++) metres[i] = (float)map.metres[i];
    str_printf(&path, "%s/%s.npy", folder, pair->name);
    int rc = npy_write(path.data, metres, map.size.height, map.size.width, error);
    free(map.metres);
    free(metres);
    str_free(&path);
    return rc;
}

static void describe(const struct dense *x, json_t *metrics)
{
    json_object_set_new(metrics, "depth_scale", json_real(x->settings->scale));
}

static const float none = 0;
const struct dense_task dense_depths = {.headline = "a1",
                                        .chance_name = "mean depth map",
                                        .target_bytes = sizeof(float),
                                        .squashed = true,
                                        .none = &none,
                                        .list = dense_list_nyu,
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
