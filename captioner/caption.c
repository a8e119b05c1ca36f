/* pe-captioner caption: what a Perception LM says of each video, and of some of its frames, or of each picture.
 *
 *   queue of items -> decode threads -> vision tower -> prompts into the generator -> rows
 *
 * Each loop takes what is ready at every stage, then makes one pass of the decoder: decoding, seeing and writing overlap. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/stop.h"
#include "captioner/captioner.h"
#include "captioner/feed.h"
#include "captioner/flags.h"
#include "captioner/rows.h"
#include "dist/queue.h"
#include "log/log.h"

#define AT CAPTIONER_AT
static const struct option options[] = {
    {OPTION_GROUP, "data", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_STRINGS, "data", AT(data), "!", 0, 0, NULL, "data sets of videos or pictures (pe-dataloader pack)"},
    {OPTION_STRING, "output", AT(output), "!", 0, 0, NULL, "folder of the rows: captions.jsonl at the end"},
    {OPTION_INT, "frames", AT(frames), "32", 1, 1024, NULL, "frames of a video that are seen"},
    {OPTION_CHOICE, "frame-rule", AT(frame_rule), "span", 0, 0, "span|floor", "frame i of n in a video of T: i (T - 1) / (n - 1), or i T / n"},
    {OPTION_INT, "frame-captions", AT(frame_captions), "0", 0, 64, NULL, "frames of a video that get a caption of their own"},
    {OPTION_INT, "max-tiles", AT(tiles), "36", 0, 128, NULL, "tiles of a picture beside its thumbnail"},
    {OPTION_STRING, "video-prompt", AT(video_prompt), "Describe this video in detail.", 0, 0, NULL, "asked of a video"},
    {OPTION_STRING, "image-prompt", AT(frame_prompt), "Describe this image in detail.", 0, 0, NULL, "asked of a picture or frame"},
    {OPTION_INT, "workers", AT(workers), "1", 1, 256, NULL, "decode threads of a rank"},
    {OPTION_INT, "max-image-pixels", AT(max_pixels), "100000000", 1, 1e12, NULL, "larger pictures are quarantined"},
    {OPTION_REAL, "video-seconds", AT(video_seconds), "60", 1e-6, 1e6, NULL, "a video that takes longer to decode is tried again after the others"},
    {OPTION_INT, "attempts", AT(attempts), "3", 1, 100, NULL, "an item that so often was too slow, or ended the program, is quarantined"},
    {OPTION_GROUP, "model", 0, NULL, 0, 0, NULL, NULL},
    CAPTIONER_MODEL_OPTIONS,
    {0}};
const struct option_program caption_program = {"pe-captioner", "caption", "caption videos, their frames, and pictures by a Perception LM", options};

/* An item whose texts are being generated. */
struct work {
    int64_t item;
    int parts, finished; /* texts wanted; there */
    json_t *row;
    struct work *next;
};

struct engine {
    const struct captioner_config *config;
    struct session session;
    struct collection data;
    struct rows rows;
    struct queue queue;
    struct feed *feed;
    struct work *works;
    int64_t done, failed, tokens;
    struct arena arena; /* on the device */
};

static json_t *recipe(const struct engine *e)
{
    const struct captioner_config *c = e->config;
    char video[20], frame[20];
    json_t *data = json_array();
    for (int64_t i = 0; i < e->data.count; i++)
        json_array_append_new(data, json_pack("{s:s, s:I}", "path", e->data.sets[i].folder, "samples", (json_int_t)e->data.sets[i].samples));
    return json_pack("{s:s, s:o, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:I, s:f, s:f, s:I}", "program", "pe-captioner caption", "data", data, "model", e->session.hash,
                     "video-prompt", session_hash_text(c->video_prompt, video), "image-prompt", session_hash_text(c->frame_prompt, frame), "frames", (json_int_t)c->frames, "frame-captions",
                     (json_int_t)c->frame_captions, "max-tiles", (json_int_t)c->tiles, "frame-rule", c->frame_rule, "max-new-tokens", (json_int_t)c->most, "temperature",
                     c->temperature, "top-p", c->top_p, "seed", (json_int_t)c->seed);
}

/* Texts of one item: the whole, then single frames. */
static int parts_of(const struct engine *e, const struct fed *f)
{
    if (!media_is_video(&f->record)) return 1;
    int frames = (int)e->config->frame_captions;
    return 1 + (frames < f->count ? frames : f->count);
}

static int frame_of_part(const struct fed *f, int part, int parts)
{
    return parts > 2 ? (part - 1) * (f->count - 1) / (parts - 2) : f->count / 2;
}

/* Decoder rows [count * tile rows, width] of the tiles; they stay on the tape until the next item. */
static void *see(struct engine *e, const struct fed *f)
{
    struct session *s = &e->session;
    const struct plm_config *c = &s->plm.config;
    size_t patches = (size_t)(f->count * plm_patches(c)), bytes = (size_t)(f->count * c->vision.image_size * c->vision.image_size * 3);
    int32_t *index = mem_alloc(patches, sizeof *index);
    plm_index(c, f->count, index);
    tape_reset(&s->tape);
    arena_release(&e->arena, 0);
    s->tape.recording = false;
    struct tensor *rows = plm_rows(&s->tape, &s->plm, device_bring(&s->device, &e->arena, f->pixels, bytes), f->count,
                                   device_bring(&s->device, &e->arena, index, patches * sizeof *index), c->pooling);
    s->device.kernels->wait(&s->device);
    free(index);
    return rows->data;
}

static int submit(struct engine *e, const struct fed *f, int part, int parts, char *seen, struct error *error)
{
    struct session *s = &e->session;
    int64_t tile = plm_tile_rows(&s->plm.config), rows = part ? tile : f->count * tile;
    size_t row_bytes = (size_t)s->decoder->config.width * s->device.kernels->real_bytes;
    bool video = media_is_video(&f->record) && !part;
    struct tokens ids = {0};
    plm_conversation(&s->tokens, rows, video ? e->config->video_prompt : e->config->frame_prompt, NULL, &ids, NULL);
    struct prompt prompt = {.ids = ids.ids, .count = ids.count, .key = (uint64_t)f->item * 128 + (uint64_t)part};
    prompt.inserted = seen + (part ? (size_t)(frame_of_part(f, part, parts) * tile) * row_bytes : 0);
    int rc = generator_submit(s->generator, &prompt, error);
    tokens_free(&ids);
    return rc;
}

static json_t *begin_row(const struct engine *e, const struct fed *f)
{
    const struct captioner_config *c = e->config;
    bool video = media_is_video(&f->record);
    char prompt[20];
    json_error_t why;
    json_t *metadata = json_loadb(f->record.metadata, f->record.metadata_len, 0, &why), *times = json_array();
    const char *key = json_string_value(json_object_get(metadata, "key"));
    json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:I, s:[]}", "key", key ? key : "", "kind", video ? "video" : "image", "model", e->session.hash, "prompt",
                            session_hash_text(video ? c->video_prompt : c->frame_prompt, prompt), "seed", (json_int_t)c->seed, "texts");
    for (int i = 0; video && i < f->count; i++) json_array_append_new(times, json_real(f->seconds[i]));
    if (video) json_object_set(row, "times", times);
    json_decref(times);
    json_decref(metadata);
    return row;
}

static int fail_item(struct engine *e, const struct fed *f, const char *why, struct error *error)
{
    e->done++;
    e->failed++;
    return rows_write(&e->rows, f->item, json_pack("{s:s}", "error", why), error);
}

/* A decoded item: see it and ask for its texts. */
static int start_item(struct engine *e, struct fed *f, struct error *error)
{
    struct error why = {0};
    if (f->error.code == ERROR_SLOW) error_prefix(&f->error, "tried %d times", f->tried);
    if (f->error.code) return fail_item(e, f, f->error.text, error);
    int parts = parts_of(e, f);
    char *seen = see(e, f);
    struct work *w = mem_zalloc(1, sizeof *w);
    *w = (struct work){.item = f->item, .parts = parts, .row = begin_row(e, f), .next = e->works};
    for (int part = 0; part < parts; part++) {
        if (submit(e, f, part, parts, seen, &why) < 0) break;
        json_t *text = json_object();
        if (part) json_object_set_new(text, "seconds", json_real(f->seconds[frame_of_part(f, part, parts)]));
        json_array_append_new(json_object_get(w->row, "texts"), text);
    }
    if (why.code) { /* too long for the context */
        json_decref(w->row);
        free(w);
        return fail_item(e, f, why.text, error);
    }
    e->works = w;
    return 0;
}

/* A finished text into its item's row, and the row to disk when it is the last. */
static int finish_text(struct engine *e, struct generated *g, struct error *error)
{
    struct work **at = &e->works;
    while (*at && (*at)->item != (int64_t)(g->key / 128)) at = &(*at)->next;
    struct work *w = *at;
    if (!w) { /* of an item another part of which did not fit */
        free(g->ids);
        return 0;
    }
    char *text = session_text(&e->session, g);
    json_t *entry = json_array_get(json_object_get(w->row, "texts"), (size_t)(g->key % 128));
    json_object_set_new(entry, "text", json_string(text));
    json_object_set_new(entry, "tokens", json_integer(g->count));
    json_object_set_new(entry, "log_probability", json_real(g->log_probability));
    json_t *flags = flags_of(text, g->end != GENERATED_STOP);
    if (json_array_size(flags)) json_object_set(entry, "flags", flags);
    json_decref(flags);
    free(text);
    free(g->ids);
    e->tokens += g->count;
    if (++w->finished < w->parts) return 0;
    *at = w->next;
    int rc = rows_write(&e->rows, w->item, w->row, error);
    free(w);
    e->done++;
    return rc;
}

static void show(struct engine *e, struct progress *progress, double start)
{
    char note[96];
    snprintf(note, sizeof note, "%.1f tokens/s a rank, %ld failed", (double)e->tokens / (clock_seconds() - start + 1e-9), (long)e->failed);
    int64_t all = e->done * e->session.world->size;
    progress_show(progress, all < e->rows.left ? all : e->rows.left, note);
}

/* Take new items while there is room, begin those that are decoded; 1 when there is nothing more to begin. */
static int advance(struct engine *e, struct error *error)
{
    int64_t number;
    int more = 1;
    while (more == 1 && feed_room(e->feed) > 0 && (more = queue_take(&e->queue, &number)) == 1) {
        int64_t item = e->rows.todo[number];
        if (rows_begin(&e->rows, item, error) < 0) return -1;
        feed_put(e->feed, item);
    }
    queue_serve(&e->queue);
    struct fed *f;
    while (generator_pending(e->session.generator) < 2 * e->config->sequences &&
           (f = feed_take(e->feed, more < 0 && !generator_pending(e->session.generator)))) {
        int rc = start_item(e, f, error);
        feed_free(f);
        if (rc < 0) return -1;
    }
    return more < 0 && feed_room(e->feed) == (int)(2 * e->config->workers + 2);
}

/* What was begun and is not finished goes back. */
static int put_back(struct engine *e, struct error *error)
{
    int rc = 0;
    for (struct work *w = e->works; w && rc == 0; w = w->next) rc = rows_put_back(&e->rows, w->item, error);
    for (struct fed *f; rc == 0 && (f = feed_take(e->feed, true)); feed_free(f)) rc = rows_put_back(&e->rows, f->item, error);
    return rc;
}

static int loop(struct engine *e, struct error *error)
{
    double start = clock_seconds();
    struct progress progress = progress_open("captioned", e->rows.left, e->session.world->rank > 0);
    struct generated g;
    int rc = 0;
    while (rc == 0 && !stop_asked()) {
        rc = advance(e, error);
        if (rc < 0) break;
        bool busy = generator_step(e->session.generator);
        if (!busy && rc == 1) {
            rc = 0;
            break;
        }
        rc = 0;
        if (!busy) usleep(500);
        while (rc == 0 && generator_take(e->session.generator, &g)) rc = finish_text(e, &g, error);
        show(e, &progress, start);
    }
    queue_close(&e->queue); /* before anything collective: rank 0 answers until each rank has heard that there is no more */
    bool stopped = world_max(e->session.world, stop_asked()) > 0;
    if (rc == 0 && stopped) rc = put_back(e, error);
    if (rc == 0 && stopped) return error_set(error, ERROR_STOPPED, "stopped by a signal; run again to go on");
    if (rc == 0) progress_close(&progress, e->rows.left);
    return rc;
}

static int open_engine(struct engine *e, const struct world *world, struct error *error)
{
    const struct captioner_config *c = e->config;
    if (session_open(&e->session, world, c, true, error) < 0) return -1;
    if (world_agree(world, collection_open(&e->data, c->data.items, c->data.count, error), error) < 0) return -1;
    json_t *made_from = recipe(e);
    int rc = rows_open(&e->rows, world, c->output, "captions", e->data.samples, c->attempts, made_from, error);
    json_decref(made_from);
    if (rc < 0) return -1;
    device_arena_open(&e->session.device, &e->arena, (size_t)1 << 34);
    struct feed_config f = {.data = &e->data, .size = (int)e->session.plm.config.vision.image_size, .tiles = (int)c->tiles, .threads = (int)c->workers,
                            .ahead = 2 * (int)c->workers + 2, .attempts = (int)c->attempts,
                            .media = {.frames = (int)c->frames, .rule = strcmp(c->frame_rule, "floor") ? VIDEO_SPAN : VIDEO_FLOOR, .limits = {c->video_seconds, c->max_pixels}}};
    e->feed = feed_open(&f);
    queue_open(&e->queue, world, e->rows.left);
    return 0;
}

static void close_engine(struct engine *e)
{
    feed_close(e->feed);
    for (struct work *w = e->works, *next; w; w = next) {
        next = w->next;
        json_decref(w->row);
        free(w);
    }
    arena_close(&e->arena);
    rows_close(&e->rows);
    collection_close(&e->data);
    session_close(&e->session);
}

int caption_run(const struct world *world, const struct captioner_config *config, struct error *error)
{
    struct engine e = {.config = config};
    struct tally tally = {0};
    int rc = open_engine(&e, world, error);
    if (rc == 0) {
        log_info("%ld items, %ld of them to do, on %d ranks x %d threads, %s", (long)e.data.samples, (long)e.rows.left, world->size, e.session.device.threads,
                 e.session.device.kernels->name);
        rc = world_agree(world, loop(&e, error), error);
    }
    if (rc == 0) rc = rows_merge(&e.rows, tally_row, &tally, error);
    struct generator_figures f = rc == 0 ? generator_figures(e.session.generator) : (struct generator_figures){0};
    if (rc == 0 && !world->rank) tally_print(&tally, config->output, "captions");
    if (rc == 0) log_info("rank 0: %ld passes, %ld prompt tokens, %ld more taken from shared pages, %ld generated", (long)f.passes, (long)f.prompt_rows, (long)f.reused_rows,
                          (long)f.generated_rows);
    tally_free(&tally);
    close_engine(&e);
    return rc;
}
