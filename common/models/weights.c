/* Translation between namings, and loading and saving by it. */
#include "models/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "checkpoint/tensors.h"

/* How one PE parameter is stored elsewhere: as one tensor, its transpose, or split by rows into two. */
struct place {
    char name[2][512];
    int parts;
    bool transposed;
};

static const char *const renames[][2] = {
    /* PE (below visual.)      timm */
    {"conv1.weight", "patch_embed.proj.weight"},
    {"class_embedding", "cls_token"},
    {"positional_embedding", "pos_embed"},
    {"ln_pre.", "norm_pre."},
    {"ln_post.", "norm."},
    {"transformer.resblocks.", "blocks."},
    {".ls_1.gamma", ".gamma_1"},
    {".ls_2.gamma", ".gamma_2"},
    {".ln_1.", ".norm1."},
    {".ln_2.", ".norm2."},
    {".attn.in_proj_", ".attn.qkv."},
    {".attn.out_proj.", ".attn.proj."},
    {".mlp.c_fc.", ".mlp.fc1."},
    {".mlp.c_proj.", ".mlp.fc2."},
    {"attn_pool.probe", "attn_pool.latent"},
    {"attn_pool.attn.out_proj.", "attn_pool.proj."},
    {"attn_pool.layernorm.", "attn_pool.norm."},
    {"attn_pool.mlp.c_fc.", "attn_pool.mlp.fc1."},
    {"attn_pool.mlp.c_proj.", "attn_pool.mlp.fc2."},
};

static void replace(char *text, size_t size, const char *from, const char *to)
{
    char *at = strstr(text, from), tail[256];
    if (!at) return;
    snprintf(tail, sizeof tail, "%s", at + strlen(from));
    snprintf(at, size - (size_t)(at - text), "%s%s", to, tail);
}

static struct place place_of(const char *name, enum weights_naming naming, const char *prefix)
{
    struct place place = {.parts = 1};
    bool vision = str_starts_with(name, "visual.");
    if (naming == WEIGHTS_PE || (!vision && !strcmp(name, "logit_scale"))) {
        snprintf(place.name[0], 512, "%s", name);
        return place;
    }
    if (!vision) {
        snprintf(place.name[0], 512, "text.%s", name);
        return place;
    }
    if (!prefix) prefix = naming == WEIGHTS_OPEN_CLIP ? "visual.trunk." : "";
    char inner[256];
    snprintf(inner, sizeof inner, "%s", name + strlen("visual."));
    if (str_starts_with(inner, "attn_pool.attn.in_proj_")) {
        const char *kind = inner + strlen("attn_pool.attn.in_proj_");
        place.parts = 2;
        snprintf(place.name[0], 512, "%sattn_pool.q.%s", prefix, kind);
        snprintf(place.name[1], 512, "%sattn_pool.kv.%s", prefix, kind);
        return place;
    }
    if (!strcmp(inner, "proj")) {
        place.transposed = true;
        snprintf(place.name[0], 512, "%shead.weight", prefix);
        return place;
    }
    size_t count = sizeof renames / sizeof *renames;
    bool pool = str_starts_with(inner, "attn_pool.");
    for (size_t i = 0; i < count; i++) {
        bool for_pool = str_starts_with(renames[i][0], "attn_pool.");
        if (for_pool == pool) replace(inner, sizeof inner, renames[i][0], renames[i][1]);
    }
    snprintf(place.name[0], 512, "%s%.200s", prefix, inner);
    return place;
}

/* Also says what goes in front of every key: "module." of wrapped models, "" else; "-" strips "visual." (vision files).
 * */
static enum weights_naming naming_of(const struct safetensors *file, const char **prefix)
{
    *prefix = "";
    if (safetensors_find(file, "visual.trunk.patch_embed.proj.weight")) return WEIGHTS_OPEN_CLIP;
    if (safetensors_find(file, "patch_embed.proj.weight")) return WEIGHTS_TIMM;
    if (safetensors_find(file, "module.visual.conv1.weight"))
        *prefix = "module.";
    else if (safetensors_find(file, "conv1.weight"))
        *prefix = "-";
    return WEIGHTS_PE;
}

static int shape_check(const struct safetensors *file, const struct safetensors_entry *e, const struct parameter *p,
                       bool transposed, int64_t rows_of_parts, struct error *error)
{
    /* Compare without dimensions of size 1, which the namings use differently. */
    int64_t want[4], got[8];
    int wants = 0, gots = 0;
    for (int i = 0; i < p->ndim; i++) {
        int64_t n = p->shape[transposed ? p->ndim - 1 - i : i];
        if (i == 0 && rows_of_parts) n = rows_of_parts;
        if (n != 1) want[wants++] = n;
    }
    for (int i = 0; i < e->ndim; i++)
        if (e->shape[i] != 1) got[gots++] = e->shape[i];
    if (wants == gots && !memcmp(want, got, (size_t)wants * sizeof *want)) return 0;
    struct str a = {0}, b = {0};
    for (int i = 0; i < wants; i++) str_printf(&a, "%s%ld", i ? ", " : "", (long)want[i]);
    for (int i = 0; i < e->ndim; i++) str_printf(&b, "%s%ld", i ? ", " : "", (long)e->shape[i]);
    error_set(error, ERROR_FAILED, "%s: %s has shape [%s], the model needs [%s]; is --model the model of this file?",
              file->path, e->name, b.data ? b.data : "", a.data ? a.data : "");
    str_free(&a);
    str_free(&b);
    return -1;
}

static int load_place(const struct safetensors *file, const struct parameter *p, const struct place *place,
                      const char *prefix, bool *used, struct error *error)
{
    float *out = p->values;
    for (int part = 0; part < place->parts; part++) {
        char key[300];
        if (*prefix == '-')
            snprintf(key, sizeof key, "%.290s", place->name[part] + strlen("visual."));
        else
            snprintf(key, sizeof key, "%s%.270s", prefix, place->name[part]);
        const struct safetensors_entry *e = safetensors_find(file, key);
        if (!e) return error_set(error, ERROR_FAILED, "%s: tensor %s is missing", file->path, key);
        int64_t rows = place->parts == 1 ? 0 : part ? p->shape[0] / 3 * 2 : p->shape[0] / 3;
        if (shape_check(file, e, p, place->transposed, rows, error) < 0) return -1;
        if (safetensors_read(file, e, 0, e->count, out, error) < 0) return -1;
        used[e - file->entries] = true;
        out += e->count;
    }
    if (!place->transposed) return 0;
    int64_t rows = p->tensor.rows, cols = p->tensor.cols; /* file: [cols, rows] */
    float *copy = mem_alloc((size_t)(rows * cols), sizeof *copy);
    memcpy(copy, p->values, (size_t)(rows * cols) * sizeof *copy);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) p->values[r * cols + c] = copy[c * rows + r];
    free(copy);
    return 0;
}

/* A key that no parameter asked for: a zero head bias (timm has one, PE none) is fine, all else is refused. */
static int check_rest(const struct safetensors *file, const bool *used, struct error *error)
{
    for (int64_t i = 0; i < file->count; i++) {
        const struct safetensors_entry *e = &file->entries[i];
        if (used[i]) continue;
        if (!str_ends_with(e->name, "head.bias"))
            return error_set(error, ERROR_FAILED, "%s: tensor %s is not part of the model", file->path, e->name);
        for (int64_t k = 0; k < e->count; k++) {
            float value;
            if (safetensors_read(file, e, k, 1, &value, error) < 0) return -1;
            if (value != 0)
                return error_set(error, ERROR_FAILED, "%s: %s is not zero, PE models have no such bias", file->path,
                                 e->name);
        }
    }
    return 0;
}

int weights_load(struct towers *towers, const char *path, bool vision_only, struct error *error)
{
    struct safetensors file;
    if (tensors_open(&file, path, error) < 0) return -1;
    const char *prefix;
    enum weights_naming naming = naming_of(&file, &prefix);
    bool vision_file = naming == WEIGHTS_TIMM || *prefix == '-', whole = towers->config.text.layers && !vision_only;
    bool *used = mem_zalloc((size_t)file.count, sizeof *used);
    int rc = 0;
    if (vision_file && whole)
        rc = error_set(error, ERROR_FAILED, "%s: holds a vision tower only, this use needs the text tower too",
                       file.path);
    for (int64_t i = 0; rc == 0 && i < towers->parameters.count; i++) {
        const struct parameter *p = towers->parameters.list[i];
        if (vision_file && !str_starts_with(p->name, "visual.")) continue;
        struct place place = place_of(p->name, naming, NULL);
        rc = load_place(&file, p, &place, prefix, used, error);
    }
    if (rc == 0) rc = check_rest(&file, used, error);
    free(used);
    safetensors_close(&file);
    return rc;
}

static int save_one(struct safetensors_writer *w, const struct parameter *p, const struct place *place,
                    struct error *error)
{
    int64_t count = tensor_count(&p->tensor), rows = p->tensor.rows, cols = p->tensor.cols;
    if (!place->transposed) return safetensors_append(w, p->values, count, error);
    float *turned = mem_alloc((size_t)count, sizeof *turned);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) turned[c * rows + r] = p->values[r * cols + c];
    int rc = safetensors_append(w, turned, count, error);
    free(turned);
    return rc;
}

static void declare(struct safetensors_writer *w, const struct parameter *p, const struct place *place,
                    enum weights_naming naming)
{
    int64_t shape[4] = {p->shape[0], p->shape[1], p->shape[2], p->shape[3]};
    if (place->transposed) shape[0] = p->shape[1], shape[1] = p->shape[0];
    if (place->parts == 2) {
        shape[0] = p->shape[0] / 3;
        safetensors_declare(w, place->name[0], p->ndim, shape);
        shape[0] = p->shape[0] / 3 * 2;
        safetensors_declare(w, place->name[1], p->ndim, shape);
        return;
    }
    int ndim = p->ndim;
    if (naming != WEIGHTS_PE && !strcmp(p->name, "visual.class_embedding"))
        ndim = 3, shape[2] = shape[0], shape[0] = shape[1] = 1;
    if (naming != WEIGHTS_PE && !strcmp(p->name, "visual.positional_embedding"))
        ndim = 3, shape[2] = shape[1], shape[1] = shape[0], shape[0] = 1;
    safetensors_declare(w, place->name[0], ndim, shape);
}

static bool is_vision(const struct parameter *p)
{
    return str_starts_with(p->name, "visual.");
}

/* A tensor of a larger model's tower: PE's names lose their own prefix. */
static struct place place_inside(const struct parameter *p, enum weights_naming naming, const char *prefix)
{
    if (naming != WEIGHTS_PE) return place_of(p->name, naming, prefix);
    struct place place = {.parts = 1};
    snprintf(place.name[0], sizeof place.name[0], "%s%s", prefix, p->name + strlen("visual."));
    return place;
}

int weights_save(const struct towers *towers, const char *path, enum weights_naming naming, uint64_t *checksum,
                 struct error *error)
{
    const struct parameters *all = &towers->parameters;
    struct safetensors_writer w = {.fd = -1};
    bool alone = !towers->config.text.layers; /* Meta's files of such towers do without "visual." */
    struct place *places = mem_alloc((size_t)all->count, sizeof *places);
    float *zeros = mem_zalloc((size_t)towers->config.embed_dim + 1, sizeof *zeros);
    const char *bias = naming == WEIGHTS_PE || alone ? NULL
                       : naming == WEIGHTS_TIMM      ? "head.bias"
                                                     : "visual.trunk.head.bias";
    for (int64_t i = 0; i < all->count; i++) {
        if (naming == WEIGHTS_TIMM && !str_starts_with(all->list[i]->name, "visual.")) continue;
        places[i] = place_of(all->list[i]->name, naming, NULL);
        if (alone) places[i] = place_inside(all->list[i], naming, "");
        declare(&w, all->list[i], &places[i], naming);
    }
    if (bias) safetensors_declare(&w, bias, 1, &towers->config.embed_dim);
    json_t *metadata = json_pack("{s:s, s:s}", "format", "pt", "model", towers->config.name);
    int rc = safetensors_begin(&w, path, metadata, error);
    json_decref(metadata);
    for (int64_t i = 0; rc == 0 && i < all->count; i++)
        if (naming != WEIGHTS_TIMM || str_starts_with(all->list[i]->name, "visual."))
            rc = save_one(&w, all->list[i], &places[i], error);
    if (rc == 0 && bias) rc = safetensors_append(&w, zeros, towers->config.embed_dim, error);
    if (rc == 0)
        rc = safetensors_finish(&w, checksum, error);
    else
        safetensors_abandon(&w);
    free(places);
    free(zeros);
    return rc;
}

/* Towers that timm has, by what tells them apart. */
static const struct {
    const char *name;
    int64_t patch, width, layers, heads, mlp;
    bool class_token, pooled;
} known[] = {{"vit_pe_core_tiny_patch16_384", 16, 192, 12, 3, 768, true, true},
             {"vit_pe_core_small_patch16_384", 16, 384, 12, 6, 1536, true, true},
             {"vit_pe_core_base_patch16_224", 16, 768, 12, 12, 3072, true, true},
             {"vit_pe_core_large_patch14_336", 14, 1024, 24, 16, 4096, true, true},
             {"vit_pe_core_gigantic_patch14_448", 14, 1536, 50, 16, 8960, false, true},
             {"vit_pe_lang_large_patch14_448", 14, 1024, 23, 16, 4096, true, false},
             {"vit_pe_lang_gigantic_patch14_448", 14, 1536, 47, 16, 8960, false, false}};

/* The architecture timm knows this vision tower under, NULL when it has none of this shape. */
static const char *timm_name(const struct vision_config *v)
{
    if (v->pool != POOL_ATTENTION || !v->rope) return NULL;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].pooled && known[i].patch == v->patch_size && known[i].width == v->width &&
            known[i].layers == v->layers && known[i].mlp == v->mlp_width && known[i].class_token == v->class_token)
            return known[i].name;
    return NULL;
}

int weights_timm_shape(const char *name, struct vision_config *c)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t len = strlen(known[i].name);
        if (strncmp(name, known[i].name, len) || (name[len] && name[len] != '.')) continue;
        *c = (struct vision_config){.patch_size = known[i].patch,
                                    .width = known[i].width,
                                    .layers = known[i].layers,
                                    .heads = known[i].heads,
                                    .mlp_width = known[i].mlp,
                                    .class_token = known[i].class_token,
                                    .rope = true,
                                    .pool = POOL_NONE,
                                    .pool_heads = 8};
        return 0;
    }
    return -1;
}

const char *weights_timm_base(const struct vision_config *c)
{
    return c->class_token ? "vit_pe_core_large_patch14_336" : "vit_pe_core_gigantic_patch14_448";
}

int weights_load_vision(const struct parameters *p, const struct safetensors *file, enum weights_naming naming,
                        const char *prefix, bool *used, struct error *error)
{
    for (int64_t i = 0; i < p->count; i++) {
        if (!is_vision(p->list[i])) continue;
        struct place place = place_inside(p->list[i], naming, prefix);
        if (load_place(file, p->list[i], &place, "", used, error) < 0) return -1;
    }
    return 0;
}

void weights_declare_vision(const struct parameters *p, enum weights_naming naming, const char *prefix,
                            struct safetensors_writer *w)
{
    for (int64_t i = 0; i < p->count; i++) {
        if (!is_vision(p->list[i])) continue;
        struct place place = place_inside(p->list[i], naming, prefix);
        declare(w, p->list[i], &place, naming);
    }
}

int weights_append_vision(const struct parameters *p, enum weights_naming naming, struct safetensors_writer *w,
                          struct error *error)
{
    for (int64_t i = 0; i < p->count; i++) {
        if (!is_vision(p->list[i])) continue;
        struct place place = place_inside(p->list[i], naming, "");
        if (save_one(w, p->list[i], &place, error) < 0) return -1;
    }
    return 0;
}

int weights_save_config(const struct towers *towers, const char *folder, struct error *error)
{
    const struct model_config *c = &towers->config;
    const char *timm = timm_name(&c->vision);
    if (!timm)
        return error_set(error, ERROR_FAILED,
                         "model %s: open_clip and timm have no architecture of this shape to load it into", c->name);
    json_t *root = json_pack(
        "{s:{s:I, s:{s:I, s:s, s:b, s:s, s:n}, s:{s:I, s:I, s:I, s:I, s:I}, s:b}, s:{s:[f,f,f], s:[f,f,f], s:s, s:s}}",
        "model_cfg", "embed_dim", (json_int_t)c->embed_dim, "vision_cfg", "image_size",
        (json_int_t)c->vision.image_size, "timm_model_name", timm, "timm_model_pretrained", 0, "timm_pool", "map",
        "timm_proj", "text_cfg", "context_length", (json_int_t)c->text.context_length, "vocab_size",
        (json_int_t)c->text.vocab_size, "width", (json_int_t)c->text.width, "heads", (json_int_t)c->text.heads,
        "layers", (json_int_t)c->text.layers, "custom_text", 1, "preprocess_cfg", "mean", .5, .5, .5, "std", .5, .5, .5,
        "interpolation", "bilinear", "resize_mode", "squash");
    char *path = fs_join(folder, "open_clip_config.json");
    int rc = json_write(path, root, error);
    json_decref(root);
    free(path);
    return rc;
}
