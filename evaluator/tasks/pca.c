/* pe-evaluator pca: features of a few pictures as maps of colours (principal.h), at any layers in one pass.
 *
 *   MAPS/layer-NN/NAME.png      a pixel a patch, for NAME.jpg (or .png ...)
 *
 * Each map is of its picture alone, so a colour means something else in the next one.  The features are a block's
 * output as it is, without class token and without final norm.  Pictures keep their shape. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/str.h"
#include "data/image.h"
#include "evaluator/clips.h"
#include "evaluator/layers.h"
#include "evaluator/pictures.h"
#include "evaluator/principal.h"
#include "evaluator/task.h"
#include "serve/texts.h"

struct self {
    char *images, *which, *maps; /* options */
    int64_t short_side;

    struct session *session;
    struct layer_list layers;
    struct want *wants; /* [layers.count] */
    char **paths, **names;
    struct picture_group *groups; /* [count] each of one picture */
    int64_t count;
    double *shares; /* [count, layers.count] of the variance, as principal_colours gives them */
    bool *mine;     /* [count] seen by this rank */
};

#define AT(field) offsetof(struct self, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_STRING, "images", AT(images), "!", 0, 0, NULL, "folder of .jpg .jpeg .png .webp"},
    {OPTION_STRING, "maps", AT(maps), "!", 0, 0, NULL, "folder to write: layer-NN/NAME.png, a pixel a patch", OPTION_WRITTEN},
    {OPTION_STRING, "layers", AT(which), "all", 0, 0, NULL, "all (1 to the last), last, or numbers like 1,5,12; 0 is what enters the first block"},
    {OPTION_INT, "short-side", AT(short_side), "0", 0, 8192, NULL, "pixels of the shorter side as the encoder sees it, a multiple of its patch; 0: the size it was made for; the longer one follows"},
    {OPTION_TABLE, .table = media_pictures_options},
    {0}};
/* clang-format on */

static enum session_use use(const void *self)
{
    (void)self;
    return USE_PICTURES;
}

/* --- opening --- */

static int name_maps(struct self *x, struct error *error)
{
    x->names = mem_zalloc((size_t)x->count + 1, sizeof *x->names);
    for (int64_t i = 0; i < x->count; i++) {
        x->names[i] = fs_last(x->paths[i]);
        *strrchr(x->names[i], '.') = 0;
        for (int64_t k = 0; k < i; k++)
            if (!strcmp(x->names[i], x->names[k]))
                return error_set(error, ERROR_FAILED, "%s and %s would have one map: rename one", x->paths[k],
                                 x->paths[i]);
    }
    return 0;
}

static int read_size(const struct self *x, int64_t i, int64_t stride, struct error *error)
{
    struct fs_map file;
    struct image_info info;
    if (fs_map(x->paths[i], &file, error) < 0) return -1;
    int rc = image_probe(file.bytes, file.len, &info, error);
    fs_unmap(&file);
    if (rc < 0) return error_prefix(error, "%s", x->paths[i]);
    struct extent stored = {info.height, info.width};
    x->groups[i] = (struct picture_group){1, stored, clips_fit(stored, x->short_side, stride)};
    return 0;
}

static int take(void *self, int want, const struct feature_rows *rows, struct error *error);

static int open_pca(void *self, struct session *s, struct error *error)
{
    struct self *x = self;
    const struct encoder *encoder = &s->embedder.encoder;
    int64_t stride = encoder->shape(encoder->self, encoder->layers).stride;
    x->session = s;
    if (!x->short_side) x->short_side = encoder->size;
    if (x->short_side % stride)
        return error_set(error, ERROR_USAGE, "--short-side %ld is no multiple of the patch size %ld",
                         (long)x->short_side, (long)stride);
    if (layers_choose(&x->layers, x->which, encoder->layers, error) < 0 ||
        pictures_list(x->images, &x->paths, &x->count, error) < 0 || name_maps(x, error) < 0)
        return -1;
    size_t count = (size_t)x->count;
    x->wants = mem_alloc((size_t)x->layers.count, sizeof *x->wants);
    x->groups = mem_alloc(count, sizeof *x->groups);
    x->shares = mem_zalloc(count * (size_t)x->layers.count, sizeof *x->shares);
    x->mine = mem_zalloc(count, sizeof *x->mine);
    for (int64_t i = 0; i < x->layers.count; i++) x->wants[i] = (struct want){x->layers.layers[i], FEATURE_TOKENS};
    for (int64_t i = 0; i < x->count; i++)
        if (read_size(x, i, stride, error) < 0) return -1;
    struct input *in = session_files(s, x->paths, x->count);
    in->source.groups = x->groups;
    in->source.group_count = x->count;
    input_add(in, (struct taker){.wants = x->wants, .count = (int)x->layers.count, .take = take, .self = x});
    return 0;
}

/* --- maps --- */

static int write_map(const struct self *x, int64_t layer, const char *name, const struct image *map,
                     struct error *error)
{
    struct str path = {0};
    uint8_t *bytes = NULL;
    size_t len;
    str_printf(&path, "%s/layer-%02ld", x->maps, (long)layer);
    int rc = fs_make_folders(path.data, error);
    str_printf(&path, "/%s.png", name);
    if (rc == 0) rc = image_encode(map, IMAGE_PNG, 100, &bytes, &len, error);
    if (rc == 0) rc = fs_write(path.data, bytes, len, error);
    free(bytes);
    str_free(&path);
    return rc;
}

static int take(void *self, int want, const struct feature_rows *rows, struct error *error)
{
    struct self *x = self;
    const struct encoder *encoder = &x->session->embedder.encoder;
    int64_t layer = x->layers.layers[want];
    struct layer_shape shape = encoder->shape(encoder->self, layer);
    struct image map;
    x->shares[rows->sample * x->layers.count + want] =
        principal_colours(rows->data + shape.lead * rows->cols, extent_grid(rows->size, shape.stride), rows->cols, &map,
                          x->session->host.threads);
    x->mine[rows->sample] = true;
    int rc = write_map(x, layer, x->names[rows->sample], &map, error);
    image_free(&map);
    return rc;
}

/* --- figures --- */

/* (all) What each rank has seen reaches all. */
static void share(struct self *x)
{
    const struct world *w = x->session->world;
    size_t bytes = (size_t)x->layers.count * sizeof *x->shares;
    for (int64_t i = 0; i < x->count; i++)
        world_broadcast(w, x->shares + i * x->layers.count, bytes, (int)world_max(w, x->mine[i] ? w->rank : -1));
}

static int report(void *self, struct session *s, struct error *error)
{
    struct self *x = self;
    json_t *layers = json_array(), *pictures = json_array();
    share(x);
    for (int64_t l = 0; l < x->layers.count; l++) {
        double sum = 0;
        for (int64_t i = 0; i < x->count; i++) sum += x->shares[i * x->layers.count + l];
        json_array_append_new(layers, json_pack("{s:I, s:f}", "layer", (json_int_t)x->layers.layers[l], "explained",
                                                sum / (double)x->count));
    }
    for (int64_t i = 0; i < x->count; i++) json_array_append_new(pictures, json_text(strrchr(x->paths[i], '/') + 1));
    json_t *metrics = json_pack("{s:I, s:I, s:o, s:o, s:s, s:o, s:o}", "samples", (json_int_t)x->count, "short_side",
                                (json_int_t)x->short_side, "images", json_text(x->images), "maps", json_text(x->maps),
                                "features", "block output, no final norm", "layers", layers, "pictures", pictures);
    return session_report(s, x->images, "pca", metrics, error);
}

static void close_pca(void *self)
{
    struct self *x = self;
    texts_free(x->paths, x->count);
    if (x->names) texts_free(x->names, x->count);
    free(x->wants);
    free(x->groups);
    free(x->shares);
    free(x->mine);
    layers_close(&x->layers);
}

const struct task task_pca = {
    .name = "pca",
    .summary = "features of a few pictures as maps of colours, by layer: what is alike to the encoder",
    .options = options,
    .bytes = sizeof(struct self),
    .use = use,
    .open = open_pca,
    .report = report,
    .close = close_pca,
};
