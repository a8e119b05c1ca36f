/* Opening of model and device, result files, text files. */
#include "evaluator/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "dist/machine.h"
#include "models/weights.h"

static int open_model(struct session *s, struct error *error)
{
    const struct evaluator_config *c = s->config;
    struct model_config model;
    int threads = machine_threads(s->world, c->threads);
    if (device_open(&s->device, c->device, c->precision, c->cpu_level, threads, s->world->node_rank, error) < 0 ||
        device_open(&s->host, "cpu", "fp32", c->cpu_level, threads, 0, error) < 0 || model_config_load(&model, c->model, error) < 0) return -1;
    if (c->image_size) {
        if (c->image_size % model.vision.patch_size)
            return error_set(error, ERROR_USAGE, "--force-image-size %ld is no multiple of the patch size %ld", (long)c->image_size, (long)model.vision.patch_size);
        model.vision.image_size = c->image_size;
    }
    if (!c->images && !c->naming && model.text.vocab_size != TOKEN_VOCABULARY)
        return error_set(error, ERROR_USAGE, "%s has a vocabulary of %ld, the CLIP tokenizer %d", c->model, (long)model.text.vocab_size, TOKEN_VOCABULARY);
    clip_open(&s->clip, &model);
    tape_init(&s->tape, &s->device);
    if (weights_load(&s->clip, c->weights, c->images != NULL, error) < 0) return -1;
    clip_place(&s->clip, &s->device, false);
    s->tokenizer = tokenizer_open();
    s->embedder = (struct embedder){.world = s->world, .device = &s->device, .clip = &s->clip, .tape = &s->tape, .tokenizer = s->tokenizer,
                                    .batch = c->batch, .media = {.frames = (int)c->frames, .rule = strcmp(c->frame_rule, "floor") ? VIDEO_SPAN : VIDEO_FLOOR,
                                                                 .limits = {c->video_seconds, c->max_pixels}},
                                    .threads = threads, .stops = true, .progress = "embedded"};
    return 0;
}

int session_open(struct session *s, const struct world *world, const struct evaluator_config *config, struct error *error)
{
    *s = (struct session){.world = world, .config = config};
    return world_agree(world, open_model(s, error), error);
}

void session_close(struct session *s)
{
    tokenizer_close(s->tokenizer);
    if (s->tape.device) tape_free(&s->tape);
    clip_close(&s->clip);
    if (s->device.kernels) device_close(&s->device);
    if (s->host.kernels) device_close(&s->host);
}

int session_report(const struct session *s, const char *task, json_t *metrics, struct error *error)
{
    const char *key;
    json_t *value;
    int rc = 0;
    if (!s->world->rank) {
        const char *data = s->config->data.count ? s->config->data.items[0] : "", *slash = strrchr(data, '/');
        json_t *root = json_pack("{s:s, s:s, s:s, s:s, s:O, s:s}", "dataset", slash && slash[1] ? slash + 1 : data, "model", s->clip.config.name,
                                 "pretrained", s->config->weights, "task", task, "metrics", metrics, "language", "en");
        rc = json_write(s->config->output, root, error);
        json_decref(root);
        json_object_foreach(metrics, key, value)
        {
            if (json_is_real(value)) printf("%-28s %.4f\n", key, json_real_value(value));
            else printf("%-28s %lld\n", key, (long long)json_integer_value(value));
        }
    }
    json_decref(metrics);
    return world_agree(s->world, rc, error);
}

int lines_read(const char *path, bool skip_empty, char ***lines, int64_t *count, struct error *error)
{
    char *text, **out = NULL;
    size_t len;
    int64_t n = 0;
    if (fs_read(path, &text, &len, error) < 0) return -1;
    for (size_t at = 0; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t size = end ? (size_t)(end - text) - at : len - at, next = at + size + 1;
        if (size && text[at + size - 1] == '\r') size--;
        if (size || !skip_empty) {
            if (n % 1024 == 0) out = mem_realloc(out, (size_t)n + 1024, sizeof *out);
            out[n] = mem_zalloc(size + 1, 1);
            memcpy(out[n++], text + at, size);
        }
        at = next;
    }
    free(text);
    if (!n) {
        free(out);
        return error_set(error, ERROR_FAILED, "%s: no lines", path);
    }
    *lines = out;
    *count = n;
    return 0;
}

void lines_free(char **lines, int64_t count)
{
    for (int64_t i = 0; i < count; i++) free(lines[i]);
    free(lines);
}
