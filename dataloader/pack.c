/* Packing: items -> records -> shards -> dataset.json. */
#include "dataloader/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/memory.h"
#include "data/resize.h"
#include "data/writer.h"
#include "dist/machine.h"
#include "dist/stopping.h"
#include "log/log.h"

#define AT(field) offsetof(struct pack_settings, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_STRINGS, "input", AT(input), "!", 0, 0, NULL, "webdataset tars, folders, ImageFolders, CSV/TSV/JSONL manifests, of pictures or videos, in this order"},
    {OPTION_STRING, "output", AT(output), "!", 0, 0, NULL, "folder of the data set"},
    {OPTION_CHOICE, "format", AT(format), "keep", 0, 0, "keep|jpeg|webp", "how pictures are stored; keep re-encodes only where it must", OPTION_IDENTITY},
    {OPTION_INT, "resize", AT(resize), "0", 0, 65536, NULL, "shrink so that the longer side is at most N pixels; 0 leaves sizes alone", OPTION_IDENTITY},
    {OPTION_INT, "quality", AT(quality), "90", 1, 100, NULL, "of re-encoded pictures", OPTION_IDENTITY},
    {OPTION_INT, "samples-per-shard", AT(samples_per_shard), "4096", 1, 1e9, NULL, "input items a shard takes", OPTION_IDENTITY},
    {OPTION_INT, "max-image-pixels", AT(max_pixels), "100000000", 1, 1e12, NULL, "larger pictures are quarantined before they are decoded", OPTION_IDENTITY},
    {OPTION_CHOICE, "video", AT(video), "frames", 0, 0, "frames|file", "store frames of videos as pictures (WebP with --format webp, else JPEG), or the files as they are", OPTION_IDENTITY},
    {OPTION_INT, "frames", AT(frames), "8", 1, 1024, NULL, "frames of a video; at most so many with --frame-rate", OPTION_IDENTITY},
    {OPTION_CHOICE, "frame-rule", AT(frame_rule), "span", 0, 0, "span|floor", "frame i of n in a video of T: i (T - 1) / (n - 1), or i T / n", OPTION_IDENTITY},
    {OPTION_REAL, "frame-rate", AT(frame_rate), "0", 0, 1000, NULL, "frames a second; a video with more than --frames of them gives --frames over all of it; 0: always --frames", OPTION_IDENTITY},
    {OPTION_REAL, "video-seconds", AT(video_seconds), "60", 1e-6, 1e6, NULL, "a video that takes longer to decode is quarantined"},
    {OPTION_REAL, "max-bad-fraction", AT(max_bad_fraction), "0.1", 0, 1, NULL, "fail when more than this share of the items is quarantined"},
    {OPTION_INT, "threads", AT(threads), "0", 0, 1024, NULL, "threads of this rank; 0: its share of the cores"},
    {0}};
/* clang-format on */
const struct option_program pack_program = {"pe-dataloader", "pack", "pack images and captions into LMDB shards",
                                            options};

enum { CHUNK = 64 };

struct packed {
    struct str bytes; /* encoded record, empty when bad */
    char *key;
    const char *source;
    uint64_t hash; /* of the media bytes */
    bool video;
    struct error why;
};

/* Does this picture have to be decoded and stored anew? */
static bool must_encode(const struct pack_settings *c, const struct image_info *info, enum image_format want)
{
    int longer = info->width > info->height ? info->width : info->height;
    return info->format != want || info->orientation != 1 || (c->resize && longer > c->resize);
}

void pack_shrink(struct image *image, int64_t longest)
{
    int longer = image->width > image->height ? image->width : image->height;
    if (!longest || longer <= longest) return;
    struct image small = {.width = (int)((int64_t)image->width * longest / longer),
                          .height = (int)((int64_t)image->height * longest / longer)};
    if (!small.width) small.width = 1;
    if (!small.height) small.height = 1;
    small.pixels = mem_alloc((size_t)small.width * (size_t)small.height, 3);
    resize_image(image, small.pixels, small.width, small.height);
    image_free(image);
    *image = small;
}

static int picture_record(const struct pack_settings *c, struct sample *s, struct record *record, struct str *media,
                          struct error *error)
{
    struct image_info info;
    struct image image;
    if (image_probe(s->media, s->len, &info, error) < 0) return -1;
    if (image_decode(s->media, s->len, c->max_pixels, &image, error) < 0) return -1;
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
    } else
        str_append(media, s->media, s->len);
    *record = (struct record){
        .media = want == IMAGE_JPEG ? RECORD_JPEG : RECORD_WEBP, .width = image.width, .height = image.height};
    image_free(&image);
    return rc;
}

static int make_record(const struct pack_settings *c, struct sample *s, struct str *out, struct error *error)
{
    struct record record = {0};
    struct str media = {0};
    if (!s->metadata) s->metadata = json_object();
    int rc = s->video ? video_record(c, s, &record, &media, error) : picture_record(c, s, &record, &media, error);
    if (rc == 0) {
        char *metadata = sample_metadata_text(s);
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

static void pack_item(const struct pack_settings *c, const struct sources *sources, int64_t index, struct packed *out)
{
    struct sample s;
    const struct source *from;
    *out = (struct packed){0};
    int rc = sources_read(sources, index, true, &s, &from, &out->why);
    if (s.media) out->hash = XXH3_64bits(s.media, s.len);
    if (rc == 0) make_record(c, &s, &out->bytes, &out->why);
    out->source = from->path;
    out->video = s.video;
    out->key = s.key;
    s.key = NULL;
    sample_free(&s);
}

/* Items [first, end) into the shard; what is bad is left out with its reason. */
static int pack_chunk(const struct pack_settings *c, const struct sources *sources, int64_t first, int64_t end,
                      int threads, struct writer *w, struct error *error)
{
    struct packed packed[CHUNK];
    int64_t n = end - first;
    int rc = 0;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int64_t i = 0; i < n; i++) pack_item(c, sources, first + i, &packed[i]);
    for (int64_t i = 0; i < n; i++) {
        struct packed *p = &packed[i];
        if (p->why.code)
            writer_leave_out(w, p->source, p->key ? p->key : "", p->hash, p->why.text);
        else if (rc == 0)
            rc = writer_append(w, &p->bytes, p->video, error);
        str_free(&p->bytes);
        free(p->key);
    }
    return rc;
}

struct pack_work {
    struct stopping stopping;
    struct progress progress;
    int64_t done;
    int threads;
};

static int pack_shard(const struct pack_settings *c, const struct sources *sources, int64_t shard, struct pack_work *p,
                      struct error *error)
{
    int64_t first = shard * c->samples_per_shard, end = first + c->samples_per_shard;
    if (end > sources->items) end = sources->items;
    if (writer_has(c->output, shard)) {
        p->done += end - first;
        return 0;
    }
    struct writer w;
    int rc = writer_begin(&w, c->output, shard, error);
    if (rc < 0) return -1;
    for (int64_t at = first; rc == 0 && at < end && !stopping_now(&p->stopping); at += CHUNK) {
        int64_t stop = at + CHUNK < end ? at + CHUNK : end;
        rc = pack_chunk(c, sources, at, stop, p->threads, &w, error);
        p->done += stop - at;
        int64_t all = p->done * p->stopping.world->size;
        progress_show(&p->progress, all < sources->items ? all : sources->items, "");
    }
    if (rc == 0 && !p->stopping.left) return writer_finish(&w, error);
    writer_abandon(&w); /* packed again when the pack goes on */
    return rc;
}

/* What a pack is made from: its inputs and the options that change a byte of it. */
static json_t *recipe(const struct pack_settings *c, const struct sources *sources)
{
    json_t *inputs = json_array(), *options = options_identity(&pack_program, c);
    for (int64_t i = 0; i < sources->source_count; i++) {
        const struct source *from = &sources->list[i];
        int64_t bytes = fs_is_folder(from->path) ? 0 : fs_size(from->path);
        json_array_append_new(inputs, json_pack("{s:o, s:I, s:I}", "path", json_text(from->path), "items",
                                                (json_int_t)from->count, "bytes", (json_int_t)bytes));
    }
    json_t *made_from = json_pack("{s:s, s:o}", "program", "pe-dataloader pack", "inputs", inputs);
    json_object_update(made_from, options);
    json_decref(options);
    return made_from;
}

/* Rank 0, when all shards are there. */
static int conclude(const struct pack_settings *c, const struct sources *sources, int64_t shards, json_t *made_from,
                    struct writer_index *index, struct error *error)
{
    if (writer_gather(c->output, shards, index, error) < 0) return -1;
    if ((double)index->left_out / (double)sources->items > c->max_bad_fraction)
        return error_set(error, ERROR_FAILED,
                         "%s: %ld of %ld items are bad, more than --max-bad-fraction %g; quarantine.jsonl says why",
                         c->output, (long)index->left_out, (long)sources->items, c->max_bad_fraction);
    struct writer_names names = {sources->classes, sources->templates, sources->class_count, sources->template_count};
    return writer_commit(c->output, index, &names, made_from, error);
}

static void table(const struct pack_settings *c, const struct sources *sources, int64_t shards,
                  const struct writer_index *index, double seconds)
{
    char took[32];
    int64_t bad = index->left_out;
    clock_duration(seconds, took);
    printf("%-12s %s\n", "data set", c->output);
    printf("%-12s %ld\n", "items", (long)sources->items);
    printf("%-12s %ld\n", "packed", (long)(sources->items - bad));
    printf("%-12s %ld%s\n", "quarantined", (long)bad, bad ? " (quarantine.jsonl says why)" : "");
    printf("%-12s %ld\n", "shards", (long)shards);
    printf("%-12s %.1f MB\n", "size", (double)index->bytes / 1e6);
    printf("%-12s %s (%.0f items/s)\n", "time", took, (double)sources->items / (seconds + 1e-9));
}

int pack_run(const struct world *world, const struct pack_settings *c, struct error *error)
{
    double start = clock_seconds();
    struct sources sources = {0};
    struct writer_index index = {0};
    int rc = world_agree(world, sources_open(&sources, c->input.items, c->input.count, error), error);
    if (rc < 0) return -1;
    json_t *made_from = recipe(c, &sources);
    if (!world->rank) rc = writer_claim(c->output, made_from, c->input.items, c->input.count, error);
    rc = world_agree(world, rc, error);
    int64_t shards = (sources.items + c->samples_per_shard - 1) / c->samples_per_shard;
    machine_advise(world, c->threads);
    struct pack_work p = {.threads = machine_threads(world, c->threads), .stopping = stopping_begin(world)};
    p.progress = progress_open("packed", sources.items, world->rank > 0);
    for (int64_t s = world->rank; rc == 0 && s < shards && !stopping_now(&p.stopping); s += world->size)
        rc = pack_shard(c, &sources, s, &p, error);
    rc = stopping_end(&p.stopping, rc, "the same command goes on with the shards that are missing", error);
    if (rc == 0 && !world->rank) rc = conclude(c, &sources, shards, made_from, &index, error);
    rc = world_agree(world, rc, error);
    if (rc == 0 && !world->rank) table(c, &sources, shards, &index, clock_seconds() - start);
    writer_index_free(&index);
    json_decref(made_from);
    sources_close(&sources);
    return rc;
}
