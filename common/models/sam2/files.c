/* Names of both namings, and parameters made of several tensors. */
#include "models/sam2/files.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"

/* Meta -> Hugging Face, in order. */
static const char *const renames[][2] = {
    {"image_encoder.trunk.", "vision_encoder.backbone."},
    {"image_encoder.neck.", "vision_encoder.neck."},
    {".conv.", "."},
    {"patch_embed.proj.", "patch_embed.projection."},
    {".pe_layer.positional_encoding_gaussian_matrix", ".shared_embedding.positional_embedding"},
    {"sam_prompt_encoder.", "prompt_encoder."},
    {"sam_mask_decoder.", "mask_decoder."},
    {".out_proj.", ".o_proj."},
    {"output_upscaling.0.", "upscale_conv1."},
    {"output_upscaling.1.", "upscale_layer_norm."},
    {"output_upscaling.3.", "upscale_conv2."},
    {".norm", ".layer_norm"},
    {".mlp.layers.0.", ".mlp.proj_in."},
    {".mlp.layers.1.", ".mlp.proj_out."},
    {"no_mem_embed", "no_memory_embedding"},
};
/* Those of networks of three layers. */
static const char *const renames_of_three[][2] = {
    {".layers.2.", ".proj_out."}, {".layers.0.", ".proj_in."}, {".layers.1.", ".layers.0."}};

/* Beginnings of keys that image masks from points do not need, of both namings. */
static const char *const unneeded[] = {
    "sam_prompt_encoder.mask_downscaling.",
    "prompt_encoder.mask_embed.",
    "sam_mask_decoder.pred_obj_score_head.",
    "mask_decoder.pred_obj_score_head.",
    "sam_prompt_encoder.point_embeddings.",
    "shared_image_embedding.",
    "memory_",
    "maskmem_tpos_enc",
    "mask_downsample.",
    "no_mem_pos_enc",
    "no_memory_positional_encoding",
    "no_obj_",
    "no_object_pointer",
    "obj_ptr_",
    "object_pointer_proj.",
    "occlusion_spatial_embedding_parameter",
    "temporal_positional_encoding_projection_layer.",
};

struct source {
    const struct safetensors *file;
    bool hf;
    bool *used; /* [file->count] or NULL */
};

static void replace(char *text, size_t size, const char *from, const char *to)
{
    char *at = strstr(text, from), tail[192];
    if (!at) return;
    snprintf(tail, sizeof tail, "%s", at + strlen(from));
    snprintf(at, size - (size_t)(at - text), "%s%s", to, tail);
}

static void key_of(const struct source *s, const char *name, char key[256])
{
    snprintf(key, 256, "%s", name);
    if (!s->hf) return;
    bool three = strstr(name, "hypernetworks_mlps.") || strstr(name, "_head.");
    for (size_t i = 0; three && i < sizeof renames_of_three / sizeof *renames_of_three; i++)
        if (strstr(key, renames_of_three[i][0])) {
            replace(key, 256, renames_of_three[i][0], renames_of_three[i][1]);
            break;
        }
    for (size_t i = 0; i < sizeof renames / sizeof *renames; i++) replace(key, 256, renames[i][0], renames[i][1]);
}

static const struct safetensors_entry *find(const struct source *s, const char *name)
{
    char key[256];
    key_of(s, name, key);
    return safetensors_find(s->file, key);
}

static const struct safetensors_entry *need(const struct source *s, const char *name, struct error *error)
{
    char key[256];
    const struct safetensors_entry *e = find(s, name);
    key_of(s, name, key);
    if (!e)
        error_set(error, ERROR_FAILED, "%s: tensor %s is missing; are these the weights of a SAM 2.1?", s->file->path,
                  key);
    return e;
}

/* All of a tensor that must have rows x cols elements (rows 1: of any shape); NULL with an error.  Caller frees. */
static float *take(const struct source *s, const char *name, int64_t rows, int64_t cols, struct error *error)
{
    const struct safetensors_entry *e = need(s, name, error);
    if (!e) return NULL;
    if (e->count != rows * cols || (rows > 1 && e->shape[0] != rows)) {
        error_set(error, ERROR_FAILED, "%s: %s has %ld elements in rows of %ld, the model needs [%ld, %ld]",
                  s->file->path, e->name, (long)e->count, (long)(e->ndim ? e->shape[0] : 1), (long)rows, (long)cols);
        return NULL;
    }
    float *out = mem_alloc((size_t)e->count, sizeof *out);
    if (safetensors_read(s->file, e, 0, e->count, out, error) < 0) {
        free(out);
        return NULL;
    }
    s->used[e - s->file->entries] = true;
    return out;
}

/* --- what shows --- */

static struct source source_of(const struct safetensors *file, bool *used)
{
    return (struct source){file, safetensors_find(file, "vision_encoder.backbone.pos_embed") != NULL, used};
}

static const struct safetensors_entry *of_block(const struct source *s, int64_t block, const char *what)
{
    char name[128];
    snprintf(name, sizeof name, "image_encoder.trunk.blocks.%ld.%s.weight", (long)block, what);
    return find(s, name);
}

static int tell_variant(const struct source *s, struct sam2_config *config, struct error *error)
{
    const struct safetensors_entry *patch = need(s, "image_encoder.trunk.patch_embed.proj.weight", error);
    int64_t blocks[SAM2_STAGES] = {0}, stage = 0;
    if (!patch) return -1;
    if (!patch->ndim) return error_set(error, ERROR_FAILED, "%s: %s is one number", s->file->path, patch->name);
    for (int64_t i = 0; of_block(s, i, "norm1") && stage < SAM2_STAGES; i++) {
        if (of_block(s, i, "proj")) stage++;
        if (stage < SAM2_STAGES) blocks[stage]++;
    }
    const struct sam2_config *found = sam2_config_find(patch->shape[0], blocks);
    if (!found)
        return error_set(
            error, ERROR_FAILED,
            "%s: a trunk of width %ld with %ld, %ld, %ld and %ld blocks is none of SAM 2.1's (t, s, b+, l)",
            s->file->path, (long)patch->shape[0], (long)blocks[0], (long)blocks[1], (long)blocks[2], (long)blocks[3]);
    *config = *found;
    return 0;
}

int sam2_files_tell(const struct safetensors *file, struct sam2_config *config, struct sam2_widths *widths,
                    struct error *error)
{
    struct source s = source_of(file, NULL);
    if (!config->width && tell_variant(&s, config, error) < 0) return -1;
    static const char *const names[] = {
        "sam_mask_decoder.transformer.layers.0.norm1.weight",
        "sam_mask_decoder.transformer.layers.0.cross_attn_token_to_image.q_proj.weight",
        "sam_mask_decoder.transformer.layers.0.mlp.layers.0.weight",
        "sam_mask_decoder.iou_prediction_head.layers.0.weight",
    };
    int64_t *const to[] = {&widths->channels, &widths->inner, &widths->mlp, &widths->quality};
    for (int i = 0; i < 4; i++) {
        const struct safetensors_entry *e = need(&s, names[i], error);
        if (!e) return -1;
        *to[i] = e->ndim ? e->shape[0] : 1;
        if (*to[i] < 1 || e->count < *to[i])
            return error_set(error, ERROR_FAILED, "%s: %s is empty", file->path, e->name);
    }
    if (widths->channels % 8 || widths->channels % config->decoder_heads || widths->inner % config->decoder_heads)
        return error_set(error, ERROR_FAILED, "%s: a decoder of width %ld and %ld cannot have %ld heads", file->path,
                         (long)widths->channels, (long)widths->inner, (long)config->decoder_heads);
    return 0;
}

/* --- parameters made of several tensors --- */

/* Bicubic weights (a = -0.75) of the four neighbours of a point `t` behind the second. */
static void cubic(double t, double w[4])
{
    const double a = -0.75;
    for (int i = 0; i < 4; i++) {
        double x = fabs(t + 1 - i);
        w[i] = x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
    }
}

static int64_t clamp(int64_t x, int64_t count)
{
    return x < 0 ? 0 : x >= count ? count - 1 : x;
}

/* One background stretched over the map, and one window laid side by side. */
static int make_positions(const struct source *s, struct parameter *p, const struct sam2_config *c, struct error *error)
{
    int64_t side = c->size / 4, window = c->windows[0], width = c->width;
    const struct safetensors_entry *e = need(s, "image_encoder.trunk.pos_embed", error);
    if (!e) return -1;
    int64_t from = (int64_t)(sqrt((double)e->count / (double)width) + 0.5);
    if (from < 1) return error_set(error, ERROR_FAILED, "%s: %s is empty", s->file->path, e->name);
    float *far = take(s, "image_encoder.trunk.pos_embed", 1, width * from * from, error);
    float *near = far ? take(s, "image_encoder.trunk.pos_embed_window", 1, width * window * window, error) : NULL;
    for (int64_t i = 0; near && i < side * side; i++) {
        double at[2], w[2][4];
        int64_t first[2], pixel[2] = {i / side, i % side};
        for (int k = 0; k < 2; k++) {
            at[k] = ((double)pixel[k] + 0.5) * (double)from / (double)side - 0.5;
            first[k] = (int64_t)floor(at[k]);
            cubic(at[k] - (double)first[k], w[k]);
        }
        for (int64_t ch = 0; ch < width; ch++) {
            double sum = (double)near[(ch * window + pixel[0] % window) * window + pixel[1] % window];
            for (int k = 0; k < 16; k++)
                sum +=
                    w[0][k / 4] * w[1][k % 4] *
                    (double)
                        far[(ch * from + clamp(first[0] + k / 4 - 1, from)) * from + clamp(first[1] + k % 4 - 1, from)];
            p->values[i * width + ch] = (float)sum;
        }
    }
    free(far);
    free(near);
    return near ? 0 : -1;
}

/* Sines and cosines of a cell's centre, as points have them. */
static int make_places(const struct source *s, struct parameter *p, struct error *error)
{
    int64_t half = p->tensor.cols / 2, rows = p->tensor.rows, side = (int64_t)(sqrt((double)rows) + 0.5);
    float *g = take(s, "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", 2, half, error);
    for (int64_t i = 0; g && i < rows; i++) {
        double x = 2 * ((double)(i % side) + 0.5) / (double)side - 1,
               y = 2 * ((double)(i / side) + 0.5) / (double)side - 1;
        for (int64_t k = 0; k < half; k++) {
            double angle = 2 * M_PI * (x * (double)g[k] + y * (double)g[half + k]);
            p->values[i * 2 * half + k] = (float)sin(angle);
            p->values[i * 2 * half + half + k] = (float)cos(angle);
        }
    }
    free(g);
    return g ? 0 : -1;
}

/* The rows of `names`, one after the other. */
static int make_rows(const struct source *s, struct parameter *p, const char *const *names, const int64_t *rows,
                     int count, struct error *error)
{
    float *to = p->values;
    for (int i = 0; i < count; i++) {
        float *from = take(s, names[i], rows[i], p->tensor.cols, error);
        if (!from) return -1;
        memcpy(to, from, (size_t)(rows[i] * p->tensor.cols) * sizeof *to);
        to += rows[i] * p->tensor.cols;
        free(from);
    }
    return 0;
}

static int make_tokens(const struct source *s, struct parameter *p, struct error *error)
{
    static const char *const names[] = {"sam_mask_decoder.obj_score_token.weight", "sam_mask_decoder.iou_token.weight",
                                        "sam_mask_decoder.mask_tokens.weight",
                                        "sam_prompt_encoder.not_a_point_embed.weight"};
    return make_rows(s, p, names, (int64_t[]){1, 1, SAM2_MASKS, 1}, 4, error);
}

/* Of points outside and inside of what is meant. */
static int make_points(const struct source *s, struct parameter *p, struct error *error)
{
    static const char *const names[] = {"sam_prompt_encoder.point_embeddings.0.weight",
                                        "sam_prompt_encoder.point_embeddings.1.weight"};
    if (!s->hf) return make_rows(s, p, names, (int64_t[]){1, 1}, 2, error);
    float *all = take(s, "sam_prompt_encoder.point_embed.weight", 4, p->tensor.cols, error);
    if (all) memcpy(p->values, all, (size_t)(2 * p->tensor.cols) * sizeof *all);
    free(all);
    return all ? 0 : -1;
}

/* What is added to every cell of the map. */
static int make_map_bias(const struct source *s, struct parameter *p, struct error *error)
{
    static const char *const names[] = {"image_encoder.neck.convs.1.conv.bias", "no_mem_embed",
                                        "sam_prompt_encoder.no_mask_embed.weight"};
    for (int i = 0; i < 3; i++) {
        float *x = take(s, names[i], 1, p->tensor.cols, error);
        for (int64_t k = 0; x && k < p->tensor.cols; k++) p->values[k] += x[k];
        free(x);
        if (!x) return -1;
    }
    return 0;
}

/* "fineN": the neck's convolution of stage N, then the decoder's. */
static int make_fine(const struct source *s, const struct parameters *p, struct parameter *weight,
                     const struct sam2_widths *w, struct error *error)
{
    int n = weight->name[4] - '0';
    int64_t out = weight->tensor.rows, in = weight->tensor.cols, mid = w->channels;
    char names[4][96];
    snprintf(names[0], 96, "image_encoder.neck.convs.%d.conv.weight", SAM2_STAGES - 1 - n);
    snprintf(names[1], 96, "image_encoder.neck.convs.%d.conv.bias", SAM2_STAGES - 1 - n);
    snprintf(names[2], 96, "sam_mask_decoder.conv_s%d.weight", n);
    snprintf(names[3], 96, "sam_mask_decoder.conv_s%d.bias", n);
    float *a = take(s, names[0], mid, in, error), *a_bias = a ? take(s, names[1], mid, 1, error) : NULL;
    float *b = a_bias ? take(s, names[2], out, mid, error) : NULL,
          *b_bias = b ? take(s, names[3], out, 1, error) : NULL;
    char bias_name[32];
    snprintf(bias_name, sizeof bias_name, "fine%d.bias", n);
    float *bias = parameters_find(p, bias_name)->values;
    for (int64_t o = 0; b_bias && o < out; o++) {
        double sum = (double)b_bias[o];
        for (int64_t k = 0; k < mid; k++) sum += (double)b[o * mid + k] * (double)a_bias[k];
        bias[o] = (float)sum;
        for (int64_t i = 0; i < in; i++) {
            sum = 0;
            for (int64_t k = 0; k < mid; k++) sum += (double)b[o * mid + k] * (double)a[k * in + i];
            weight->values[o * in + i] = (float)sum;
        }
    }
    free(a);
    free(a_bias);
    free(b);
    free(b_bias);
    return b_bias ? 0 : -1;
}

/* "upscaleN.K.weight": of a transposed convolution [in, out, 2, 2], what makes the pixel at place K. */
static int make_upscale(const struct source *s, struct parameter *p, struct error *error)
{
    int64_t out = p->tensor.rows, in = p->tensor.cols;
    int place = p->name[9] - '0';
    float *w = take(s,
                    p->name[7] == '1' ? "sam_mask_decoder.output_upscaling.0.weight"
                                      : "sam_mask_decoder.output_upscaling.3.weight",
                    in, out * 4, error);
    for (int64_t i = 0; w && i < out * in; i++) p->values[i] = w[(i % in * out + i / in) * 4 + place];
    free(w);
    return w ? 0 : -1;
}

/* [out, in, y, x] -> [out, y, x, in]. */
static int make_patch(const struct source *s, struct parameter *p, struct error *error)
{
    int64_t out = p->tensor.rows, in = p->tensor.cols, area = in / 3;
    float *w = take(s, p->name, out, in, error);
    for (int64_t i = 0; w && i < out * in; i++) p->values[i] = w[i / in * in + i % 3 * area + i % in / 3];
    free(w);
    return w ? 0 : -1;
}

static int load_one(const struct source *s, const struct parameters *p, struct parameter *it,
                    const struct sam2_config *config, const struct sam2_widths *widths, struct error *error)
{
    const char *name = it->name;
    if (!strcmp(name, "positions")) return make_positions(s, it, config, error);
    if (!strcmp(name, "places")) return make_places(s, it, error);
    if (!strcmp(name, "tokens")) return make_tokens(s, it, error);
    if (!strcmp(name, "points")) return make_points(s, it, error);
    if (!strcmp(name, "map.bias")) return make_map_bias(s, it, error);
    if (!strcmp(name, "image_encoder.trunk.patch_embed.proj.weight")) return make_patch(s, it, error);
    if (str_starts_with(name, "fine")) return str_ends_with(name, ".bias") ? 0 : make_fine(s, p, it, widths, error);
    if (str_starts_with(name, "upscale")) return make_upscale(s, it, error);
    if (!strcmp(name, "map.weight")) name = "image_encoder.neck.convs.1.conv.weight";
    float *x = take(s, name, it->tensor.rows, it->tensor.cols, error);
    if (x) memcpy(it->values, x, (size_t)tensor_count(&it->tensor) * sizeof *x);
    free(x);
    return x ? 0 : -1;
}

int sam2_files_load(const struct parameters *p, const struct safetensors *file, const struct sam2_config *config,
                    const struct sam2_widths *widths, struct error *error)
{
    bool *used = mem_zalloc((size_t)file->count + 1, sizeof *used);
    struct source s = source_of(file, used);
    int rc = 0;
    for (int64_t i = 0; i < p->count && rc == 0; i++) rc = load_one(&s, p, p->list[i], config, widths, error);
    for (int64_t i = 0; i < file->count && rc == 0; i++) {
        for (size_t k = 0; !used[i] && k < sizeof unneeded / sizeof *unneeded; k++)
            used[i] = str_starts_with(file->entries[i].name, unneeded[k]);
        if (!used[i])
            rc = error_set(error, ERROR_FAILED, "%s: tensor %s is unknown; are these the weights of a SAM 2.1?",
                           file->path, file->entries[i].name);
    }
    free(used);
    return rc;
}
