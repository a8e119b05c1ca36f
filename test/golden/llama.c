/* The decoder against transformers' Llama (test/golden/llama/, made by scripts/reference/llama.py): logits, loss and
 * every gradient; the same weights from Hugging Face's files, in parts too, and Meta's; and generation from a cache
 * against the whole pass. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "models/generate.h"
#include "models/llama_files.h"
#include "test/harness.h"

struct golden {
    struct llama_config config;
    struct llama llama;
    struct parameters parameters;
    struct safetensors vectors;
    struct device device;
    struct tape tape;
    struct arena host, there;
    int32_t ids[256], starts[3];
};

static float *vector(struct golden *g, const char *name, int64_t *count)
{
    return test_vector(&g->host, &g->vectors, name, count);
}

enum { AS_FLOATS = -1 }; /* instead of an enum packing */

static int load(struct golden *g, const char *folder, const char *config, int packing, struct error *error)
{
    char path[256];
    struct safetensors file;
    enum llama_naming naming;
    snprintf(path, sizeof path, "test/golden/llama/%s/%s", folder, config);
    json_t *root = json_read(path, error);
    int rc = root ? llama_config_parse(&g->config, path, root, error) : -1;
    json_decref(root);
    if (rc < 0) return -1;
    llama_register(&g->llama, &g->parameters, &g->config);
    parameters_allocate(&g->parameters);
    if (packing >= 0) parameters_pack(&g->parameters, "decoder.", (enum packing)packing, &g->device);
    snprintf(path, sizeof path, "test/golden/llama/%s", folder);
    if (tensors_open(&file, path, error) < 0) return -1;
    bool *used = mem_zalloc((size_t)file.count, sizeof *used);
    rc = llama_naming_of(&file, &naming, error);
    if (rc == 0) rc = llama_load(&g->llama, &g->parameters, &file, naming, used, error);
    for (int64_t i = 0; rc == 0 && i < file.count; i++)
        EXPECT(used[i], "%s: %s was not used", folder, file.entries[i].name);
    free(used);
    safetensors_close(&file);
    return rc;
}

static bool golden_open(struct golden *g, const char *folder, const char *config, int packing)
{
    struct error error = {0};
    memset(g, 0, sizeof *g);
    arena_open(&g->host, (size_t)1 << 32);
    int rc = device_open(&g->device, device_count() ? "cuda" : "cpu", "fp32", NULL, 2, 0, &error);
    if (rc == 0) rc = load(g, folder, config, packing, &error);
    if (rc == 0)
        rc = safetensors_open(&g->vectors,
                              !strcmp(folder, "tied") ? "test/golden/llama/tied/vectors.safetensors"
                                                      : "test/golden/llama/untied/vectors.safetensors",
                              &error);
    EXPECT(rc == 0, "%s", error.text);
    if (rc < 0) return false;
    parameters_place(&g->parameters, &g->device, packing < 0);
    parameters_push(&g->parameters);
    tape_init(&g->tape, &g->device);
    device_arena_open(&g->device, &g->there, (size_t)1 << 32);
    llama_reserve(&g->llama, &g->device, 128);
    for (int i = 0; i < 2; i++) {
        int64_t n = 0;
        float *ids = vector(g, i ? "ids1" : "ids0", &n);
        for (int64_t k = 0; k < n; k++) g->ids[g->starts[i] + k] = (int32_t)ids[k];
        g->starts[i + 1] = g->starts[i] + (int32_t)n;
    }
    return true;
}

static void golden_close(struct golden *g)
{
    tape_free(&g->tape);
    arena_close(&g->there);
    llama_free(&g->llama, &g->device);
    parameters_free(&g->parameters);
    device_close(&g->device);
    safetensors_close(&g->vectors);
    arena_close(&g->host);
}

static const int32_t *bring(struct golden *g, const int32_t *host, int64_t n)
{
    return device_bring(&g->device, &g->there, host, (size_t)n * sizeof *host);
}

static void check_logits(struct golden *g, const char *what, double bound)
{
    int64_t rows = g->starts[2], vocabulary = g->config.vocab_size, n;
    int32_t *all = arena_take(&g->host, (size_t)rows, sizeof *all);
    float *got = arena_take(&g->host, (size_t)(rows * vocabulary), sizeof *got);
    for (int32_t i = 0; i < rows; i++) all[i] = i;
    tape_reset(&g->tape);
    g->tape.recording = false;
    struct llama_batch batch = llama_pack(&g->host, &g->device, &g->there, g->ids, g->starts, 2);
    struct tensor *hidden = llama_forward(&g->tape, &g->llama, &batch);
    struct tensor *logits = llama_logits(&g->tape, &g->llama, hidden, bring(g, all, rows), rows);
    test_from_device(&g->device, got, logits->data, rows * vocabulary, true);
    for (int i = 0; i < 2; i++) {
        const float *want = vector(g, i ? "logits1" : "logits0", &n);
        double gap = test_close(what, got + g->starts[i] * vocabulary, want, n, bound);
        printf("  %s: logits of sequence %d within %.2g\n", what, i, gap);
    }
}

/* Gradients under the reference's names: saved as if they were weights, then compared key by key. */
static void compare_gradients(struct golden *g, double bound)
{
    struct error error = {0};
    struct safetensors_writer w = {.fd = -1};
    char *path = fs_join(test_folder(), "grads.safetensors");
    g->device.kernels->download(&g->device, g->parameters.values, g->parameters.gradients,
                                (size_t)g->parameters.total * sizeof(float));
    llama_declare(&g->llama, &g->parameters, LLAMA_HF, &w);
    int rc = safetensors_begin(&w, path, NULL, &error);
    if (rc == 0) rc = llama_append(&g->llama, &g->parameters, LLAMA_HF, &w, &error);
    if (rc == 0) rc = safetensors_finish(&w, NULL, &error);
    EXPECT(rc == 0, "%s", error.text);
    int compared = test_gradients(&g->host, &g->vectors, path, bound);
    EXPECT(compared == (g->config.tied ? 20 : 21), "%d gradients", compared);
    free(path);
}

static void check_training(struct golden *g, bool recompute)
{
    int32_t rows[256], targets[256];
    int64_t n = 0, one;
    for (int s = 0; s < 2; s++)
        for (int32_t r = g->starts[s]; r + 1 < g->starts[s + 1]; r++) rows[n] = r, targets[n++] = g->ids[r + 1];
    tape_reset(&g->tape);
    g->tape.recording = true;
    g->tape.recompute = recompute;
    parameters_aim(&g->parameters, g->parameters.gradients);
    struct llama_batch batch = llama_pack(&g->host, &g->device, &g->there, g->ids, g->starts, 2);
    struct tensor *hidden = llama_forward(&g->tape, &g->llama, &batch);
    struct tensor *loss = llama_loss(&g->tape, &g->llama, hidden, bring(g, rows, n), bring(g, targets, n), n);
    float each[256], seed[256];
    double mean = 0;
    test_from_device(&g->device, each, loss->data, n, true);
    for (int64_t i = 0; i < n; i++) mean += (double)each[i] / (double)n, seed[i] = 1 / (float)n;
    const float *want = vector(g, "loss", &one);
    EXPECT(want && fabs(mean - (double)*want) < 1e-5 * mean, "loss %.8g, want %.8g", mean, want ? (double)*want : 0);
    tape_seed(&g->tape, loss, (const float *)(const void *)bring(g, (const int32_t *)(const void *)seed, n));
    tape_backward(&g->tape, 0, g->tape.segment_count);
    parameters_settle(&g->parameters);
    compare_gradients(g, 1e-4);
}

/* Once recorded, once recomputed; the comparison leaves gradients where weights were, so each starts anew. */
static void parity(const char *folder, const char *config)
{
    for (int recompute = 0; recompute < 2; recompute++) {
        struct golden g;
        if (!golden_open(&g, folder, config, AS_FLOATS)) return;
        if (!recompute) check_logits(&g, folder, 1e-4);
        if (strcmp(folder, "meta")) check_training(&g, recompute);
        golden_close(&g);
    }
}

static void tied(void)
{
    parity("tied", "config.json");
}
static void untied(void)
{
    parity("untied", "config.json");
}
static void meta(void)
{
    parity("meta", "params.json");
}

/* Weights rounded by 2^-9 of each or by 1/254 of the largest of 64, grown by two layers of random weights that amplify
 * rather than average. */
static void packed(void)
{
    static const struct {
        const char *name;
        double bound;
    } kinds[] = {[PACKING_FP32] = {"fp32 weights, packed", 1e-4},
                 [PACKING_BF16] = {"bf16 weights", 8e-2},
                 [PACKING_INT8] = {"int8 weights", 4e-1}};
    struct golden g;
    if (device_count()) return;
    for (int packing = PACKING_FP32; packing <= PACKING_INT8; packing++) {
        if (!golden_open(&g, "untied", "config.json", packing)) return;
        check_logits(&g, kinds[packing].name, kinds[packing].bound);
        golden_close(&g);
    }
}

/* New weights have the deviation that the config names, smaller where they lead back into the stream, and it is written
 * with the model. */
static void drawn(void)
{
    struct llama l;
    struct llama_config c;
    struct parameters p = {0};
    struct error error = {0};
    json_t *root =
        json_pack("{s:i, s:i, s:i, s:i, s:i, s:f}", "vocab_size", 500, "hidden_size", 64, "num_hidden_layers", 2,
                  "num_attention_heads", 4, "intermediate_size", 128, "initializer_range", .07);
    EXPECT(llama_config_parse(&c, "test", root, &error) == 0, "%s", error.text);
    json_t *written = llama_config_json(&c);
    EXPECT(json_number_value(json_object_get(written, "initializer_range")) == .07, "written as %g",
           json_number_value(json_object_get(written, "initializer_range")));
    llama_register(&l, &p, &c);
    parameters_allocate(&p);
    llama_init(&l, &p, 1);
    for (int i = 0; i < 2; i++) {
        const struct parameter *it =
            parameters_find(&p, i ? "decoder.layers.1.attention.out.weight" : "decoder.embedding.weight");
        double sum = 0, want = i ? .07 / 2 : .07;
        int64_t n = it->tensor.rows * it->tensor.cols;
        for (int64_t k = 0; k < n; k++) sum += (double)it->values[k] * it->values[k];
        EXPECT(fabs(sqrt(sum / (double)n) / want - 1) < .05, "%s: deviation %g, want %g", it->name,
               sqrt(sum / (double)n), want);
    }
    json_object_set_new(root, "initializer_range", json_real(0));
    EXPECT(llama_config_parse(&c, "test", root, &error) < 0 && strstr(error.text, "initializer_range"), "%s",
           error.text);
    json_decref(root);
    json_decref(written);
    llama_free(&l, NULL);
    parameters_free(&p);
}

enum { PROMPTS = 7, MOST = 20 };

/* Prompts that share beginnings of 0, 20 and 40 tokens with the first. */
static int64_t make_prompt(const struct golden *g, int i, int32_t *ids)
{
    int64_t same = i % 3 * 20, n = 3 + i * 9;
    for (int64_t k = 0; k < n; k++)
        ids[k] = k < same ? g->ids[k] : (g->ids[k % 60] + 11 * i + 1) % (int32_t)g->config.vocab_size;
    return n;
}

/* All prompts through a generator; texts [PROMPTS][MOST + 1], -1 behind the last id. */
static struct generator_figures generate_all(struct golden *g, struct generator_config config, double temperature,
                                             int32_t texts[PROMPTS][MOST + 1])
{
    struct error error = {0};
    int32_t stop = 7, ids[128];
    struct sampling sampling = {
        .temperature = temperature, .top_p = .9, .seed = 3, .most = MOST, .stops = &stop, .stop_count = 1};
    struct generator *generator = generator_open(&g->llama, &g->device, &config, &sampling);
    for (int i = 0; i < PROMPTS; i++) {
        struct prompt prompt = {.ids = ids, .count = make_prompt(g, i, ids), .key = (uint64_t)i};
        EXPECT(generator_submit(generator, &prompt, &error) == 0, "%s", error.text);
    }
    struct generated out;
    int seen = 0;
    while (generator_step(generator))
        while (generator_take(generator, &out)) {
            for (int64_t k = 0; k <= MOST; k++) texts[out.key][k] = k < out.count ? out.ids[k] : -1;
            EXPECT(out.end == (out.count == MOST ? GENERATED_MOST : GENERATED_STOP), "prompt %d ends by %d after %ld",
                   (int)out.key, out.end, (long)out.count);
            free(out.ids);
            seen++;
        }
    EXPECT(seen == PROMPTS && !generator_pending(generator), "%d of %d finished", seen, PROMPTS);
    struct generator_figures f = generator_figures(generator);
    generator_close(generator);
    return f;
}

/* Logits [vocabulary] of the next token by the whole pass over all that came before. */
static void whole_pass(struct golden *g, const int32_t *ids, int64_t n, float *logits)
{
    int32_t starts[2] = {0, (int32_t)n}, last = (int32_t)n - 1;
    tape_reset(&g->tape);
    g->tape.recording = false;
    struct llama_batch batch = llama_pack(&g->host, &g->device, &g->there, ids, starts, 1);
    struct tensor *l =
        llama_logits(&g->tape, &g->llama, llama_forward(&g->tape, &g->llama, &batch), bring(g, &last, 1), 1);
    test_from_device(&g->device, logits, l->data, g->config.vocab_size, true);
}

static int32_t next_by_whole_pass(struct golden *g, const int32_t *ids, int64_t n)
{
    float logits[256];
    int32_t best = 0;
    whole_pass(g, ids, n, logits);
    for (int32_t i = 1; i < g->config.vocab_size; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

static double likelihood_by_whole_pass(struct golden *g, const int32_t *ids, int64_t n, int32_t id)
{
    float logits[256];
    double total = 0;
    whole_pass(g, ids, n, logits);
    for (int32_t i = 0; i < g->config.vocab_size; i++) total += exp((double)logits[i]);
    return logits[id] - log(total);
}

static void generation(int packing)
{
    struct golden g;
    static int32_t alone[PROMPTS][MOST + 1], together[PROMPTS][MOST + 1], drawn[PROMPTS][MOST + 1];
    if (packing >= 0 && device_count()) return;
    if (!golden_open(&g, "tied", "config.json", packing)) return;
    generate_all(&g, (struct generator_config){.sequences = 1, .rows = 1, .context = 100}, 0, alone);
    int differ = 0;
    for (int i = 0; i < PROMPTS; i++) {
        int32_t ids[128];
        int64_t n = make_prompt(&g, i, ids);
        for (int k = 0; k < MOST && alone[i][k] >= 0; k++) {
            EXPECT(next_by_whole_pass(&g, ids, n) == alone[i][k], "prompt %d, token %d", i, k);
            ids[n++] = alone[i][k];
        }
    }
    const struct generator_config shapes[] = {{3, 8, 100, 0}, {8, 8, 100, 0}, {8, 64, 100, 0}, {4, 200, 100, 256}};
    for (int temperature = 0; temperature < 2; temperature++) {
        if (temperature)
            generate_all(&g, (struct generator_config){.sequences = 1, .rows = 5, .context = 100}, 1.5, drawn);
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            struct generator_figures f = generate_all(&g, shapes[s], temperature * 1.5, together);
            EXPECT(!memcmp(together, temperature ? drawn : alone, sizeof together),
                   "other text from %ld sequences in passes of %ld rows", (long)shapes[s].sequences,
                   (long)shapes[s].rows);
            EXPECT(f.reused_rows + f.prompt_rows == 3 * PROMPTS + 9 * 21, "%ld + %ld rows of prompts",
                   (long)f.reused_rows, (long)f.prompt_rows);
            if (shapes[s].sequences == 3) EXPECT(f.reused_rows >= 16, "%ld rows reused", (long)f.reused_rows);
        }
    }
    for (int i = 0; i < PROMPTS; i++) differ += memcmp(alone[i], drawn[i], sizeof alone[i]) != 0;
    EXPECT(differ > 3, "only %d texts differ at temperature 1.5", differ);
    golden_close(&g);
}

enum { GIVEN = 9 };

/* The same texts as given tokens: their log-probabilities [PROMPTS][GIVEN], of them one behind the other, then of each
 * as the first. */
static void weigh_all(struct golden *g, struct generator_config config, int32_t texts[PROMPTS][MOST + 1],
                      double weights[2][PROMPTS][GIVEN])
{
    struct error error = {0};
    int32_t ids[128];
    struct sampling sampling = {.most = MOST};
    struct generator *generator = generator_open(&g->llama, &g->device, &config, &sampling);
    for (int i = 0; i < 2 * PROMPTS; i++) {
        struct prompt prompt = {.ids = ids,
                                .count = make_prompt(g, i / 2, ids),
                                .key = (uint64_t)i,
                                .given = texts[i / 2],
                                .given_count = GIVEN,
                                .each = i % 2};
        EXPECT(generator_submit(generator, &prompt, &error) == 0, "%s", error.text);
    }
    struct generated out;
    int seen = 0;
    for (; generator_step(generator);)
        for (; generator_take(generator, &out); seen++) {
            memcpy(weights[out.key % 2][out.key / 2], out.given, sizeof **weights);
            free(out.given);
            free(out.ids);
        }
    EXPECT(seen == 2 * PROMPTS, "%d finished", seen);
    generator_close(generator);
}

static void weighed(void)
{
    struct golden g;
    static int32_t texts[PROMPTS][MOST + 1];
    static double alone[2][PROMPTS][GIVEN], together[2][PROMPTS][GIVEN];
    if (!golden_open(&g, "tied", "config.json", AS_FLOATS)) return;
    for (int i = 0; i < PROMPTS; i++)
        for (int k = 0; k < GIVEN; k++) texts[i][k] = (17 * i + 29 * k + 3) % (int32_t)g.config.vocab_size;
    weigh_all(&g, (struct generator_config){.sequences = 1, .rows = 1, .context = 100}, texts, alone);
    for (int i = 0; i < PROMPTS; i++) {
        int32_t ids[128];
        int64_t n = make_prompt(&g, i, ids);
        EXPECT(alone[0][i][0] == alone[1][i][0], "prompt %d: %g, alone %g", i, alone[0][i][0], alone[1][i][0]);
        for (int k = 0; k < GIVEN; k++) {
            double first = likelihood_by_whole_pass(&g, ids, make_prompt(&g, i, ids), texts[i][k]);
            EXPECT(fabs(alone[1][i][k] - first) < 1e-4, "prompt %d, token %d alone: %g, not %g", i, k, alone[1][i][k],
                   first);
            for (int j = 0; j < k; j++) ids[n + j] = texts[i][j];
            double next = likelihood_by_whole_pass(&g, ids, n + k, texts[i][k]);
            EXPECT(fabs(alone[0][i][k] - next) < 1e-4, "prompt %d, token %d: %g, not %g", i, k, alone[0][i][k], next);
        }
    }
    const struct generator_config shapes[] = {{3, 8, 100, 0}, {14, 64, 100, 0}, {4, 200, 100, 256}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        weigh_all(&g, shapes[s], texts, together);
        EXPECT(!memcmp(together, alone, sizeof together), "other weights from %ld sequences",
               (long)shapes[s].sequences);
    }
    struct error error = {0};
    struct generator_config tight = {.sequences = 1, .rows = 8, .context = 20};
    struct generator *generator = generator_open(&g.llama, &g.device, &tight, &(struct sampling){.most = MOST});
    EXPECT(generator_fits(generator, &(struct prompt){.count = 11, .given_count = GIVEN}, &error) == 0, "%s",
           error.text);
    EXPECT(generator_fits(generator, &(struct prompt){.count = 12, .given_count = GIVEN}, &error) < 0,
           "given tokens beyond the context");
    generator_close(generator);
    golden_close(&g);
}

static void generated(void)
{
    generation(AS_FLOATS);
}
static void generated_bf16(void)
{
    generation(PACKING_BF16);
}
static void generated_int8(void)
{
    generation(PACKING_INT8);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"llama_parity_scaled_rope_tied", tied},
                                     {"llama_parity_in_parts_untied", untied},
                                     {"llama_meta_pth", meta},
                                     {"llama_packed_weights", packed},
                                     {"llama_new_weights", drawn},
                                     {"generation_same_in_any_batch", generated},
                                     {"generation_same_with_bf16_weights", generated_bf16},
                                     {"generation_same_with_int8_weights", generated_int8},
                                     {"given_tokens_weighed_in_any_batch", weighed},
                                     {0}});
}
