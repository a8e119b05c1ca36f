/* pe-evaluator track: objects followed through videos by the likeness of features (serve/propagation.h), at any layers
 * in one pass, and how well (metrics/davis.h) beside the first mask copied.
 *
 *   rows of a layer, frame after frame of a sequence -> its follower -> soft maps -> a mask -> PNG, J and F
 *
 * The features are a block's output without class token, as it is or through the model's final norm
 * (of the demo's encoder J&F-Mean differs by .001 at most, where its standard error is .07).  Frames are resized as
 * pictures are everywhere here, PIL's antialiased bilinear, where the reference's OpenCV does not antialias: 854 x 480
 * to 832 x 480 differs by .4 of 255 on average on noise as in photographs (1/f).  A sequence is followed by the rank
 * that sees its frames. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/fs.h"
#include "base/str.h"
#include "evaluator/clips.h"
#include "evaluator/layers.h"
#include "evaluator/metrics/davis.h"
#include "evaluator/statistics.h"
#include "evaluator/task.h"
#include "serve/propagation.h"
#include "serve/soft_masks.h"

#define FINAL_EPS 1e-5f /* ops/ops.h */

struct self {
    char *data, *names, *which, *norm, *folder; /* options */
    int64_t short_side;
    struct propagation_settings settings;

    struct session *session;
    struct layer_list layers;
    struct want *wants; /* [layers.count] */
    struct clips clips;
    struct picture_group *groups;   /* [clips.count] */
    int64_t multiple;               /* of the longer side */
    struct davis_sequence *scores;  /* [layers.count + 1, clips.count]; behind the layers: the first mask copied */
    struct propagation **followers; /* [layers.count] of the sequence being followed */
    int64_t current;                /* its number, -1: none yet */
    struct mask first;              /* its first mask */
    uint16_t *predicted;            /* [height, width] of its frames */
    const float *scale, *shift;     /* [width] of the final norm; NULL: none is asked for */
    float *normed;                  /* [cells, width] of a frame */
    bool *mine;                     /* [clips.count] followed by this rank */
};

#define AT(field) offsetof(struct self, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_STRING, "data", AT(data), "!", 0, 0, NULL, "DAVIS folder: JPEGImages/480p/SEQUENCE/*.jpg, Annotations/480p/SEQUENCE/*.png, ImageSets/2017/val.txt"},
    {OPTION_STRING, "sequences", AT(names), NULL, 0, 0, NULL, "file with the names of the sequences, one a line; else val.txt of --data, else all"},
    {OPTION_STRING, "layers", AT(which), "last", 0, 0, NULL, "all (1 to the last), last, or numbers like 1,5,12; 0 is what enters the first block"},
    {OPTION_CHOICE, "norm", AT(norm), "none", 0, 0, "none|final", "features as a block leaves them, or after the model's final norm (trained for the last block), as DINO's script takes them"},
    {OPTION_STRING, "masks", AT(folder), NULL, 0, 0, NULL, "write masks: a folder for SEQUENCE/00000.png ..., in layer-NN/ of it when there are several layers", OPTION_WRITTEN},
    {OPTION_INT, "short-side", AT(short_side), "0", 0, 8192, NULL, "pixels of the shorter side as the encoder sees it; 0: 480, or 448 where the patch does not divide that; the longer one follows, floored to a multiple of 64, or of a patch that does not divide 64"},
    {OPTION_TABLE, .offset = AT(settings), .table = propagation_options},
    {OPTION_TABLE, .table = media_pictures_options},
    {0}};
/* clang-format on */

static enum session_use use(const void *self)
{
    (void)self;
    return USE_PICTURES;
}

/* --- sizes --- */

static int choose_sides(struct self *x, int64_t stride, struct error *error)
{
    enum { DAVIS = 480, OTHER = 448, MULTIPLE = 64 };
    bool given = x->short_side > 0;
    x->multiple = MULTIPLE % stride ? stride : MULTIPLE;
    if (!given) x->short_side = DAVIS % stride ? OTHER : DAVIS;
    if (x->short_side % stride)
        return error_set(error, ERROR_USAGE, "--short-side%s %ld is no multiple of the patch size %ld: give one",
                         given ? "" : " (by default)", (long)x->short_side, (long)stride);
    if (x->short_side < x->multiple)
        return error_set(error, ERROR_USAGE, "--short-side %ld: at least %ld, of which the longer side is a multiple",
                         (long)x->short_side, (long)x->multiple);
    return 0;
}

/* --- opening --- */

static void want_layers(struct self *x, const struct encoder *encoder)
{
    x->wants = mem_alloc((size_t)x->layers.count, sizeof *x->wants);
    x->followers = mem_zalloc((size_t)x->layers.count, sizeof *x->followers);
    for (int64_t i = 0; i < x->layers.count; i++) {
        struct layer_shape shape = encoder->shape(encoder->self, x->layers.layers[i]);
        struct layer_shape last = encoder->shape(encoder->self, encoder->layers);
        x->wants[i] = (struct want){x->layers.layers[i], FEATURE_TOKENS};
        CHECK(shape.stride == last.stride, "layer %ld has a stride of %ld", (long)x->wants[i].layer,
              (long)shape.stride);
    }
}

static void open_scores(struct self *x)
{
    int64_t n = x->clips.count;
    x->scores = mem_zalloc((size_t)((x->layers.count + 1) * n), sizeof *x->scores);
    for (int64_t i = 0; i < (x->layers.count + 1) * n; i++) {
        const struct clip *q = &x->clips.list[i % n];
        davis_sequence_open(&x->scores[i], q->name, q->objects, q->frames - 2);
    }
}

static int take(void *self, int want, const struct feature_rows *rows, struct error *error);

static int find_norm(struct self *x, const struct session *s, struct error *error)
{
    if (!strcmp(x->norm, "none")) return 0;
    const struct parameter *scale = parameters_find(&s->towers.parameters, "visual.ln_post.weight");
    const struct parameter *shift = parameters_find(&s->towers.parameters, "visual.ln_post.bias");
    if (!scale || !shift)
        return error_set(error, ERROR_USAGE, "--norm final: %s has no final norm", s->settings->model);
    x->scale = scale->values;
    x->shift = shift->values;
    return 0;
}

static int open_track(void *self, struct session *s, struct error *error)
{
    struct self *x = self;
    const struct encoder *encoder = &s->embedder.encoder;
    x->session = s;
    x->current = -1;
    if (layers_choose(&x->layers, x->which, encoder->layers, error) < 0 ||
        choose_sides(x, encoder->shape(encoder->self, encoder->layers).stride, error) < 0 ||
        find_norm(x, s, error) < 0 ||
        clips_open(&x->clips, x->data, x->names, s->embedder.media.limits.max_pixels, error) < 0)
        return -1;
    want_layers(x, encoder);
    if (x->clips.scored) open_scores(x);
    x->mine = mem_zalloc((size_t)x->clips.count, sizeof *x->mine);
    x->groups = mem_alloc((size_t)x->clips.count, sizeof *x->groups);
    for (int64_t i = 0; i < x->clips.count; i++) {
        const struct clip *q = &x->clips.list[i];
        x->groups[i] = (struct picture_group){q->frames, q->size, clips_fit(q->size, x->short_side, x->multiple)};
    }
    struct input *in = session_files(s, x->clips.frames, x->clips.frame_count);
    in->source.groups = x->groups;
    in->source.group_count = x->clips.count;
    input_add(in, (struct taker){.wants = x->wants, .count = (int)x->layers.count, .take = take, .self = x});
    return 0;
}

/* --- following --- */

static int begin_clip(struct self *x, int64_t number, struct error *error)
{
    const struct clip *q = &x->clips.list[number];
    mask_free(&x->first);
    if (clips_mask(&x->clips, q->first, &x->first, error) < 0) return -1;
    x->predicted = mem_realloc(x->predicted, (size_t)extent_area(q->size), sizeof *x->predicted);
    x->current = number;
    x->mine[number] = true;
    return 0;
}

/* What a mask of this frame is called, in a folder that is there. */
static int mask_path(const struct self *x, int want, int64_t frame, char **path, struct error *error)
{
    const struct clip *q = &x->clips.list[x->current];
    const char *name = strrchr(x->clips.frames[frame], '/') + 1;
    struct str text = {0};
    str_puts(&text, x->folder);
    if (x->layers.count > 1) str_printf(&text, "/layer-%02ld", (long)x->layers.layers[want]);
    str_printf(&text, "/%s", q->name);
    int rc = frame == q->first ? fs_make_folders(text.data, error) : 0;
    str_printf(&text, "/%.*s.png", (int)(strrchr(name, '.') - name), name);
    *path = str_steal(&text);
    return rc;
}

static int write_mask(const struct self *x, int want, int64_t frame, uint16_t *pixels, struct error *error)
{
    struct mask mask = {.width = x->first.width, .height = x->first.height, .pixels = pixels};
    char *path;
    int rc = mask_path(x, want, frame, &path, error);
    if (rc == 0) rc = mask_write(path, &mask, error);
    free(path);
    return rc;
}

/* The first and the last frame do not count. */
static int score(struct self *x, int want, int64_t frame, const uint16_t *predicted, struct error *error)
{
    const struct clip *q = &x->clips.list[x->current];
    int64_t n = x->clips.count, at = frame - q->first - 1;
    struct mask truth;
    if (at < 0 || at >= q->frames - 2) return 0;
    if (clips_mask(&x->clips, frame, &truth, error) < 0) return -1;
    davis_sequence_add(&x->scores[want * n + x->current], at, truth.pixels, predicted, truth.height, truth.width);
    if (want == 0)
        davis_sequence_add(&x->scores[x->layers.count * n + x->current], at, truth.pixels, x->first.pixels,
                           truth.height, truth.width);
    mask_free(&truth);
    return 0;
}

/* The mask of a frame whose cells have these features. */
static uint16_t *follow(struct self *x, int want, bool first, const float *features, int64_t cols, struct extent grid,
                        int64_t stride)
{
    const struct clip *q = &x->clips.list[x->current];
    int64_t labels = q->objects + 1;
    struct propagation **p = &x->followers[want];
    if (!first) {
        soft_to_mask(propagation_next(*p, features), grid, labels, stride, x->predicted, q->size,
                     x->session->host.threads);
        return x->predicted;
    }
    float *given = mem_alloc((size_t)(extent_area(grid) * labels), sizeof *given);
    soft_from_mask(x->first.pixels, q->size, given, grid, labels);
    propagation_close(*p);
    *p = propagation_open(&x->session->host, &x->settings, grid, cols, labels);
    propagation_begin(*p, features, given);
    free(given);
    return x->first.pixels;
}

/* cells [count, cols] through the final norm, where it is asked for. */
static const float *normed(struct self *x, const float *cells, int64_t count, int64_t cols)
{
    enum { STATISTICS = 2 }; /* of a row: mean, rstd */
    if (!x->scale) return cells;
    float *y = x->normed = mem_realloc(x->normed, (size_t)(count * (cols + STATISTICS)), sizeof *y);
    float *mean = y + count * cols, *rstd = mean + count;
    struct device *host = &x->session->host;
    host->kernels->norm_forward(host, y, mean, rstd, cells, x->scale, x->shift, count, cols, FINAL_EPS);
    return y;
}

static int take(void *self, int want, const struct feature_rows *rows, struct error *error)
{
    struct self *x = self;
    const struct encoder *encoder = &x->session->embedder.encoder;
    struct layer_shape shape = encoder->shape(encoder->self, x->wants[want].layer);
    int64_t number = clips_of_frame(&x->clips, rows->sample);
    if (number != x->current && begin_clip(x, number, error) < 0) return -1;
    struct extent grid = extent_grid(rows->size, shape.stride);
    const float *cells = normed(x, rows->data + shape.lead * rows->cols, extent_area(grid), rows->cols);
    bool first = rows->sample == x->clips.list[number].first;
    uint16_t *mask = follow(x, want, first, cells, rows->cols, grid, shape.stride);
    if (x->folder && write_mask(x, want, rows->sample, mask, error) < 0) return -1;
    return x->clips.scored ? score(x, want, rows->sample, mask, error) : 0;
}

/* --- figures --- */

/* (all) What each rank measured reaches all. */
static void share_scores(struct self *x)
{
    const struct world *w = x->session->world;
    for (int64_t i = 0; i < x->clips.count; i++) {
        int owner = (int)world_max(w, x->mine[i] ? w->rank : -1);
        for (int64_t l = 0; l <= x->layers.count; l++) {
            struct davis_sequence *q = &x->scores[l * x->clips.count + i];
            size_t bytes = (size_t)(q->objects * q->frames) * sizeof *q->j;
            world_broadcast(w, q->j, bytes, owner);
            world_broadcast(w, q->f, bytes, owner);
        }
    }
}

static json_t *figures_of(const struct self *x, int64_t layer)
{
    struct davis_scores scores;
    json_t *figures = json_object();
    davis_scores_open(&scores, x->scores + layer * x->clips.count, x->clips.count, figures);
    json_object_set_new(figures, "stderr", json_real(standard_error(scores.values, scores.objects)));
    davis_scores_close(&scores);
    return figures;
}

/* The best layer's row. */
static json_t *best_of(json_t *metrics)
{
    size_t i;
    json_t *row, *best = json_object_get(metrics, "best_layer");
    json_array_foreach (json_object_get(metrics, "layers"), i, row)
        if (json_equal(json_object_get(row, "layer"), best)) return row;
    CHECK(0, "no row of the best layer");
    return NULL;
}

/* Of each layer, of the best of them, and of the first mask copied. */
static json_t *score_layers(const struct self *x)
{
    json_t **each = mem_alloc((size_t)x->layers.count, sizeof *each), *copied = figures_of(x, x->layers.count);
    for (int64_t l = 0; l < x->layers.count; l++) each[l] = figures_of(x, l);
    json_t *metrics = layers_metrics(&x->layers, davis_headline, each), *best = best_of(metrics);
    static const char *const keys[] = {"J-Mean", "F-Mean", "stderr"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        json_object_set(metrics, keys[i], json_object_get(best, keys[i]));
    json_object_set(metrics, "first_mask_J&F-Mean", json_object_get(copied, davis_headline));
    json_object_set(metrics, "chance", json_object_get(copied, davis_headline));
    json_object_set_new(metrics, "chance_name", json_string("first mask copied"));
    json_object_set(metrics, "first_mask_J-Mean", json_object_get(copied, "J-Mean"));
    json_object_set(metrics, "first_mask_F-Mean", json_object_get(copied, "F-Mean"));
    json_decref(copied);
    free(each);
    return metrics;
}

/* Where the masks lie, of several layers those of the best, or of the last: pe-evaluator report shows them. */
static void add_files(const struct self *x, json_t *metrics)
{
    const json_t *best = json_object_get(metrics, "best_layer");
    struct str folder = {0};
    str_puts(&folder, x->folder);
    if (x->layers.count > 1)
        str_printf(&folder, "/layer-%02ld",
                   (long)(best ? json_integer_value(best) : x->layers.layers[x->layers.count - 1]));
    json_object_set_new(metrics, "predictions", json_text(folder.data));
    json_object_set_new(metrics, "images", json_text(x->data));
    str_free(&folder);
}

static int report(void *self, struct session *s, struct error *error)
{
    struct self *x = self;
    int64_t objects = 0;
    for (int64_t i = 0; i < x->clips.count; i++) objects += x->clips.list[i].objects;
    if (x->clips.scored) share_scores(x);
    json_t *metrics = x->clips.scored ? score_layers(x) : json_object(), *how;
    how = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:s, s:s}", "sequences", (json_int_t)x->clips.count,
                    "frames", (json_int_t)x->clips.frame_count, "samples", (json_int_t)objects, "short_side",
                    (json_int_t)x->short_side, "long_side_multiple", (json_int_t)x->multiple, "memory",
                    (json_int_t)x->settings.memory, "radius", (json_int_t)x->settings.radius, "top_k",
                    (json_int_t)x->settings.top_k, "temperature", x->settings.temperature, "resize",
                    "bilinear, antialiased (PIL)", "features",
                    x->scale ? "block output, final norm" : "block output, no final norm");
    json_object_update(metrics, how);
    json_decref(how);
    if (x->folder) add_files(x, metrics);
    return session_report(s, x->data, "video_object_segmentation", metrics, error);
}

static void close_track(void *self)
{
    struct self *x = self;
    for (int64_t i = 0; x->scores && i < (x->layers.count + 1) * x->clips.count; i++)
        davis_sequence_close(&x->scores[i]);
    for (int64_t i = 0; x->followers && i < x->layers.count; i++) propagation_close(x->followers[i]);
    free(x->scores);
    free(x->followers);
    free(x->wants);
    free(x->groups);
    free(x->mine);
    free(x->predicted);
    free(x->normed);
    mask_free(&x->first);
    clips_close(&x->clips);
    layers_close(&x->layers);
}

const struct task task_track = {
    .name = "track",
    .summary = "objects of a DAVIS folder followed through its videos: J&F-Mean by layer, and the masks",
    .options = options,
    .bytes = sizeof(struct self),
    .use = use,
    .open = open_track,
    .report = report,
    .close = close_track,
    .layered = true,
};
