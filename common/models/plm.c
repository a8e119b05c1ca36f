/* The parts joined; tiling of pictures; the chat template. */
#include "models/plm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "data/resize.h"
#include "nn/init.h"

void plm_open(struct plm *m, const struct plm_config *c)
{
    int64_t width = c->decoder.width;
    *m = (struct plm){.config = *c};
    vision_register(&m->vision, &m->parameters, &c->vision, 0);
    register_pair(&m->parameters, "projector", "linear_1", width, c->vision.width, &m->linear_1, &m->bias_1);
    register_pair(&m->parameters, "projector", "linear_2", width, width, &m->linear_2, &m->bias_2);
    llama_register(&m->decoder, &m->parameters, &c->decoder);
    parameters_allocate(&m->parameters);
}

void plm_place(struct plm *m, struct device *device, bool training)
{
    parameters_place(&m->parameters, device, training);
    parameters_push(&m->parameters);
}

void plm_close(struct plm *m)
{
    vision_free(&m->vision, m->parameters.device);
    llama_free(&m->decoder, m->parameters.device);
    parameters_free(&m->parameters);
}

void plm_init(struct plm *m, uint64_t seed)
{
    vision_init(&m->vision, &m->parameters, seed);
    llama_init(&m->decoder, &m->parameters, seed);
    for (int64_t i = 0; i < m->parameters.count; i++)
        if (!strncmp(m->parameters.list[i]->name, "projector.", 10)) init_normal(m->parameters.list[i], seed, 1 / sqrt((double)m->config.decoder.width));
}

void plm_index(const struct plm_config *c, int64_t images, int32_t *index)
{
    int64_t patches = plm_patches(c), first = c->vision.class_token, tokens = patches + first;
    for (int64_t i = 0; i < images * patches; i++) index[i] = (int32_t)(i / patches * tokens + first + i % patches);
}

struct tensor *plm_rows(struct tape *t, struct plm *m, const uint8_t *pixels, int64_t images, const int32_t *index, int64_t pooling)
{
    const struct vision_config *v = &m->config.vision;
    int64_t patches = plm_patches(&m->config);
    struct tensor *tokens = vision_tokens(t, &m->vision, pixels, images, v->image_size, NULL, v->layers);
    tape_open_segment(t);
    struct tensor *x = op_gather(t, tokens, index, images * patches);
    struct tensor *hidden = op_linear(t, x, (struct linear){.weight = m->linear_1, .bias = m->bias_1, .gelu_output = true});
    struct tensor *rows = op_linear(t, hidden, (struct linear){.weight = m->linear_2, .bias = m->bias_2, .gelu_input = true});
    if (pooling > 1) rows = op_pool(t, rows, images, v->image_size / v->patch_size, pooling);
    return tape_close_segment(t, tokens, rows);
}

/* --- pictures --- */

struct arrangement {
    int across, down;
};

/* All grids of at most `most` tiles: those of one shape together, shapes in order of their largest grid, as the reference lists them. */
static int arrangements(int most, struct arrangement *list)
{
    struct arrangement all[1024];
    int count = 0, listed = 0;
    for (int tiles = most; tiles > 0; tiles--)
        for (int across = 1; across <= tiles; across++)
            if (tiles % across == 0 && count < 1024) all[count++] = (struct arrangement){across, tiles / across};
    for (int i = 0; i < count; i++) {
        bool seen = false;
        for (int k = 0; k < i; k++) seen |= all[k].across * all[i].down == all[i].across * all[k].down;
        for (int k = i; k < count && !seen; k++)
            if (all[k].across * all[i].down == all[i].across * all[k].down) list[listed++] = all[k];
    }
    return listed;
}

/* The side by which canvases are compared: of the picture fitted into the canvas with its shape kept. */
static double fitted_side(int width, int height, double canvas_width, double canvas_height)
{
    double shape = (double)width / height, factor = fmin(canvas_width / width, canvas_height / height);
    double w, h;
    if (shape > 1) w = factor * width, h = floor(w / shape);
    else h = factor * height, w = floor(h * shape);
    return shape < 1 ? w : h;
}

static bool nearer(const struct arrangement *a, const struct arrangement *best, double shape)
{
    double k = (double)a->across / a->down;
    if (shape >= 1 ? k > shape : k <= shape) return false;
    if (!best) return true;
    double other = (double)best->across / best->down;
    double gap = shape >= 1 ? fabs(k - shape) : fabs(1 / k - 1 / shape), old = shape >= 1 ? fabs(other - shape) : fabs(1 / other - 1 / shape);
    if (k == other) return shape >= 1 ? a->across > best->across : a->down > best->down; /* the largest of this shape */
    return gap < old;
}

void plm_tiles(int width, int height, int size, int most, int *across, int *down)
{
    struct arrangement list[1024];
    const struct arrangement *best = NULL;
    CHECK(most >= 1 && most <= 128, "%d tiles", most);
    int count = arrangements(most, list);
    double side = 0, shape = (double)width / height;
    for (int i = 0; i < count; i++) {
        if (list[i].across * size < width || list[i].down * size < height) continue;
        double fitted = fitted_side(width, height, list[i].across * size, list[i].down * size);
        if (best && fitted < side) continue;
        best = &list[i];
        side = fitted;
    }
    for (int i = 0; i < count && (!best || side == 0); i++)
        if (nearer(&list[i], best, shape)) best = &list[i];
    *across = best->across;
    *down = best->down;
}

int plm_picture(const struct image *image, int size, int most, uint8_t *pixels)
{
    size_t tile = (size_t)size * (size_t)size * 3, row = (size_t)size * 3;
    int across, down;
    resize_bicubic(image, pixels, size, size);
    if (most < 1) return 1;
    plm_tiles(image->width, image->height, size, most, &across, &down);
    uint8_t *canvas = mem_alloc((size_t)(across * down), tile);
    resize_bicubic(image, canvas, across * size, down * size);
    for (int y = 0; y < down * size; y++)
        for (int x = 0; x < across; x++)
            memcpy(pixels + (size_t)(1 + y / size * across + x) * tile + (size_t)(y % size) * row, canvas + ((size_t)y * (size_t)across + (size_t)x) * row, row);
    free(canvas);
    return 1 + across * down;
}

/* --- text --- */

#define SYSTEM_SENTENCE \
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user provides, and assist the user with a variety of " \
    "tasks using natural language."

static void header(const struct plm_tokens *t, const char *role, struct tokens *out)
{
    tokens_add(out, t->start_header);
    bpe_encode(t->bpe, role, strlen(role), out);
    tokens_add(out, t->end_header);
}

/* Text after a header: the two newlines belong to it, as the whole is cut into pieces at once. */
static void body(const struct plm_tokens *t, const char *text, struct tokens *out)
{
    struct str all = {0};
    str_puts(&all, "\n\n");
    str_puts(&all, text);
    bpe_encode(t->bpe, all.data, all.len, out);
    str_free(&all);
}

int plm_tokens_open(struct plm_tokens *tokens, const struct bpe *bpe, struct error *error)
{
    struct plm_tokens t = {.bpe = bpe};
    const struct {
        const char *name;
        int32_t *id;
    } needed[] = {{"<|begin_of_text|>", &t.begin}, {"<|end_of_text|>", &t.end}, {"<|start_header_id|>", &t.start_header}, {"<|end_header_id|>", &t.end_header}, {"<|eot_id|>", &t.eot}};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        *needed[i].id = bpe_special(bpe, needed[i].name);
        if (*needed[i].id < 0) return error_set(error, ERROR_FAILED, "the tokenizer has no %s, which the chat template needs", needed[i].name);
    }
    tokens_add(&t.system, t.begin);
    header(&t, "system", &t.system);
    body(&t, SYSTEM_SENTENCE, &t.system);
    tokens_add(&t.system, t.eot);
    header(&t, "user", &t.system);
    *tokens = t;
    return 0;
}

void plm_tokens_close(struct plm_tokens *tokens)
{
    tokens_free(&tokens->system);
}

void plm_conversation(const struct plm_tokens *t, int64_t media_rows, const char *question, const char *answer, struct tokens *out, int64_t *response)
{
    for (int64_t i = 0; i < t->system.count; i++) tokens_add(out, t->system.ids[i]);
    if (media_rows) {
        body(t, "", out);
        for (int64_t i = 0; i < media_rows; i++) tokens_add(out, -1);
        bpe_encode(t->bpe, question, strlen(question), out);
    } else body(t, question, out);
    tokens_add(out, t->eot);
    if (response) *response = out->count;
    header(t, "assistant", out);
    body(t, answer ? answer : "", out);
    if (!answer) return;
    tokens_add(out, t->eot);
    tokens_add(out, t->end);
}
