/* Parity with the reference implementations: embeddings, loss and every gradient of timm + open_clip at tiny size
 * (test/golden/core/, made by scripts/reference/core.py). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "checkpoint/safetensors.h"
#include "models/weights.h"
#include "nn/contrastive.h"
#include "test/harness.h"

struct golden {
    struct model_config config;
    struct clip clip;
    struct safetensors vectors;
    struct device device;
    struct tape tape;
    struct arena arena;
    uint8_t *pixels;
    int32_t *ids;
    int64_t count;
};

static float *vector(struct golden *g, const char *name, int64_t *count)
{
    struct error error = {0};
    const struct safetensors_entry *e = safetensors_find(&g->vectors, name);
    if (!e) return NULL;
    float *out = arena_take(&g->arena, (size_t)e->count, sizeof *out);
    safetensors_read(&g->vectors, e, 0, e->count, out, &error);
    *count = e->count;
    return out;
}

static bool golden_open(struct golden *g, const char *name)
{
    struct error error = {0};
    char path[256];
    arena_open(&g->arena, (size_t)1 << 32);
    snprintf(path, sizeof path, "test/golden/core/%s.json", name);
    int rc = model_config_load(&g->config, path, &error);
    if (rc == 0) clip_open(&g->clip, &g->config, true);
    snprintf(path, sizeof path, "test/golden/core/%s-weights.safetensors", name);
    if (rc == 0) rc = weights_load(&g->clip, path, false, &error);
    snprintf(path, sizeof path, "test/golden/core/%s-vectors.safetensors", name);
    if (rc == 0) rc = safetensors_open(&g->vectors, path, &error);
    if (rc == 0) rc = device_open(&g->device, "cpu", NULL, 2, &error);
    EXPECT(rc == 0, "%s", error.text);
    if (rc < 0) return false;
    tape_init(&g->tape, &g->device);
    int64_t n = 0;
    float *pixels = vector(g, "pixels", &n);
    g->pixels = arena_take(&g->arena, (size_t)n, 1);
    for (int64_t i = 0; i < n; i++) g->pixels[i] = (uint8_t)pixels[i];
    g->count = n / (3 * g->config.vision.image_size * g->config.vision.image_size);
    float *ids = vector(g, "ids", &n);
    g->ids = arena_take(&g->arena, (size_t)n, sizeof *g->ids);
    for (int64_t i = 0; i < n; i++) g->ids[i] = (int32_t)ids[i];
    return true;
}

static void golden_close(struct golden *g)
{
    tape_free(&g->tape);
    device_close(&g->device);
    safetensors_close(&g->vectors);
    clip_close(&g->clip);
    arena_close(&g->arena);
}

/* Gradients under the reference's names: saved as if they were weights, then compared key by key. */
static void compare_gradients(struct golden *g, double bound)
{
    struct error error = {0};
    struct parameters *p = &g->clip.parameters;
    for (int64_t i = 0; i < p->count; i++) p->list[i]->tensor.data = p->list[i]->tensor.grad;
    char *path = fs_join(test_folder(), "grads.safetensors");
    struct safetensors mine;
    int rc = weights_save(&g->clip, path, WEIGHTS_OPEN_CLIP, NULL, &error);
    if (rc == 0) rc = safetensors_open(&mine, path, &error);
    EXPECT(rc == 0, "%s", error.text);
    free(path);
    if (rc < 0) return;
    double worst = 0;
    int compared = 0;
    for (int64_t i = 0; i < mine.count; i++) {
        char name[300];
        int64_t n;
        snprintf(name, sizeof name, "grad.%s", mine.entries[i].name);
        if (str_ends_with(name, "head.bias")) continue;
        float *want = vector(g, name, &n);
        EXPECT(want && n == mine.entries[i].count, "%s", name);
        if (!want) continue;
        float *got = arena_take(&g->arena, (size_t)n, sizeof *got);
        safetensors_read(&mine, &mine.entries[i], 0, n, got, &error);
        double gap = test_close(name, got, want, n, bound);
        worst = gap > worst ? gap : worst;
        compared++;
    }
    printf("  %d gradients, largest relative difference %.2g\n", compared, worst);
    safetensors_close(&mine);
}

static void parity(const char *name, bool recompute)
{
    struct golden g = {0};
    if (!golden_open(&g, name)) return;
    struct world world = {.size = 1};
    struct text_batch words = text_pack(&g.arena, g.ids, g.count, g.config.text.context_length);
    g.tape.recording = true;
    g.tape.recompute = recompute;
    struct tensor *image = clip_image(&g.tape, &g.clip, g.pixels, g.count, g.config.vision.image_size);
    struct tensor *text = text_forward(&g.tape, &g.clip.text, &words);
    int64_t n = 0, dim = g.config.embed_dim;
    float *want = vector(&g, "image", &n);
    double a = test_close("image features", image->data, want, n, 1e-5);
    want = vector(&g, "text", &n);
    double b = test_close("text features", text->data, want, n, 1e-5);
    float *di = arena_take(&g.arena, (size_t)n, sizeof *di), *dt = arena_take(&g.arena, (size_t)n, sizeof *dt);
    struct contrastive_result r = contrastive_loss(&g.device, &world, image->data, text->data, di, dt, g.count, dim, 1,
                                                   expf(g.clip.logit_scale->data[0]));
    float loss = (float)r.loss;
    test_close("loss", &loss, vector(&g, "loss", &n), 1, 1e-6);
    g.clip.logit_scale->grad[0] = (float)r.logit_scale;
    g.clip.logit_scale->touched = true;
    tape_seed(&g.tape, image, di);
    tape_seed(&g.tape, text, dt);
    tape_backward(&g.tape, 0, g.tape.segment_count);
    parameters_settle(&g.clip.parameters);
    printf("  features differ by %.2g and %.2g\n", a, b);
    compare_gradients(&g, 1e-4);
    golden_close(&g);
}

static void core_parity(void) { parity("model", false); }
static void core_parity_recomputed(void) { parity("model", true); }
static void core_parity_no_class_token(void) { parity("model-g", false); }

static void core_inference(void)
{
    struct golden g = {0};
    if (!golden_open(&g, "model")) return;
    struct text_batch words = text_pack(&g.arena, g.ids, g.count, g.config.text.context_length);
    int64_t n = 0;
    struct tensor *image = clip_image(&g.tape, &g.clip, g.pixels, g.count, g.config.vision.image_size);
    test_close("image features", image->data, vector(&g, "image", &n), g.count * g.config.embed_dim, 1e-5);
    struct tensor *text = text_forward(&g.tape, &g.clip.text, &words);
    test_close("text features", text->data, vector(&g, "text", &n), g.count * g.config.embed_dim, 1e-5);
    golden_close(&g);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv, (struct test[]){{"core_parity", core_parity},
                                                 {"core_parity_recomputed", core_parity_recomputed},
                                                 {"core_parity_no_class_token", core_parity_no_class_token},
                                                 {"core_inference", core_inference},
                                                 {0}});
}
