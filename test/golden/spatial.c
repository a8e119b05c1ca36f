/* pe-aligner spatial against autograd through timm's tower (test/golden/spatial/, made by
 * scripts/reference/spatial.py): losses, and gradients as one step of plain descent takes them from the weights. */
#include "aligner/spatial.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/str.h"
#include "models/weights.h"
#include "test/harness.h"

#define FOLDER "test/golden/spatial"
static const double rate = 10;
static const struct world *world;

/* One step, all pictures in one slice: the run's folder, the caller frees. */
static char *step(const char *device, const char *name, const char *const *own)
{
    char *argv[64], logs[256];
    struct error error = {0};
    int argc = 0;
    static const char *const common[] = {"--train-data",
                                         FOLDER "/pictures",
                                         "--masks",
                                         FOLDER "/maps",
                                         "--model",
                                         FOLDER "/model.json",
                                         "--pretrained",
                                         FOLDER "/core.safetensors",
                                         "--points",
                                         "6",
                                         "--aug",
                                         "none",
                                         "--drop-path",
                                         "0",
                                         "--global-batch-size",
                                         "2",
                                         "--slices",
                                         "1",
                                         "--steps",
                                         "1",
                                         "--opt",
                                         "sgd",
                                         "--lr",
                                         "10",
                                         "--wd",
                                         "0",
                                         "--grad-clip-norm",
                                         "0",
                                         "--threads",
                                         "2",
                                         NULL};
    for (int i = 0; common[i]; i++) argv[argc++] = (char *)(uintptr_t)common[i];
    for (int i = 0; own[i]; i++) argv[argc++] = (char *)(uintptr_t)own[i];
    snprintf(logs, sizeof logs, "%s", test_folder());
    const char *const run[] = {"--logs", logs, "--name", name, "--device", device};
    for (int i = 0; i < 6; i++) argv[argc++] = (char *)(uintptr_t)run[i];
    training_run(world, &spatial_program, &spatial_objective, argc, argv, &error);
    EXPECT(!error.code, "%s", error.text);
    return fs_join(logs, name);
}

/* A tower with LayerScale, as it was saved, as it began, and the gradients that were expected of it. */
static bool read_tower(struct towers *t, const char *path)
{
    struct model_config config;
    struct error error = {0};
    int rc = model_config_load(&config, FOLDER "/model.json", &error);
    bool plain = !strcmp(path, FOLDER "/core.safetensors");
    config.vision.layer_scale = plain ? 0 : 0.1;
    towers_open(t, &config);
    if (rc == 0) rc = weights_load(t, path, true, &error);
    EXPECT(rc == 0, "%s", error.text);
    return rc == 0;
}

static void check_gradients(const struct towers *after, const struct towers *core, const struct towers *want)
{
    for (int64_t i = 0; i < want->parameters.count; i++) {
        const struct parameter *w = want->parameters.list[i], *a = after->parameters.list[i],
                               *c = parameters_find(&core->parameters, w->name);
        int64_t count = tensor_count(&w->tensor);
        bool scaled = strstr(w->name, ".out_proj.") || strstr(w->name, ".c_proj.");
        float *got = malloc((size_t)count * sizeof *got);
        for (int64_t k = 0; k < count; k++) {
            float before = c ? scaled ? (float)((double)c->values[k] / 0.1) : c->values[k] : 0.1f;
            got[k] = (float)(((double)before - (double)a->values[k]) / rate);
        }
        test_close(w->name, got, w->values, count, 5e-5);
        free(got);
    }
}

/* "core_loss":0.123 of the run's only row. */
static double figure(const char *run, const char *key)
{
    struct error error = {0};
    struct str name = {0};
    char *path = fs_join(run, "metrics.jsonl"), *text, *at;
    size_t len;
    int rc = fs_read(path, &text, &len, &error);
    EXPECT(rc == 0, "%s", error.text);
    free(path);
    if (rc < 0) return NAN;
    str_printf(&name, "\"%s\":", key);
    at = strstr(text, name.data);
    double value = at ? strtod(at + name.len, NULL) : NAN;
    str_free(&name);
    free(text);
    return value;
}

static void check_case(const char *device, const char *kind, const char *const *own)
{
    struct safetensors file;
    struct error error = {0};
    struct towers after, core, want;
    char name[64], expected[128];
    snprintf(name, sizeof name, "%s-%s", kind, device);
    snprintf(expected, sizeof expected, FOLDER "/%s.safetensors", kind);
    char *run = step(device, name, own), *saved = fs_join(run, "checkpoints/latest/model.safetensors");
    if (read_tower(&after, saved) && read_tower(&core, FOLDER "/core.safetensors") && read_tower(&want, expected))
        check_gradients(&after, &core, &want);
    EXPECT(safetensors_open(&file, expected, &error) == 0, "%s", error.text);
    static const char *const keys[] = {"core_loss", "local_loss"};
    for (int i = 0; i < 2; i++) {
        double value = strtod(safetensors_metadata(&file, keys[i]), NULL), got = figure(run, keys[i]);
        EXPECT(fabs(got - value) < 1e-6, "%s is %.9g, expected %.9g", keys[i], got, value);
    }
    safetensors_close(&file);
    towers_close(&after);
    towers_close(&core);
    towers_close(&want);
    free(run);
    free(saved);
}

static void check_device(const char *device)
{
    static const char *const plain[] = {"--core-layer", "1", "--mask-ratio", "0", NULL};
    static const char *const hidden[] = {"--core-layer",
                                         "2",
                                         "--core-class-token",
                                         "--mask-ratio",
                                         "1",
                                         "--core-weight",
                                         "0.5",
                                         "--local-weight",
                                         "2",
                                         "--local-sharpness",
                                         "5",
                                         NULL};
    check_case(device, "plain", plain);
    check_case(device, "hidden", hidden);
}

static void cpu(void)
{
    check_device("cpu");
}

static void cuda(void)
{
    if (device_count() > 0) check_device("cuda");
}

int main(int argc, char **argv)
{
    struct world joined = world_join(&argc, &argv);
    struct error none = {0};
    world = &joined;
    log_open(1); /* quietly */
    int rc =
        test_main(argc, argv, (struct test[]){{"spatial_as_autograd", cpu}, {"spatial_as_autograd_cuda", cuda}, {0}});
    world_leave(&joined, &none);
    return rc;
}
