/* Built-in model configurations and their parser. */
#include "models/config.h"

#include <stdio.h>
#include <string.h>

#include "base/embed.h"
#include "base/json.h"
#include "base/str.h"

EMBED_FILE(config_g14_448, "common/models/configs/PE-Core-G14-448.json");
EMBED_FILE(config_l14_336, "common/models/configs/PE-Core-L14-336.json");
EMBED_FILE(config_b16_224, "common/models/configs/PE-Core-B16-224.json");
EMBED_FILE(config_s16_384, "common/models/configs/PE-Core-S16-384.json");
EMBED_FILE(config_t16_384, "common/models/configs/PE-Core-T16-384.json");
EMBED_FILE(config_tiny, "common/models/configs/PE-Core-Tiny8-64.json");
EMBED_FILE(config_test, "common/models/configs/PE-Core-Test8-32.json");

static const char *const names[] = {"PE-Core-G14-448", "PE-Core-L14-336",  "PE-Core-B16-224",  "PE-Core-S16-384",
                                    "PE-Core-T16-384", "PE-Core-Tiny8-64", "PE-Core-Test8-32", NULL};
static const unsigned char *const texts[][2] = {
    {config_g14_448, config_g14_448_end}, {config_l14_336, config_l14_336_end}, {config_b16_224, config_b16_224_end},
    {config_s16_384, config_s16_384_end}, {config_t16_384, config_t16_384_end}, {config_tiny, config_tiny_end},
    {config_test, config_test_end}};

const char *const *model_config_names(void)
{
    return names;
}

static int integer(const json_t *object, const char *where, const char *key, int64_t *out, struct error *error)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) < 1 || json_integer_value(value) > 1 << 24)
        return error_set(error, ERROR_USAGE, "%s.%s must be a positive integer", where, key);
    *out = json_integer_value(value);
    return 0;
}

static int known(const json_t *object, const char *where, const char *const *keys, struct error *error)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)object, key, value) {
        int found = 0;
        for (int i = 0; keys[i]; i++) found |= !strcmp(key, keys[i]);
        if (!found) return error_set(error, ERROR_USAGE, "%s has an unknown key \"%s\"", where, key);
    }
    return 0;
}

static const char *const pool_names[] = {[POOL_ATTENTION] = "attention", [POOL_CLASS] = "class", [POOL_NONE] = "none"};

static int parse_pool(struct vision_config *v, const json_t *o, struct error *error)
{
    const char *pool = json_string_value(json_object_get(o, "pool"));
    const json_t *scale = json_object_get(o, "layer_scale");
    for (v->pool = POOL_ATTENTION; pool && v->pool <= POOL_NONE && strcmp(pool, pool_names[v->pool]);) v->pool++;
    if (!pool || v->pool > POOL_NONE)
        return error_set(error, ERROR_USAGE, "vision_cfg.pool must be \"attention\", \"class\" or \"none\"");
    v->layer_scale = json_number_value(scale);
    if (scale && !(v->layer_scale > 0 && v->layer_scale <= 10))
        return error_set(error, ERROR_USAGE, "vision_cfg.layer_scale must be a number above 0");
    return v->pool == POOL_NONE ? 0 : integer(o, "vision_cfg", "pool_heads", &v->pool_heads, error);
}

static int parse_vision(struct vision_config *v, const json_t *o, struct error *error)
{
    static const char *const keys[] = {"image_size",  "patch_size", "width", "layers",     "heads",       "mlp_width",
                                       "class_token", "rope",       "pool",  "pool_heads", "layer_scale", NULL};
    if (!json_is_object(o)) return error_set(error, ERROR_USAGE, "vision_cfg is missing");
    if (known(o, "vision_cfg", keys, error) < 0 || integer(o, "vision_cfg", "image_size", &v->image_size, error) < 0 ||
        integer(o, "vision_cfg", "patch_size", &v->patch_size, error) < 0 ||
        integer(o, "vision_cfg", "width", &v->width, error) < 0 ||
        integer(o, "vision_cfg", "layers", &v->layers, error) < 0 ||
        integer(o, "vision_cfg", "heads", &v->heads, error) < 0 ||
        integer(o, "vision_cfg", "mlp_width", &v->mlp_width, error) < 0 || parse_pool(v, o, error) < 0)
        return -1;
    v->class_token = json_is_true(json_object_get(o, "class_token"));
    v->rope = json_is_true(json_object_get(o, "rope"));
    if (v->image_size % v->patch_size)
        return error_set(error, ERROR_USAGE, "vision_cfg.image_size %ld is no multiple of patch_size %ld",
                         (long)v->image_size, (long)v->patch_size);
    if (v->width % v->heads || v->width / v->heads % (v->rope ? 4 : 1))
        return error_set(error, ERROR_USAGE, "vision_cfg.width %ld does not split into %ld heads of a multiple of 4",
                         (long)v->width, (long)v->heads);
    if (v->pool != POOL_NONE && v->width % v->pool_heads)
        return error_set(error, ERROR_USAGE, "vision_cfg.width %ld does not split into %ld pool_heads", (long)v->width,
                         (long)v->pool_heads);
    if (v->pool == POOL_CLASS && !v->class_token)
        return error_set(error, ERROR_USAGE, "vision_cfg.pool \"class\" needs class_token true");
    return 0;
}

static int parse_text(struct text_config *t, const json_t *o, struct error *error)
{
    static const char *const keys[] = {"context_length", "vocab_size", "width", "heads", "layers", NULL};
    if (!json_is_object(o)) return error_set(error, ERROR_USAGE, "text_cfg is missing");
    if (known(o, "text_cfg", keys, error) < 0 ||
        integer(o, "text_cfg", "context_length", &t->context_length, error) < 0 ||
        integer(o, "text_cfg", "vocab_size", &t->vocab_size, error) < 0 ||
        integer(o, "text_cfg", "width", &t->width, error) < 0 ||
        integer(o, "text_cfg", "heads", &t->heads, error) < 0 ||
        integer(o, "text_cfg", "layers", &t->layers, error) < 0)
        return -1;
    if (t->width % t->heads)
        return error_set(error, ERROR_USAGE, "text_cfg.width %ld does not split into %ld heads", (long)t->width,
                         (long)t->heads);
    return 0;
}

int model_config_parse(struct model_config *config, const char *name, const json_t *root, struct error *error)
{
    static const char *const keys[] = {"embed_dim", "vision_cfg", "text_cfg", NULL};
    struct model_config out = {0};
    snprintf(out.name, sizeof out.name, "%s", name);
    if (!json_is_object(root)) return error_set(error, ERROR_USAGE, "model %s: not a JSON object", name);
    if (known(root, "the model", keys, error) < 0 ||
        parse_vision(&out.vision, json_object_get(root, "vision_cfg"), error) < 0)
        return error_prefix(error, "model %s", name);
    bool alone = out.vision.pool == POOL_NONE;
    if (alone && (json_object_get(root, "text_cfg") || json_object_get(root, "embed_dim")))
        return error_set(error, ERROR_USAGE, "model %s: a tower without pooling has neither text_cfg nor embed_dim",
                         name);
    if (!alone && (integer(root, "the model", "embed_dim", &out.embed_dim, error) < 0 ||
                   parse_text(&out.text, json_object_get(root, "text_cfg"), error) < 0))
        return error_prefix(error, "model %s", name);
    *config = out;
    return 0;
}

int model_config_load(struct model_config *config, const char *name, struct error *error)
{
    json_t *root = NULL;
    if (str_ends_with(name, ".json")) {
        root = json_read(name, error);
        if (!root) return -1;
        const char *slash = strrchr(name, '/');
        char stem[64];
        snprintf(stem, sizeof stem, "%.*s", (int)strlen(slash ? slash + 1 : name) - 5, slash ? slash + 1 : name);
        int rc = model_config_parse(config, stem, root, error);
        json_decref(root);
        return rc;
    }
    const char *nearest = names[0];
    for (int i = 0; names[i]; i++) {
        if (str_distance(name, names[i]) < str_distance(name, nearest)) nearest = names[i];
        if (strcmp(name, names[i])) continue;
        root = json_loadb((const char *)texts[i][0], (size_t)(texts[i][1] - texts[i][0]), 0, NULL);
        int rc = model_config_parse(config, name, root, error);
        json_decref(root);
        return rc;
    }
    return error_set(error, ERROR_USAGE, "--model %s: no such model (maybe %s?), and no path of a .json file", name,
                     nearest);
}

json_t *model_config_json(const struct model_config *c)
{
    const struct vision_config *v = &c->vision;
    const struct text_config *t = &c->text;
    json_t *vision = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b}", "image_size", (json_int_t)v->image_size,
                               "patch_size", (json_int_t)v->patch_size, "width", (json_int_t)v->width, "layers",
                               (json_int_t)v->layers, "heads", (json_int_t)v->heads, "mlp_width",
                               (json_int_t)v->mlp_width, "class_token", v->class_token, "rope", v->rope);
    json_object_set_new(vision, "pool", json_string(pool_names[v->pool]));
    if (v->pool != POOL_NONE) json_object_set_new(vision, "pool_heads", json_integer(v->pool_heads));
    if (v->layer_scale > 0) json_object_set_new(vision, "layer_scale", json_real(v->layer_scale));
    if (v->pool == POOL_NONE) return json_pack("{s:o}", "vision_cfg", vision);
    return json_pack("{s:I, s:o, s:{s:I, s:I, s:I, s:I, s:I}}", "embed_dim", (json_int_t)c->embed_dim, "vision_cfg",
                     vision, "text_cfg", "context_length", (json_int_t)t->context_length, "vocab_size",
                     (json_int_t)t->vocab_size, "width", (json_int_t)t->width, "heads", (json_int_t)t->heads, "layers",
                     (json_int_t)t->layers);
}
