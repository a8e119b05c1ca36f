/* Packing: items -> records -> shards -> dataset.json. */
#include "dataloader/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "data/dataset.h"
#include "data/resize.h"
#include "data/writer.h"
#include "dist/machine.h"
#include "dist/stopping.h"
#include "log/log.h"

#define AT(field) offsetof(struct pack_config, field)
static const struct option options[] = {
    {OPTION_STRINGS, "input", AT(input), "!", 0, 0, NULL, "webdataset tars, folders, ImageFolders, CSV/TSV/JSONL manifests, of pictures or videos, in this order"},
    {OPTION_STRING, "output", AT(output), "!", 0, 0, NULL, "folder of the data set"},
    {OPTION_CHOICE, "format", AT(format), "keep", 0, 0, "keep|jpeg|webp", "how pictures are stored; keep re-encodes only where it must"},
    {OPTION_INT, "resize", AT(resize), "0", 0, 65536, NULL, "shrink so that the longer side is at most N pixels; 0 leaves sizes alone"},
    {OPTION_INT, "quality", AT(quality), "90", 1, 100, NULL, "of re-encoded pictures"},
    {OPTION_CHOICE, "video", AT(video), "frames", 0, 0, "frames|file", "store frames of videos as pictures (WebP with --format webp, else JPEG), or the files as they are"},
    {OPTION_INT, "frames", AT(frames), "8", 1, 1024, NULL, "frames of a video; at most so many with --frame-rate"},
    {OPTION_CHOICE, "frame-rule", AT(frame_rule), "span", 0, 0, "span|floor", "frame i of n in a video of T: i (T - 1) / (n - 1), or i T / n"},
    {OPTION_REAL, "frame-rate", AT(frame_rate), "0", 0, 1000, NULL, "frames a second; a video with more than --frames of them gives --frames over all of it; 0: always --frames"},
    {OPTION_REAL, "video-seconds", AT(video_seconds), "60", 1e-6, 1e6, NULL, "a video that takes longer to decode is quarantined"},
    {OPTION_INT, "samples-per-shard", AT(samples_per_shard), "4096", 1, 1e9, NULL, "input items a shard takes"},
    {OPTION_INT, "max-image-pixels", AT(max_pixels), "100000000", 1, 1e12, NULL, "larger pictures are quarantined before they are decoded"},
    {OPTION_REAL, "max-bad-fraction", AT(max_bad_fraction), "0.1", 0, 1, NULL, "fail when more than this share of the items is quarantined"},
    {OPTION_INT, "threads", AT(threads), "0", 0, 1024, NULL, "threads of this rank; 0: its share of the cores"},
    {0}};
const struct option_program pack_program = {"pe-dataloader", "pack", "pack images and captions into LMDB shards", options};

enum { CHUNK = 64 };

struct packed {
    struct str bytes; /* encoded record, empty when bad */
    char *key;
    const char *source;
    uint64_t hash;    /* of the media bytes */
    bool video;
    struct error why;
};

/* Does this picture have to be decoded and stored anew? */
static bool must_encode(const struct pack_config *c, const struct image_info *info, enum image_format want)
{
    int longer = info->width > info->height ? info->width : info->height;
    return info->format != want || info->orientation != 1 || (c->resize && longer > c->resize);
}

void pack_shrink(struct image *image, int64_t longest)
{
    int longer = image->width > image->height ? image->width : image->height;
    if (!longest || longer <= longest) return;
    struct image small = {.width = (int)((int64_t)image->width * longest / longer), .height = (int)((int64_t)image->height * longest / longer)};
    if (!small.width) small.width = 1;
    if (!small.height) small.height = 1;
    small.pixels = mem_alloc((size_t)small.width * (size_t)small.height, 3);
    resize_image(image, small.pixels, small.width, small.height);
    image_free(image);
    *image = small;
}

static int picture_record(const struct pack_config *c, struct sample *s, struct record *record, struct str *media, struct error *error)
{
    struct image_info info;
    struct image image;
    if (image_probe(s->media, s->len, &info, error) < 0 || image_decode(s->media, s->len, c->max_pixels, &image, error) < 0) return -1;
    enum image_format want = !strcmp(c->format, "jpeg")   ? IMAGE_JPEG
                             : !strcmp(c->format, "webp") ? IMAGE_WEBP
                             : info.format == IMAGE_JPEG  ? IMAGE_JPEG
                                                          : IMAGE_WEBP;
    uint8_t *bytes = NULL;
    size_t len = 0;
    int rc = 0;
    if (must_encode(c, &info, want)) {
        pack_shrink(&image, c->resize);
        rc = image_encode(&image, want, (int)c->quality, &bytes, &len, error);
        if (rc == 0) str_append(media, bytes, len);
        free(bytes);
    } else str_append(media, s->media, s->len);
    *record = (struct record){.media = want == IMAGE_JPEG ? RECORD_JPEG : RECORD_WEBP, .width = image.width, .height = image.height};
    image_free(&image);
    return rc;
}

static int make_record(const struct pack_config *c, struct sample *s, struct str *out, struct error *error)
{
    struct record record = {0};
    struct str media = {0};
    if (!s->metadata) s->metadata = json_object();
    json_object_set_new(s->metadata, "key", json_string(s->key));
    int rc = s->video ? clip_record(c, s, &record, &media, error) : picture_record(c, s, &record, &media, error);
    if (rc == 0) {
        char *metadata = json_dumps(s->metadata, JSON_COMPACT | JSON_SORT_KEYS);
        record.bytes = (uint8_t *)media.data;
        record.len = media.len;
        record.label = s->label;
        record.captions = s->captions.data;
        record.caption_count = s->caption_count;
        record.captions_len = (uint32_t)s->captions.len;
        record.metadata = metadata;
        record.metadata_len = strlen(metadata);
        record_encode(&record, out);
        free(metadata);
    }
    str_free(&media);
    return rc;
}

static void pack_item(const struct pack_config *c, const struct sources *sources, int64_t index, struct packed *out)
{
    struct sample s;
    const struct source *from;
    *out = (struct packed){0};
    int rc = sources_read(sources, index, &s, &from, &out->why);
    if (s.media) out->hash = XXH3_64bits(s.media, s.len);
    if (rc == 0) make_record(c, &s, &out->bytes, &out->why);
    out->source = from->path;
    out->video = s.video;
    out->key = s.key;
    s.key = NULL;
    sample_free(&s);
}

static void quarantine(json_t *list, const struct packed *p)
{
    char hash[20];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)p->hash);
    json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "source", p->source, "key", p->key ? p->key : "", "reason", p->why.text, "xxh3", hash));
}

static char *shard_name(int64_t shard, const char *extension)
{
    struct str name = {0};
    str_printf(&name, "shard-%05ld%s", (long)shard, extension);
    return str_steal(&name);
}

/* One shard, and beside it shard-N.json: what dataset.json and quarantine.jsonl will say of it. */
static int pack_shard(const struct pack_config *c, const struct sources *sources, int64_t shard, int threads, int64_t *done,
                      struct progress *progress, struct stopping *stopping, struct error *error)
{
    char *name = shard_name(shard, ".lmdb"), *path = fs_join(c->output, name), *note = shard_name(shard, ".json"), *note_path = fs_join(c->output, note);
    int64_t first = shard * c->samples_per_shard, end = first + c->samples_per_shard;
    if (end > sources->items) end = sources->items;
    int rc = 0, ranks = stopping->world->size;
    if (fs_exists(note_path)) { /* finished before */
        *done += end - first;
        goto out;
    }
    struct shard_writer w;
    int64_t videos = 0;
    json_t *bad = json_array();
    rc = shard_create(&w, path, error);
    for (int64_t at = first; rc == 0 && at < end && !stopping_now(stopping); at += CHUNK) {
        struct packed packed[CHUNK];
        int64_t n = end - at < CHUNK ? end - at : CHUNK;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
        for (int64_t i = 0; i < n; i++) pack_item(c, sources, at + i, &packed[i]);
        for (int64_t i = 0; i < n; i++) {
            videos += packed[i].video && !packed[i].why.code;
            if (packed[i].why.code) quarantine(bad, &packed[i]);
            else if (rc == 0 && (rc = shard_append(&w, packed[i].bytes.data, packed[i].bytes.len, error)) < 0) shard_abandon(&w);
            str_free(&packed[i].bytes);
            free(packed[i].key);
        }
        *done += n;
        progress_show(progress, *done * ranks < sources->items ? *done * ranks : sources->items, "");
    }
    if (rc == 0 && stopping->left) { /* packed again when the pack goes on */
        shard_abandon(&w);
        json_decref(bad);
        goto out;
    }
    int64_t bytes = 0, samples = rc == 0 ? w.samples : 0;
    uint64_t sum = 0;
    char hex[20];
    if (rc == 0) rc = shard_finish(&w, &bytes, &sum, error);
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)sum);
    json_t *summary = json_pack("{s:s, s:I, s:I, s:s, s:O, s:I}", "file", name, "samples", (json_int_t)samples, "bytes", (json_int_t)bytes, "xxh3", hex,
                                "quarantine", bad, "videos", (json_int_t)videos);
    if (rc == 0) rc = json_write(note_path, summary, error);
    json_decref(summary);
    json_decref(bad);
out:
    free(name);
    free(path);
    free(note);
    free(note_path);
    return rc;
}

/* What a pack is made from: a second pack into the same folder must be the same one. */
static json_t *recipe(const struct pack_config *c, const struct sources *sources)
{
    json_t *inputs = json_array();
    for (int64_t i = 0; i < sources->source_count; i++)
        json_array_append_new(inputs, json_pack("{s:s, s:I, s:I}", "path", sources->list[i].path, "items", (json_int_t)sources->list[i].count,
                                                "bytes", (json_int_t)(fs_is_folder(sources->list[i].path) ? 0 : fs_size(sources->list[i].path))));
    return json_pack("{s:s, s:o, s:s, s:I, s:I, s:I, s:I, s:s, s:I, s:s, s:f}", "program", "pe-dataloader pack", "inputs", inputs, "format", c->format, "resize",
                     (json_int_t)c->resize, "quality", (json_int_t)c->quality, "samples-per-shard", (json_int_t)c->samples_per_shard,
                     "max-image-pixels", (json_int_t)c->max_pixels, "video", c->video, "frames", (json_int_t)c->frames, "frame-rule", c->frame_rule, "frame-rate",
                     c->frame_rate);
}

/* Rank 0, when all shards are there: the index and the list of what was left out. */
static int conclude(const struct pack_config *c, const struct sources *sources, int64_t shards, json_t *made_from, int64_t *bad, int64_t *bytes,
                    struct error *error)
{
    json_t *list = json_array(), *names = json_array();
    struct str lines = {0};
    int64_t samples = 0, videos = 0;
    int rc = 0;
    for (int64_t s = 0; rc == 0 && s < shards; s++) {
        char *note = shard_name(s, ".json"), *path = fs_join(c->output, note);
        json_t *summary = json_read(path, error), *row;
        size_t i;
        rc = summary ? 0 : -1;
        json_array_foreach(json_object_get(summary, "quarantine"), i, row)
        {
            char *text = json_dumps(row, JSON_COMPACT);
            str_printf(&lines, "%s\n", text);
            free(text);
            ++*bad;
        }
        videos += json_integer_value(json_object_get(summary, "videos"));
        json_object_del(summary, "quarantine");
        json_object_del(summary, "videos");
        samples += json_integer_value(json_object_get(summary, "samples"));
        *bytes += json_integer_value(json_object_get(summary, "bytes"));
        json_array_append_new(list, summary);
        free(note);
        free(path);
    }
    for (int64_t i = 0; i < sources->class_count; i++) json_array_append_new(names, json_string(sources->classes[i]));
    char *index = fs_join(c->output, "dataset.json"), *left = fs_join(c->output, "quarantine.jsonl");
    json_t *root = json_pack("{s:s, s:i, s:I, s:O, s:O, s:O}", "format", "percept-dataset", "version", 1, "samples", (json_int_t)samples, "classes",
                             names, "shards", list, "provenance", made_from);
    if (!json_array_size(names)) json_object_del(root, "classes");
    if (videos) json_object_set_new(root, "videos", json_integer(videos));
    if (rc == 0) rc = fs_write(left, lines.data ? lines.data : "", lines.len, error);
    double share = (double)*bad / (double)sources->items;
    if (rc == 0 && share > c->max_bad_fraction)
        rc = error_set(error, ERROR_FAILED, "%s: %ld of %ld items are bad, more than --max-bad-fraction %g; the reasons are in quarantine.jsonl", c->output,
                       (long)*bad, (long)sources->items, c->max_bad_fraction);
    if (rc == 0 && !samples) rc = error_set(error, ERROR_FAILED, "%s: no usable sample", c->output);
    if (rc == 0) rc = json_write(index, root, error);
    json_decref(root);
    json_decref(list);
    json_decref(names);
    str_free(&lines);
    free(index);
    free(left);
    return rc;
}

static void table(const struct pack_config *c, const struct sources *sources, int64_t shards, int64_t bad, int64_t bytes, double seconds)
{
    char took[32];
    clock_duration(seconds, took);
    printf("%-12s %s\n%-12s %ld\n%-12s %ld\n%-12s %ld%s\n%-12s %ld\n%-12s %.1f MB\n%-12s %s (%.0f items/s)\n", "data set", c->output, "items",
           (long)sources->items, "packed", (long)(sources->items - bad), "quarantined", (long)bad, bad ? " (quarantine.jsonl says why)" : "", "shards",
           (long)shards, "size", (double)bytes / 1e6, "time", took, (double)sources->items / (seconds + 1e-9));
}

int pack_run(const struct world *world, const struct pack_config *c, struct error *error)
{
    double start = clock_seconds();
    struct sources sources = {0};
    int rc = world_agree(world, sources_open(&sources, c->input.items, c->input.count, error), error);
    if (rc < 0) return -1;
    json_t *made_from = recipe(c, &sources);
    rc = world_agree(world, world->rank ? 0 : writer_claim(c->output, made_from, c->input.items, c->input.count, error), error);
    int64_t shards = (sources.items + c->samples_per_shard - 1) / c->samples_per_shard, done = 0, bad = 0, bytes = 0;
    int threads = machine_threads(world, c->threads);
    machine_advise(world, c->threads);
    struct progress progress = progress_open("packed", sources.items, world->rank > 0);
    struct stopping stopping = stopping_begin(world);
    for (int64_t s = world->rank; rc == 0 && s < shards && !stopping_now(&stopping); s += world->size)
        rc = pack_shard(c, &sources, s, threads, &done, &progress, &stopping, error);
    rc = stopping_end(&stopping, rc, "the same command goes on with the shards that are missing", error);
    if (rc == 0) rc = world_agree(world, world->rank ? 0 : conclude(c, &sources, shards, made_from, &bad, &bytes, error), error);
    if (rc == 0 && !world->rank) table(c, &sources, shards, bad, bytes, clock_seconds() - start);
    json_decref(made_from);
    sources_close(&sources);
    return rc;
}
