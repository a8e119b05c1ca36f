/* The PLM against transformers' PerceptionLM (test/golden/plm/, made by scripts/reference/plm.py): logits, loss of the
 * response and every gradient; the same weights from Meta's folder; saving and loading; the choice of tiles. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/plm_files.h"
#include "models/tiles.h"
#include "test/harness.h"

enum { ROWS = 64 };

struct golden {
    struct plm plm;
    struct safetensors vectors;
    struct device device;
    struct tape tape;
    struct arena host, there;
    int32_t ids[ROWS], starts[2];
    int64_t rows, response, tiles;
    const uint8_t *pixels; /* on the device */
};

static int open_folder(struct plm *plm, const char *folder, struct error *error)
{
    struct plm_config config;
    if (plm_config_load(&config, folder, error) < 0) return -1;
    plm_open(plm, &config);
    return plm_load(plm, folder, error);
}

static bool golden_open(struct golden *g, const char *folder)
{
    struct error error = {0};
    int64_t n;
    memset(g, 0, sizeof *g);
    arena_open(&g->host, (size_t)1 << 32);
    int rc = device_open(&g->device, device_count() ? "cuda" : "cpu", "fp32", NULL, 2, 0, &error);
    if (rc == 0) rc = open_folder(&g->plm, folder, &error);
    if (rc == 0) rc = safetensors_open(&g->vectors, "test/golden/plm/vectors.safetensors", &error);
    EXPECT(rc == 0, "%s", error.text);
    if (rc < 0) return false;
    plm_place(&g->plm, &g->device, true);
    tape_init(&g->tape, &g->device);
    device_arena_open(&g->device, &g->there, (size_t)1 << 32);
    llama_reserve(&g->plm.decoder, &g->device, ROWS);
    float *ids = test_vector(&g->host, &g->vectors, "ids", &g->rows), *pixels;
    for (int64_t i = 0; i < g->rows; i++) g->ids[i] = ids[i] == (float)g->plm.config.image_token ? -1 : (int32_t)ids[i];
    g->starts[1] = (int32_t)g->rows;
    g->response = (int64_t)*test_vector(&g->host, &g->vectors, "response", &n);
    pixels = test_vector(&g->host, &g->vectors, "pixels", &n);
    uint8_t *bytes = arena_take(&g->host, (size_t)n, 1);
    for (int64_t i = 0; i < n; i++) bytes[i] = (uint8_t)pixels[i];
    g->pixels = device_bring(&g->device, &g->there, bytes, (size_t)n);
    g->tiles = n / (3 * g->plm.config.vision.image_size * g->plm.config.vision.image_size);
    return true;
}

static void golden_close(struct golden *g)
{
    tape_free(&g->tape);
    arena_close(&g->there);
    plm_close(&g->plm);
    device_close(&g->device);
    safetensors_close(&g->vectors);
    arena_close(&g->host);
}

static const void *bring(struct golden *g, const void *host, size_t bytes)
{
    return device_bring(&g->device, &g->there, host, bytes);
}

/* Hidden states of the whole conversation, its pictures put in. */
static struct tensor *forward(struct golden *g)
{
    const struct plm_config *c = &g->plm.config;
    int64_t patches = plm_patches(c), n = 0;
    int32_t *index = arena_take(&g->host, (size_t)(g->tiles * patches), sizeof *index),
            *places = arena_take(&g->host, ROWS, sizeof *places);
    plm_index(c, g->tiles, index);
    for (int64_t i = 0; i < g->rows; i++)
        if (g->ids[i] < 0) places[n++] = (int32_t)i;
    EXPECT(n == g->tiles * plm_tile_rows(c), "%ld rows for %ld tiles", (long)n, (long)g->tiles);
    struct tensor *media = plm_rows(&g->tape, &g->plm, g->pixels, g->tiles,
                                    bring(g, index, (size_t)(g->tiles * patches) * sizeof *index), c->pooling);
    struct llama_batch batch = llama_pack(&g->host, &g->device, &g->there, g->ids, g->starts, 1);
    batch.inserted = media;
    batch.inserted_rows = bring(g, places, (size_t)n * sizeof *places);
    return llama_forward(&g->tape, &g->plm.decoder, &batch);
}

static void parity(bool recompute)
{
    struct golden g;
    struct error error = {0};
    if (!golden_open(&g, "test/golden/plm/model")) return;
    int64_t n, count = g.rows - g.response;
    int32_t rows[ROWS], targets[ROWS], all[ROWS];
    static float got[ROWS * 160];
    for (int32_t i = 0; i < ROWS; i++) all[i] = i;
    tape_reset(&g.tape);
    g.tape.recording = false;
    struct tensor *logits = llama_logits(&g.tape, &g.plm.decoder, forward(&g), bring(&g, all, sizeof all), g.rows);
    test_from_device(&g.device, got, logits->data, g.rows * 160, true);
    float *want = test_vector(&g.host, &g.vectors, "logits", &n);
    printf("  logits within %.2g\n", test_close("logits", got, want, n, 1e-4));

    for (int64_t i = 0; i < count; i++) rows[i] = (int32_t)(g.response - 1 + i), targets[i] = g.ids[g.response + i];
    tape_reset(&g.tape);
    g.tape.recording = true;
    g.tape.recompute = recompute;
    parameters_aim(&g.plm.parameters, g.plm.parameters.gradients);
    struct tensor *loss = llama_loss(&g.tape, &g.plm.decoder, forward(&g), bring(&g, rows, sizeof rows),
                                     bring(&g, targets, sizeof targets), count);
    float each[ROWS], seed[ROWS];
    double mean = 0;
    test_from_device(&g.device, each, loss->data, count, true);
    for (int64_t i = 0; i < count; i++) mean += (double)each[i] / (double)count, seed[i] = 1 / (float)count;
    EXPECT(fabs(mean - (double)*test_vector(&g.host, &g.vectors, "loss", &n)) < 1e-5 * mean, "loss %.8g", mean);
    tape_seed(&g.tape, loss, bring(&g, seed, sizeof seed));
    tape_backward(&g.tape, 0, g.tape.segment_count);
    parameters_settle(&g.plm.parameters);
    g.device.kernels->download(&g.device, g.plm.parameters.values, g.plm.parameters.gradients,
                               (size_t)g.plm.parameters.total * sizeof(float));
    char *path = fs_join(test_folder(), "grads.safetensors");
    EXPECT(plm_save(&g.plm, path, NULL, &error) == 0, "%s", error.text);
    int compared = test_gradients(&g.host, &g.vectors, path, 1e-4);
    EXPECT(compared == 5 + 2 * 14 + 4 + 20, "%d gradients", compared);
    free(path);
    golden_close(&g);
}

static void recorded(void)
{
    parity(false);
}
static void recomputed(void)
{
    parity(true);
}

static bool same_weights(const char *what, const struct plm *a, const struct plm *b)
{
    bool same = a->parameters.total == b->parameters.total &&
                !memcmp(a->parameters.values, b->parameters.values, (size_t)a->parameters.total * sizeof(float));
    EXPECT(same, "%s: other weights", what);
    return same;
}

/* Meta's folder, and what we write ourselves: the same weights, configuration and logits. */
static void folders(void)
{
    struct plm model, meta, again;
    struct error error = {0};
    char *folder = fs_join(test_folder(), "plm"), *weights = fs_join(folder, "model.safetensors"),
         *config = fs_join(folder, "config.json");
    int rc = open_folder(&model, "test/golden/plm/model", &error);
    if (rc == 0) rc = open_folder(&meta, "test/golden/plm/meta", &error);
    if (rc == 0) rc = fs_make_folders(folder, &error);
    if (rc == 0) rc = plm_save(&model, weights, NULL, &error);
    json_t *json = plm_config_json(&model.config);
    if (rc == 0) rc = json_dump_file(json, config, 0);
    json_decref(json);
    if (rc == 0) rc = open_folder(&again, folder, &error);
    EXPECT(rc == 0, "%s", error.text);
    if (rc == 0) {
        same_weights("meta", &model, &meta);
        same_weights("saved", &model, &again);
        EXPECT(model.config.decoder.rope_factor == meta.config.decoder.rope_factor &&
                   model.config.decoder.rope_factor == again.config.decoder.rope_factor,
               "rope %g %g", meta.config.decoder.rope_factor, again.config.decoder.rope_factor);
        EXPECT(model.config.pooling == 2 && meta.config.pooling == 2 && again.config.pooling == 2, "pooling");
        plm_close(&model), plm_close(&meta), plm_close(&again);
    }
    free(folder), free(weights), free(config);
}

static void tiles(void)
{
    FILE *file = fopen("test/golden/plm/tiles.txt", "r");
    int w, h, most, want_across, want_down, across, down, count = 0;
    EXPECT(file, "tiles.txt");
    while (file && fscanf(file, "%d %d %d %d %d", &w, &h, &most, &want_across, &want_down) == 5) {
        tiles_grid(w, h, 448, most, &across, &down);
        EXPECT(across == want_across && down == want_down, "%d x %d in %d tiles: %d x %d, want %d x %d", w, h, most,
               across, down, want_across, want_down);
        count++;
    }
    EXPECT(count == 400, "%d cases", count);
    if (file) fclose(file);
    /* thumbnail first, then tiles row by row: a picture of four colours */
    struct image image = {16, 16, malloc(16 * 16 * 3)};
    uint8_t *pixels = malloc(5 * 8 * 8 * 3);
    for (int i = 0; i < 16 * 16; i++)
        image.pixels[3 * i] = image.pixels[3 * i + 1] = image.pixels[3 * i + 2] =
            (uint8_t)(50 * (1 + (i / 16 >= 8) * 2 + (i % 16 >= 8)));
    EXPECT(tiles_cut(&image, 8, 4, pixels) == 5, "four tiles and a thumbnail");
    for (int t = 0; t < 4; t++)
        EXPECT(pixels[(t + 1) * 192 + 96] == 50 * (t + 1), "tile %d is %d", t, pixels[(t + 1) * 192 + 96]);
    free(pixels);
    image_free(&image);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"plm_parity", recorded},
                                     {"plm_parity_recomputed", recomputed},
                                     {"plm_folders", folders},
                                     {"plm_tiles", tiles},
                                     {0}});
}
