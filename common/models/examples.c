/* Records and rows of JSON to tokens and tiles. */
#include "models/examples.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/str.h"
#include "models/row_media.h"
#include "models/tiles.h"

static int open_rows(struct examples *x, const char *path, struct error *error)
{
    char *text;
    size_t len;
    if (fs_read(path, &text, &len, error) < 0) return -1;
    struct json_rows f = {.root = mem_strdup(x->config.media_root ? x->config.media_root : path),
                          .rows = json_array(),
                          .checksum = XXH3_64bits(text, len)};
    char *slash = x->config.media_root ? NULL : strrchr(f.root, '/');
    if (slash)
        *slash = 0;
    else if (!x->config.media_root)
        strcpy(f.root, ".");
    int64_t line = 0;
    int rc = 0;
    for (size_t at = 0; at < len && rc == 0;) {
        char *end = memchr(text + at, '\n', len - at);
        size_t n = end ? (size_t)(end - text) - at : len - at;
        json_error_t why;
        line++;
        json_t *row = n ? json_loadb(text + at, n, 0, &why) : NULL;
        if (n && !row)
            rc = error_set(error, ERROR_FAILED, "%s: line %ld: %s", path, (long)line, why.text);
        else if (n && json_array_size(json_object_get(row, "conversations")) < 2)
            rc = error_set(error, ERROR_FAILED, "%s: line %ld: \"conversations\" needs a question and an answer", path,
                           (long)line);
        if (row && rc == 0) json_array_append(f.rows, row);
        json_decref(row);
        at += n + 1;
    }
    free(text);
    x->files = mem_realloc(x->files, (size_t)x->file_count + 1, sizeof *x->files);
    x->files[x->file_count++] = f;
    x->count += (int64_t)json_array_size(f.rows);
    return rc;
}

int examples_open(struct examples *x, const struct examples_config *config, struct error *error)
{
    *x = (struct examples){.config = *config};
    char **sets = mem_zalloc((size_t)config->sources->count + 1, sizeof *sets);
    int64_t set_count = 0;
    int rc = 0;
    for (int64_t i = 0; i < config->sources->count; i++)
        if (!str_ends_with(config->sources->items[i], ".jsonl")) sets[set_count++] = config->sources->items[i];
    if (set_count) rc = collection_open(&x->data, sets, set_count, error);
    x->count = x->data.samples;
    for (int64_t i = 0; i < config->sources->count && rc == 0; i++)
        if (str_ends_with(config->sources->items[i], ".jsonl")) rc = open_rows(x, config->sources->items[i], error);
    free(sets);
    if (rc == 0 && !x->count) rc = error_set(error, ERROR_FAILED, "%s: no examples", config->sources->items[0]);
    return rc;
}

void examples_close(struct examples *x)
{
    for (int64_t i = 0; i < x->file_count; i++) {
        free(x->files[i].root);
        json_decref(x->files[i].rows);
    }
    free(x->files);
    if (x->data.sets) collection_close(&x->data);
    *x = (struct examples){0};
}

uint64_t examples_identity(const struct examples *x)
{
    uint64_t sum = x->data.sets ? collection_identity(&x->data) : 0;
    for (int64_t i = 0; i < x->file_count; i++)
        sum = XXH3_64bits_withSeed(&x->files[i].checksum, sizeof x->files[i].checksum, sum);
    return sum;
}

void example_free(struct example *e)
{
    token_ids_free(&e->ids);
    free(e->learned);
    free(e->pixels);
    *e = (struct example){0};
}

/* --- media --- */

static int record_media(const struct examples_config *c, const struct record *r, struct example *e, struct error *error)
{
    bool video = media_is_video(r);
    struct image *pictures = mem_alloc((size_t)c->media.frames, sizeof *pictures);
    double *seconds = mem_alloc((size_t)c->media.frames, sizeof *seconds);
    int count = media_pictures(r, &c->media, pictures, seconds, error);
    e->pixels = mem_alloc((size_t)(video ? c->media.frames : 1 + c->tiles), (size_t)c->size * (size_t)c->size * 3);
    if (count > 0) e->tiles = tiles_cut_all(pictures, count, c->size, video ? 0 : c->tiles, e->pixels);
    free(pictures);
    free(seconds);
    return count < 0 ? -1 : 0;
}

/* --- text --- */

/* The media stand before the first question; plain: the first answer alone. */
static void write_turns(const struct examples_config *c, struct example *e, struct turn *turns, int64_t count)
{
    turns[0].media_rows = e->tiles * c->tile_rows;
    if (c->plain)
        conversation_encode_plain(c->template, turns[0].media_rows, turns[1].text, &e->ids, &e->learned);
    else
        conversation_encode(c->template, turns, count, &e->ids, &e->learned);
}

static int write_row(const struct examples_config *c, struct example *e, const json_t *row, struct error *error)
{
    struct conversation talk;
    if (conversation_read(&talk, json_object_get(row, "conversations"), error) < 0) return -1;
    int64_t answered = talk.count - talk.count % 2;
    if (answered) write_turns(c, e, talk.turns, answered);
    conversation_free(&talk);
    return answered ? 0 : error_set(error, ERROR_FAILED, "a conversation without an answer");
}

/* Too long: cut; count what is learned.  The first token has nothing before it. */
static int settle(const struct examples_config *c, struct example *e, struct error *error)
{
    if (e->ids.count > c->context) e->ids.count = c->context;
    if (e->ids.count) e->learned[0] = false;
    for (int64_t i = 0; i < e->ids.count; i++) {
        if (e->ids.ids[i] < 0) e->learned[i] = false;
        e->targets += e->learned[i];
    }
    int64_t media = 0;
    for (int64_t i = 0; i < e->ids.count; i++) media += e->ids.ids[i] < 0;
    if (media != e->tiles * c->tile_rows)
        return error_set(error, ERROR_FAILED,
                         "its %d tiles fill more than the context of %ld; use a larger --context or fewer tiles",
                         e->tiles, (long)c->context);
    return e->targets
               ? 0
               : error_set(error, ERROR_FAILED, "nothing is left to learn within the context of %ld", (long)c->context);
}

static int record_turns(const struct examples *x, const struct record *r, int64_t number, uint64_t epoch,
                        struct example *e, struct error *error)
{
    const struct examples_config *c = &x->config;
    if (!r->caption_count) return error_set(error, ERROR_FAILED, "has no caption");
    if (record_media(c, r, e, error) < 0) return -1;
    struct rng rng = rng_open(c->seed, RNG_CAPTION, epoch, (uint64_t)number);
    size_t len;
    const char *caption = record_caption(r, (uint32_t)rng_below(&rng, r->caption_count), &len);
    char *answer = mem_zalloc(len + 1, 1);
    memcpy(answer, caption, len);
    const char *question = media_is_video(r) ? c->video_prompt : c->image_prompt;
    write_turns(c, e, (struct turn[]){{TURN_USER, question}, {TURN_ASSISTANT, answer}}, 2);
    free(answer);
    return 0;
}

static int from_record(const struct examples *x, int64_t number, uint64_t epoch, struct example *e, struct error *error)
{
    struct record r;
    if (collection_read(&x->data, number, &r, error) < 0) return -1;
    int rc = record_turns(x, &r, number, epoch, e, error);
    record_release(&r);
    return rc;
}

static int from_row(const struct examples *x, int64_t number, struct example *e, struct error *error)
{
    const struct json_rows *f = x->files;
    while (number >= (int64_t)json_array_size(f->rows)) number -= (int64_t)json_array_size((f++)->rows);
    const json_t *row = json_array_get(f->rows, (size_t)number);
    const struct examples_config *c = &x->config;
    struct row_media media;
    if (row_media_read(&media, row, f->root, &c->media, c->size, c->tiles, error) < 0) return -1;
    e->pixels = media.pixels;
    e->tiles = media.count;
    return write_row(c, e, row, error);
}

int examples_make(const struct examples *x, int64_t number, uint64_t epoch, struct example *out, struct error *error)
{
    struct example e = {0};
    int rc = number < x->data.samples ? from_record(x, number, epoch, &e, error)
                                      : from_row(x, number - x->data.samples, &e, error);
    if (rc == 0) rc = settle(&x->config, &e, error);
    if (rc < 0) {
        example_free(&e);
        return error_prefix(error, "example %ld", (long)number);
    }
    *out = e;
    return 0;
}
