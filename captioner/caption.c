/* pe-captioner caption: what a Perception LM says of each video, and of some of its frames, or of each picture. */
#include <stdlib.h>

#include "captioner/captioner.h"
#include "captioner/key.h"
#include "serve/job.h"

struct caption_settings {
    struct option_list data;
    char *output, *video_prompt, *image_prompt;
    int64_t frame_captions, tiles, workers, attempts;
    struct media_settings media;
    struct lm_settings lm;
};

#define AT(field) offsetof(struct caption_settings, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_GROUP, "data", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_STRINGS, "data", AT(data), "!", 0, 0, NULL, "data sets of videos or pictures (pe-dataloader pack)"},
    {OPTION_STRING, "output", AT(output), "!", 0, 0, NULL, "folder of the rows: captions.jsonl at the end"},
    {OPTION_INT, "frame-captions", AT(frame_captions), "0", 0, 64, NULL, "frames of a video that get a caption of their own", OPTION_IDENTITY},
    {OPTION_INT, "max-tiles", AT(tiles), "36", 0, 128, NULL, "tiles of a picture beside its thumbnail", OPTION_IDENTITY},
    {OPTION_STRING, "video-prompt", AT(video_prompt), "Describe this video in detail.", 0, 0, NULL, "asked of a video", OPTION_IDENTITY},
    {OPTION_STRING, "image-prompt", AT(image_prompt), "Describe this image in detail.", 0, 0, NULL, "asked of a picture or frame", OPTION_IDENTITY},
    {OPTION_TABLE, .offset = AT(media), .table = media_settings_options},
    {OPTION_DEFAULT, "frames", .fallback = "32"},
    {OPTION_INT, "workers", AT(workers), "1", 1, 256, NULL, "decode threads of a rank"},
    {OPTION_INT, "attempts", AT(attempts), "3", 1, 100, NULL, "an item that so often was too slow, or ended the program, is quarantined"},
    {OPTION_TABLE, .offset = AT(lm), .table = lm_options},
    {0}};
/* clang-format on */
static const struct option_program program = {"pe-captioner", "caption",
                                              "caption videos, their frames, and pictures by a Perception LM", options};

enum { TEXTS_MOST = 128 }; /* of an item; draws depend on it (serve/job.h) */

struct captioning {
    const struct caption_settings *config;
    int64_t rows; /* of the decoder that a picture becomes */
};

/* The frame of which the text number `part` of `parts` tells: 0 is of the whole. */
static int frame_of(const struct fed *f, int part, int parts)
{
    return parts > 2 ? (part - 1) * (f->count - 1) / (parts - 2) : f->count / 2;
}

static void describe_item(const struct caption_settings *c, const struct fed *f, json_t *row)
{
    char *key = record_key(&f->record);
    json_t *times = json_array();
    json_object_set_new(row, "key", json_string(key));
    json_object_set_new(row, "kind", json_string(f->video ? "video" : "image"));
    json_object_set_new(row, "prompt", lm_text_identity(f->video ? c->video_prompt : c->image_prompt));
    for (int i = 0; f->video && i < f->count; i++) json_array_append_new(times, json_real(f->seconds[i]));
    if (f->video) json_object_set(row, "times", times);
    json_decref(times);
    free(key);
}

/* The whole, then single frames. */
static int ask(void *context, struct job_item *item, struct error *error)
{
    const struct captioning *s = context;
    const struct caption_settings *c = s->config;
    const struct fed *f = item->fed;
    int64_t frames = !f->video ? 0 : c->frame_captions < f->count ? c->frame_captions : f->count;
    int parts = 1 + (int)frames;
    json_t *texts = json_array();
    (void)error;
    describe_item(c, f, item->row);
    job_ask(item, &(struct turn){TURN_USER, f->video ? c->video_prompt : c->image_prompt, f->count * s->rows}, 1, 0);
    json_array_append_new(texts, json_object());
    for (int part = 1; part < parts; part++) {
        int frame = frame_of(f, part, parts);
        job_ask(item, &(struct turn){TURN_USER, c->image_prompt, s->rows}, 1, frame);
        json_array_append_new(texts, json_pack("{s:f}", "seconds", f->seconds[frame]));
    }
    json_object_set_new(item->row, "texts", texts);
    return 0;
}

static void finish(void *context, struct job_item *item)
{
    (void)context;
    for (int i = 0; i < item->count; i++)
        job_describe(&item->texts[i], json_array_get(json_object_get(item->row, "texts"), (size_t)i));
}

static int caption(const struct caption_settings *c, const struct collection *data, struct lm *lm, struct error *error)
{
    struct captioning self = {.config = c, .rows = lm_picture_rows(lm)};
    struct feed_samples samples = {
        .data = data, .media = media_options_of(&c->media), .size = lm_picture_size(lm), .tiles = (int)c->tiles};
    struct feed_config feed = {
        .decode = feed_sample, .context = &samples, .threads = (int)c->workers, .attempts = (int)c->attempts};
    json_t *recipe = options_identity(&program, c);
    json_object_set_new(recipe, "program", json_string("pe-captioner caption"));
    json_object_set_new(recipe, "data", json_checksum(collection_identity(data)));
    struct job job = {.name = "captions",
                      .verb = "captioned",
                      .output = c->output,
                      .items = data->samples,
                      .texts = TEXTS_MOST,
                      .attempts = c->attempts,
                      .recipe = recipe,
                      .data = data,
                      .feed = &feed,
                      .ask = ask,
                      .finish = finish,
                      .context = &self};
    int rc = job_run(&job, lm, error);
    json_decref(recipe);
    return rc;
}

static int caption_run(const struct world *world, const void *config, struct error *error)
{
    const struct caption_settings *c = config;
    struct collection data = {0};
    struct lm lm;
    int rc = lm_open(&lm, world, &c->lm, true, error);
    if (rc == 0) rc = world_agree(world, collection_open(&data, c->data.items, c->data.count, error), error);
    if (rc == 0) rc = caption(c, &data, &lm, error);
    collection_close(&data);
    lm_close(&lm);
    return rc;
}
const struct verb caption_verb = {&program, sizeof(struct caption_settings), caption_run};
