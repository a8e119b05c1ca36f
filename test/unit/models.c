/* Parameter counts of the published shapes, and weights in all three namings. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/fs.h"
#include "base/rng.h"
#include "checkpoint/safetensors.h"
#include "models/weights.h"
#include "nn/init.h"
#include "test/harness.h"

static void counts(void)
{
    static const struct {
        const char *name;
        int64_t elements;
    } want[] = {{"PE-Core-G14-448", 2419266561},
                {"PE-Core-L14-336", 671137793},
                {"PE-Core-B16-224", 447659521},
                {"PE-Core-S16-384", 87187713},
                {"PE-Core-T16-384", 69545601}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct model_config config;
        struct error error = {0};
        struct towers towers;
        EXPECT(model_config_load(&config, want[i].name, &error) == 0, "%s", error.text);
        towers_open(&towers, &config); /* address space only: nothing is touched */
        EXPECT(parameters_elements(&towers.parameters) == want[i].elements, "%s: %ld", want[i].name,
               (long)parameters_elements(&towers.parameters));
        towers_close(&towers);
    }
    struct model_config config;
    struct error error = {0};
    EXPECT(model_config_load(&config, "PE-Core-B16-244", &error) < 0 && strstr(error.text, "maybe PE-Core-B16-224?"),
           "%s", error.text);
}

/* A tower of the shape of PE's spatial G, as config and back; what does not go together is refused. */
static void tower_alone(void)
{
    struct model_config core, config = {0}, again;
    struct error error = {0};
    struct towers towers;
    EXPECT(model_config_load(&core, "PE-Core-G14-448", &error) == 0, "%s", error.text);
    config = towers_tokens_config(&core, 50, 448);
    config.vision.layer_scale = 0.1;
    json_t *json = model_config_json(&config);
    EXPECT(model_config_parse(&again, "alone", json, &error) == 0, "%s", error.text);
    EXPECT(again.vision.layer_scale == 0.1 && again.vision.pool == POOL_NONE && again.vision.layers == 50 &&
               !again.text.layers,
           "%g, pool %d", again.vision.layer_scale, again.vision.pool);
    towers_open(&towers, &again);
    int64_t width = 1536, block = 4 * width + 4 * width * (width + 1) + 2 * width * 8960 + width + 8960 + 2 * width;
    EXPECT(parameters_elements(&towers.parameters) == 50 * block + width * (3 * 14 * 14 + 1024 + 2), "%ld",
           (long)parameters_elements(&towers.parameters));
    EXPECT(!parameters_find(&towers.parameters, "logit_scale") && !parameters_find(&towers.parameters, "visual.proj"),
           "a tower alone");
    towers_close(&towers);
    json_object_set_new(json, "embed_dim", json_integer(8));
    EXPECT(model_config_parse(&again, "alone", json, &error) < 0 &&
               strstr(error.text, "neither text_cfg nor embed_dim"),
           "%s", error.text);
    json_decref(json);
}

/* Initial values are draws one after the other from the parameter's own sequence, on any number of threads. */
static void draws(void)
{
    static const int64_t shape[] = {7, 7001};
    const int64_t count = shape[0] * shape[1];
    struct parameters p = {0};
    parameters_add(&p, "a.weight", 2, shape);
    parameters_allocate(&p);
    for (int threads = 1; threads <= 3; threads++) {
        struct rng normal = rng_open(5, RNG_INIT, XXH3_64bits("a.weight", 8), 0), uniform = normal;
        int64_t other = 0;
        omp_set_num_threads(threads);
        init_normal(p.list[0], 5, .02);
        for (int64_t i = 0; i < count; i++) other += p.values[i] != (float)(.02 * rng_normal(&normal));
        init_uniform(p.list[0], 5, .3);
        for (int64_t i = 0; i < count; i++) other += p.values[i] != (float)rng_range(&uniform, -.3, .3);
        EXPECT(!other, "%ld values differ on %d threads", (long)other, threads);
    }
    parameters_free(&p);
}

static struct towers load(const char *path, bool vision_only, struct error *error)
{
    struct model_config config;
    struct towers towers;
    model_config_load(&config, "test/golden/core/model.json", error);
    towers_open(&towers, &config);
    weights_load(&towers, path, vision_only, error);
    return towers;
}

static void namings(void)
{
    struct error error = {0};
    struct towers source = load("test/golden/core/model-weights.safetensors", false, &error);
    static const enum weights_naming all[] = {WEIGHTS_PE, WEIGHTS_OPEN_CLIP, WEIGHTS_TIMM};
    for (int i = 0; i < 3; i++) {
        char *path = fs_join(test_folder(), "w.safetensors");
        EXPECT(weights_save(&source, path, all[i], NULL, &error) == 0, "%s", error.text);
        struct towers copy = load(path, all[i] == WEIGHTS_TIMM, &error);
        EXPECT(!error.code, "%s", error.text);
        for (int64_t k = 0; k < copy.parameters.count; k++) {
            const struct parameter *a = source.parameters.list[k], *b = copy.parameters.list[k];
            if (all[i] == WEIGHTS_TIMM && strncmp(a->name, "visual.", 7)) continue;
            EXPECT(!memcmp(a->values, b->values, (size_t)tensor_count(&a->tensor) * sizeof(float)), "naming %d: %s",
                   all[i], a->name);
        }
        towers_close(&copy);
        if (all[i] == WEIGHTS_TIMM) {
            struct error refused = {0};
            copy = load(path, false, &refused);
            EXPECT(strstr(refused.text, "vision tower only"), "%s", refused.text);
            towers_close(&copy);
        }
        free(path);
    }
    towers_close(&source);
}

/* What open_clip wrote comes back from our writer key by key, shape by shape, bit by bit. */
static void round_trip(void)
{
    struct error error = {0};
    struct towers towers = load("test/golden/core/model-weights.safetensors", false, &error);
    char *path = fs_join(test_folder(), "again.safetensors");
    struct safetensors theirs, ours;
    EXPECT(weights_save(&towers, path, WEIGHTS_OPEN_CLIP, NULL, &error) == 0 &&
               safetensors_open(&ours, path, &error) == 0 &&
               safetensors_open(&theirs, "test/golden/core/model-weights.safetensors", &error) == 0,
           "%s", error.text);
    EXPECT(ours.count == theirs.count, "%ld keys, want %ld", (long)ours.count, (long)theirs.count);
    for (int64_t i = 0; i < theirs.count; i++) {
        const struct safetensors_entry *want = &theirs.entries[i], *got = safetensors_find(&ours, want->name);
        EXPECT(got && got->ndim == want->ndim && !memcmp(got->shape, want->shape, sizeof got->shape) &&
                   !memcmp(got->bytes, want->bytes, (size_t)want->count * 4),
               "%s", want->name);
    }
    safetensors_close(&ours);
    safetensors_close(&theirs);
    towers_close(&towers);
    free(path);
}

static void wrong_model(void)
{
    struct error error = {0};
    struct model_config config;
    struct towers towers;
    model_config_load(&config, "test/golden/core/model-g.json", &error);
    towers_open(&towers, &config);
    EXPECT(weights_load(&towers, "test/golden/core/model-weights.safetensors", false, &error) < 0, "loaded");
    EXPECT(strstr(error.text, "visual.trunk.") && strstr(error.text, "--model"), "%s", error.text);
    towers_close(&towers);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"parameter_counts", counts},
                                     {"tower_alone", tower_alone},
                                     {"draws_on_any_number_of_threads", draws},
                                     {"weights_in_three_namings", namings},
                                     {"open_clip_round_trip", round_trip},
                                     {"weights_of_another_model", wrong_model},
                                     {0}});
}
