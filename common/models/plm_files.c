/* Configurations and weights of PLM folders. */
#include "models/plm_files.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/str.h"
#include "models/llama_files.h"
#include "models/weights.h"

static int64_t whole(const json_t *o, const char *key, int64_t fallback)
{
    const json_t *v = json_object_get(o, key);
    if (json_is_array(v)) v = json_array_get(v, 0); /* sizes may be [height, width] */
    return json_is_number(v) ? (int64_t)json_number_value(v) : fallback;
}

static double number(const json_t *o, const char *key, double fallback)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : fallback;
}

static int check_vision(const struct vision_config *v, const char *path, struct error *error)
{
    bool sound = v->image_size > 0 && v->patch_size > 0 && v->width > 0 && v->layers > 0 && v->heads > 0 &&
                 v->mlp_width > 0 && v->image_size % v->patch_size == 0 && v->width % v->heads == 0 &&
                 v->width / v->heads % 4 == 0 && v->image_size <= 8192 && v->width <= 1 << 16 && v->layers <= 1024;
    return sound ? 0
                 : error_set(error, ERROR_USAGE, "%s: the vision tower's sizes are missing or do not fit each other",
                             path);
}

/* vision_config of transformers: a timm architecture and what differs from it. */
static int parse_timm(struct vision_config *v, const char *path, const json_t *o, struct error *error)
{
    const char *name = json_string_value(json_object_get(o, "architecture"));
    const json_t *a = json_object_get(o, "model_args");
    if (!name || weights_timm_shape(name, v) < 0)
        return error_set(error, ERROR_USAGE, "%s: vision architecture %.80s is no PE tower we know", path,
                         name ? name : "(missing)");
    double ratio = number(a, "mlp_ratio", (double)v->mlp_width / (double)v->width);
    v->image_size = whole(a, "img_size", 0);
    v->patch_size = whole(a, "patch_size", v->patch_size);
    v->width = whole(a, "embed_dim", v->width);
    v->layers = whole(a, "depth", v->layers);
    v->heads = whole(a, "num_heads", v->heads);
    v->mlp_width = llround(ratio * (double)v->width);
    v->layer_scale = number(a, "init_values", 0);
    if (json_object_get(a, "class_token")) v->class_token = json_is_true(json_object_get(a, "class_token"));
    return check_vision(v, path, error);
}

/* vision_model of Meta's params.json. */
static int parse_meta(struct vision_config *v, const char *path, const json_t *o, struct error *error)
{
    *v = (struct vision_config){.image_size = whole(o, "image_size", 448),
                                .patch_size = whole(o, "patch_size", 14),
                                .width = whole(o, "width", 0),
                                .layers = whole(o, "layers", 0),
                                .heads = whole(o, "heads", 16),
                                .rope = true,
                                .pool = POOL_NONE,
                                .pool_heads = 8};
    v->mlp_width = llround(number(o, "mlp_ratio", 4) * (double)v->width);
    v->layer_scale = number(o, "ls_init_value", 0);
    v->class_token = !json_is_false(json_object_get(o, "use_cls_token"));
    return check_vision(v, path, error);
}

int plm_config_load(struct plm_config *config, const char *folder, struct error *error)
{
    char *path = fs_join(folder, "config.json");
    struct plm_config c = {.pooling = 2};
    if (!fs_exists(path)) {
        free(path);
        path = fs_join(folder, "params.json");
    }
    json_t *root = json_read(path, error), *meta = json_object_get(root, "vision_model"),
           *model = json_object_get(root, "model");
    if (!meta) meta = json_object_get(model, "vision_model");
    int rc = root ? llama_config_parse(&c.decoder, path, root, error) : -1;
    if (rc == 0 && !meta && !json_object_get(root, "vision_config"))
        rc = error_set(error, ERROR_USAGE, "%s: no vision_config: this is a language model alone", path);
    if (rc == 0)
        rc = meta ? parse_meta(&c.vision, path, meta, error)
                  : parse_timm(&c.vision, path, json_object_get(root, "vision_config"), error);
    c.pooling = meta ? whole(model ? model : root, "pooling_ratio", 2) : whole(root, "projector_pooling_ratio", 1);
    c.image_token = whole(root, "image_token_id", 128002);
    c.video_token = whole(root, "video_token_id", 128003);
    if (rc == 0 && (c.pooling < 1 || c.vision.image_size / c.vision.patch_size % c.pooling))
        rc = error_set(error, ERROR_USAGE, "%s: a grid of %ld does not pool by %ld", path,
                       (long)(c.vision.image_size / c.vision.patch_size), (long)c.pooling);
    json_decref(root);
    free(path);
    if (rc == 0) *config = c;
    return rc;
}

json_t *plm_config_json(const struct plm_config *c)
{
    const struct vision_config *v = &c->vision;
    json_int_t grid = v->image_size / v->patch_size;
    json_t *arguments = json_pack(
        "{s:[I, I], s:I, s:I, s:I, s:I, s:f, s:b, s:[I, I], s:s, s:b}", "img_size", (json_int_t)v->image_size,
        (json_int_t)v->image_size, "patch_size", (json_int_t)v->patch_size, "embed_dim", (json_int_t)v->width, "depth",
        (json_int_t)v->layers, "num_heads", (json_int_t)v->heads, "mlp_ratio", (double)v->mlp_width / (double)v->width,
        "class_token", v->class_token, "ref_feat_shape", grid, grid, "global_pool", "", "use_post_transformer_norm", 0);
    if (v->layer_scale > 0) json_object_set_new(arguments, "init_values", json_real(v->layer_scale));
    return json_pack("{s:[s], s:s, s:o, s:{s:s, s:s, s:b, s:o}, s:b, s:I, s:I, s:I, s:b}", "architectures",
                     "PerceptionLMForConditionalGeneration", "model_type", "perception_lm", "text_config",
                     llama_config_json(&c->decoder), "vision_config", "model_type", "timm_wrapper", "architecture",
                     weights_timm_base(v), "do_pooling", 0, "model_args", arguments, "vision_use_cls_token",
                     v->class_token, "projector_pooling_ratio", (json_int_t)c->pooling, "image_token_id",
                     (json_int_t)c->image_token, "video_token_id", (json_int_t)c->video_token, "tie_word_embeddings",
                     c->decoder.tied);
}

/* How the projector's four parameters are called. */
static const struct {
    const char *ours, *hf, *meta;
} projector[] = {
    {"projector.linear_1.weight", "model.multi_modal_projector.linear_1.weight", "vision_projector.projector.0.weight"},
    {"projector.linear_1.bias", "model.multi_modal_projector.linear_1.bias", "vision_projector.projector.0.bias"},
    {"projector.linear_2.weight", "model.multi_modal_projector.linear_2.weight", "vision_projector.projector.2.weight"},
    {"projector.linear_2.bias", "model.multi_modal_projector.linear_2.bias", "vision_projector.projector.2.bias"}};

static int load_projector(struct plm *m, const struct safetensors *file, bool meta, bool *used, struct error *error)
{
    for (size_t i = 0; i < 4; i++) {
        const char *name = meta ? projector[i].meta : projector[i].hf;
        const struct safetensors_entry *e = safetensors_find(file, name);
        struct parameter *p = parameters_find(&m->parameters, projector[i].ours);
        if (!e) return error_set(error, ERROR_FAILED, "%s: tensor %s is missing", file->path, name);
        if (e->ndim != p->ndim || e->count != tensor_count(&p->tensor) || e->shape[0] != p->shape[0])
            return error_set(error, ERROR_FAILED, "%s: %s has %ld elements, the model needs %ld", file->path, name,
                             (long)e->count, (long)tensor_count(&p->tensor));
        if (safetensors_read(file, e, 0, e->count, p->values, error) < 0) return -1;
        used[e - file->entries] = true;
    }
    return 0;
}

int plm_load(struct plm *m, const char *folder, struct error *error)
{
    struct safetensors file;
    enum llama_naming naming;
    if (tensors_open(&file, folder, error) < 0) return -1;
    bool *used = mem_zalloc((size_t)file.count, sizeof *used);
    int rc = llama_naming_of(&file, &naming, error);
    bool meta = rc == 0 && naming == LLAMA_META;
    if (rc == 0) rc = llama_load(&m->decoder, &m->parameters, &file, naming, used, error);
    if (rc == 0) rc = load_projector(m, &file, meta, used, error);
    if (rc == 0)
        rc = weights_load_vision(&m->parameters, &file, meta ? WEIGHTS_PE : WEIGHTS_TIMM,
                                 meta ? "vision_model." : "model.vision_tower.timm_model.", used, error);
    for (int64_t i = 0; rc == 0 && i < file.count; i++)
        if (!used[i] && !str_starts_with(file.entries[i].name, "rope."))
            rc = error_set(error, ERROR_FAILED, "%s: tensor %s is not part of the model", file.path,
                           file.entries[i].name);
    free(used);
    safetensors_close(&file);
    return rc;
}

int plm_save(const struct plm *m, const char *path, uint64_t *checksum, struct error *error)
{
    struct safetensors_writer w = {.fd = -1};
    weights_declare_vision(&m->parameters, WEIGHTS_TIMM, "model.vision_tower.timm_model.", &w);
    for (size_t i = 0; i < 4; i++) {
        const struct parameter *p = parameters_find(&m->parameters, projector[i].ours);
        safetensors_declare(&w, projector[i].hf, p->ndim, p->shape);
    }
    llama_declare(&m->decoder, &m->parameters, LLAMA_HF_PLM, &w);
    json_t *metadata = json_pack("{s:s}", "format", "pt");
    int rc = safetensors_begin(&w, path, metadata, error);
    json_decref(metadata);
    if (rc == 0) rc = weights_append_vision(&m->parameters, WEIGHTS_TIMM, &w, error);
    for (size_t i = 0; rc == 0 && i < 4; i++) {
        const struct parameter *p = parameters_find(&m->parameters, projector[i].ours);
        rc = safetensors_append(&w, p->values, tensor_count(&p->tensor), error);
    }
    if (rc == 0) rc = llama_append(&m->decoder, &m->parameters, LLAMA_HF_PLM, &w, error);
    if (rc == 0)
        rc = safetensors_finish(&w, checksum, error);
    else
        safetensors_abandon(&w);
    return rc;
}

/* A tower's tensors under PE's names, LayerScale left alone where the file has none. */
static int load_tower(struct plm *m, const char *path, struct error *error)
{
    struct safetensors file;
    if (tensors_open(&file, path, error) < 0) return -1;
    const char *prefix = safetensors_find(&file, "visual.conv1.weight") ? "visual." : "";
    int rc = safetensors_find(&file, "visual.conv1.weight") || safetensors_find(&file, "conv1.weight")
                 ? 0
                 : error_set(error, ERROR_FAILED, "%s: no PE vision tower", path);
    for (int64_t i = 0; rc == 0 && i < m->parameters.count; i++) {
        struct parameter *p = m->parameters.list[i];
        if (!str_starts_with(p->name, "visual.")) continue;
        struct str name = {0};
        str_printf(&name, "%s%s", prefix, p->name + strlen("visual."));
        const struct safetensors_entry *e = safetensors_find(&file, name.data);
        if (!e && str_ends_with(p->name, ".gamma"))
            rc = 0;
        else if (!e || e->count != tensor_count(&p->tensor))
            rc = error_set(error, ERROR_FAILED, "%s: %s %s; is the tower of the same width, patch and image size?",
                           path, name.data, e ? "has another shape" : "is missing");
        else
            rc = safetensors_read(&file, e, 0, e->count, p->values, error);
        str_free(&name);
    }
    safetensors_close(&file);
    return rc;
}

int plm_load_parts(struct plm *m, const char *vision, const char *decoder, struct error *error)
{
    if (vision && load_tower(m, vision, error) < 0) return -1;
    if (!decoder) return 0;
    struct safetensors file;
    enum llama_naming naming;
    if (tensors_open(&file, decoder, error) < 0) return -1;
    bool *used = mem_zalloc((size_t)file.count, sizeof *used);
    int rc = llama_naming_of(&file, &naming, error);
    if (rc == 0) rc = llama_load(&m->decoder, &m->parameters, &file, naming, used, error);
    free(used);
    safetensors_close(&file);
    return rc;
}
