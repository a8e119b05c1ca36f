/* Figures of a data set, its verification, and its export as webdataset tars. */
#include "dataloader/inspect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "data/dataset.h"
#include "data/image.h"
#include "dist/stopping.h"
#include "log/log.h"

#define AT(field) offsetof(struct inspect_settings, field)
/* clang-format off */
static const struct option info_options[] = {
    {OPTION_STRING, "data", AT(data), "!", 0, 0, NULL, "folder of the data set"},
    {OPTION_INT, "sample", AT(sample), "-1", -1, 1e15, NULL, "print this sample: captions, label, metadata"},
    {0}};
/* clang-format on */
static const struct option verify_options[] = {
    {OPTION_STRING, "data", AT(data), "!", 0, 0, NULL, "folder of the data set"}, {0}};
/* clang-format off */
static const struct option export_options[] = {
    {OPTION_STRING, "data", AT(data), "!", 0, 0, NULL, "folder of the data set"},
    {OPTION_STRING, "output", AT(output), "!", 0, 0, NULL, "folder for 00000.tar ..., a webdataset tar a shard"},
    {0}};
/* clang-format on */
const struct option_program info_program = {"pe-dataloader", "info", "say what a data set holds", info_options};
const struct option_program verify_program = {"pe-dataloader", "verify",
                                              "check every record and every shard's checksum", verify_options};
const struct option_program export_program = {"pe-dataloader", "export", "write a data set as webdataset tars",
                                              export_options};

static const char *media_name(const struct record *r)
{
    return r->media == RECORD_JPEG     ? "JPEG"
           : r->media == RECORD_WEBP   ? "WebP"
           : r->media == RECORD_FRAMES ? "video frames"
                                       : "video file";
}

static int print_sample(const struct dataset *d, int64_t index, struct error *error)
{
    struct record r;
    if (index >= d->samples)
        return error_set(error, ERROR_USAGE, "--sample %ld: the data set has %ld samples", (long)index,
                         (long)d->samples);
    if (dataset_read(d, index, &r, error) < 0) return -1;
    printf("sample %ld: %s %d x %d, %zu bytes\n", (long)index, media_name(&r), r.width, r.height, r.len);
    for (int i = 0; r.media == RECORD_FRAMES && i < r.frames; i++)
        printf("%s%.3f s%s", i ? ", " : "frames at ", record_frame(&r, i).seconds, i + 1 < r.frames ? "" : "\n");
    if (r.label >= 0)
        printf("label: %d%s%s\n", r.label, r.label < d->class_count ? " " : "",
               r.label < d->class_count ? d->classes[r.label] : "");
    for (uint32_t i = 0; i < r.caption_count; i++) {
        size_t len;
        const char *text = record_caption(&r, i, &len);
        printf("caption: %.*s\n", (int)len, text);
    }
    printf("metadata: %.*s\n", (int)r.metadata_len, r.metadata);
    return 0;
}

int info_run(const struct world *world, const struct inspect_settings *c, struct error *error)
{
    struct dataset d;
    if (world->rank) return 0;
    if (dataset_open(&d, c->data, error) < 0) return -1;
    int64_t captions = 0, words = 0, labelled = 0, bytes = 0, kinds[6] = {0}, pixels = 0, frames = 0;
    int rc = 0;
    for (int64_t i = 0; rc == 0 && i < d.samples; i++) {
        struct record r;
        rc = stopping_alone("not all samples were looked at", error);
        if (rc == 0) rc = dataset_read(&d, i, &r, error);
        if (rc < 0) break;
        for (uint32_t k = 0; k < r.caption_count; k++) {
            size_t len;
            const char *text = record_caption(&r, k, &len);
            for (size_t b = 0; b < len; b++) words += text[b] != ' ' && (b + 1 == len || text[b + 1] == ' ');
        }
        captions += r.caption_count;
        labelled += r.label >= 0;
        bytes += (int64_t)r.len;
        kinds[r.media]++;
        frames += r.media == RECORD_FRAMES ? r.frames : 0;
        pixels += (int64_t)r.width * r.height;
    }
    if (rc == 0 && c->sample >= 0)
        rc = print_sample(&d, c->sample, error);
    else if (rc == 0)
        printf("%-12s %ld in %ld shards, %.1f MB of media\n%-12s %ld JPEG, %ld WebP\n%-12s %ld as frames (%ld of "
               "them), %ld as files\n%-12s %.0f pixels on average\n"
               "%-12s %ld (%.2f a sample, %.1f words each)\n%-12s %ld samples, %ld named classes\n",
               "samples", (long)d.samples, (long)d.shard_count, (double)bytes / 1e6, "pictures",
               (long)kinds[RECORD_JPEG], (long)kinds[RECORD_WEBP], "videos", (long)kinds[RECORD_FRAMES], (long)frames,
               (long)kinds[RECORD_VIDEO], "size", (double)pixels / (double)(d.samples + !d.samples), "captions",
               (long)captions, (double)captions / (double)(d.samples + !d.samples),
               (double)words / (double)(captions + !captions), "labels", (long)labelled, (long)d.class_count);
    dataset_close(&d);
    return rc;
}

static void report(void *context, const struct error *why)
{
    (void)context;
    printf("damaged: %s\n", why->text);
}

int verify_run(const struct world *world, const struct inspect_settings *c, struct error *error)
{
    struct dataset d = {0};
    if (world_agree(world, dataset_list(&d, c->data, error), error) < 0) return -1;
    int64_t bad = 0;
    struct stopping stopping = stopping_begin(world);
    for (int64_t s = world->rank; s < d.shard_count && !stopping_now(&stopping); s += world->size)
        bad += dataset_verify_shard(&d, s, report, NULL);
    fflush(stdout);
    int rc = stopping_end(&stopping, 0, "not all shards were looked at", error);
    if (rc == 0) {
        bad = world_sum(world, bad);
        if (bad)
            rc = error_set(error, ERROR_FAILED, "%s: %ld damaged records or shards, listed above", c->data, (long)bad);
        else if (!world->rank)
            printf("%s: %ld samples in %ld shards, all sound\n", c->data, (long)d.samples, (long)d.shard_count);
    }
    dataset_close(&d);
    return rc;
}

static void tar_member(FILE *out, const char *key, const char *extension, const void *bytes, size_t len)
{
    unsigned char h[512] = {0};
    static const char zeros[512];
    snprintf((char *)h, 100, "%.90s.%s", key, extension);
    snprintf((char *)h + 100, 8, "0000644");
    snprintf((char *)h + 108, 8, "0000000");
    snprintf((char *)h + 116, 8, "0000000");
    snprintf((char *)h + 124, 12, "%011lo", (unsigned long)len);
    snprintf((char *)h + 136, 12, "00000000000");
    memset(h + 148, ' ', 8);
    h[156] = '0';
    memcpy(h + 257, "ustar\00000", 8);
    unsigned sum = 0;
    for (int i = 0; i < 512; i++) sum += h[i];
    snprintf((char *)h + 148, 8, "%06o", sum);
    fwrite(h, 1, 512, out);
    fwrite(bytes, 1, len, out);
    fwrite(zeros, 1, (512 - len % 512) % 512, out);
}

/* The ending of a video file's name, by its first bytes. */
static const char *video_container(const uint8_t *b, size_t len)
{
    static const struct {
        size_t at;
        const char *magic, *ending;
    } kinds[] = {{4, "ftyp", "mp4"}, {0, "\x1a\x45\xdf\xa3", "mkv"},
                 {0, "RIFF", "avi"}, {0, "OggS", "ogv"},
                 {0, "FLV", "flv"},  {0, "\x47", "ts"},
                 {4, "moov", "mov"}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (len > kinds[i].at + 4 && !memcmp(b + kinds[i].at, kinds[i].magic, strlen(kinds[i].magic)))
            return kinds[i].ending;
    return "mpg";
}

static void export_record(FILE *out, int64_t index, const struct record *r)
{
    char key[24];
    struct str text = {0};
    snprintf(key, sizeof key, "%09ld", (long)index);
    if (r->media == RECORD_FRAMES)
        for (int i = 0; i < r->frames; i++) {
            struct record_frame f = record_frame(r, i);
            char extension[24];
            snprintf(extension, sizeof extension, "%03d.%s", i, f.len > 1 && f.bytes[0] == 0xff ? "jpg" : "webp");
            tar_member(out, key, extension, f.bytes, f.len);
        }
    else
        tar_member(out, key,
                   r->media == RECORD_JPEG   ? "jpg"
                   : r->media == RECORD_WEBP ? "webp"
                                             : video_container(r->bytes, r->len),
                   r->bytes, r->len);
    for (uint32_t i = 0; i < r->caption_count; i++) {
        size_t len;
        const char *caption = record_caption(r, i, &len);
        str_printf(&text, "%.*s\n", (int)len, caption);
    }
    if (text.len) tar_member(out, key, "txt", text.data, text.len);
    if (r->label >= 0) {
        str_clear(&text);
        str_printf(&text, "%d", r->label);
        tar_member(out, key, "cls", text.data, text.len);
    }
    tar_member(out, key, "json", r->metadata, r->metadata_len);
    str_free(&text);
}

static int not_written(const char *path, struct error *error)
{
    return error_set(error, ERROR_FAILED, "%s: cannot write: %s", path, strerror(errno));
}

/* A tar that is not whole does not stay. */
static int export_shard(const struct dataset *d, int64_t shard, const char *folder, struct stopping *stopping,
                        struct error *error)
{
    char name[32];
    snprintf(name, sizeof name, "%05ld.tar", (long)shard);
    char *path = fs_join(folder, name);
    static const char zeros[1024];
    FILE *out = fopen(path, "wb");
    int rc = out ? 0 : not_written(path, error);
    for (int64_t i = 0; rc == 0 && i < d->shards[shard].samples && !stopping_now(stopping); i++) {
        struct record r;
        rc = dataset_read(d, d->shards[shard].first + i, &r, error);
        if (rc == 0) export_record(out, d->shards[shard].first + i, &r);
        if (rc == 0 && ferror(out)) rc = not_written(path, error);
    }
    if (rc == 0 && fwrite(zeros, 1, sizeof zeros, out) < sizeof zeros) rc = not_written(path, error);
    if (out && fclose(out) && rc == 0) rc = not_written(path, error);
    if (out && (rc < 0 || stopping->left)) unlink(path);
    free(path);
    return rc;
}

/* A line each; no file where there are none. */
static int export_texts(const char *folder, const char *name, char *const *texts, int64_t count, struct error *error)
{
    struct str out = {0};
    for (int64_t i = 0; i < count; i++) str_printf(&out, "%s\n", texts[i]);
    char *path = fs_join(folder, name);
    int rc = count ? fs_write(path, out.data, out.len, error) : 0;
    free(path);
    str_free(&out);
    return rc;
}

int export_run(const struct world *world, const struct inspect_settings *c, struct error *error)
{
    struct dataset d = {0};
    if (world_agree(world, dataset_open(&d, c->data, error), error) < 0) return -1;
    int rc = world_agree(world, fs_make_folders(c->output, error), error);
    struct stopping stopping = stopping_begin(world);
    for (int64_t s = world->rank; rc == 0 && s < d.shard_count && !stopping_now(&stopping); s += world->size)
        rc = export_shard(&d, s, c->output, &stopping, error);
    if (rc == 0 && !world->rank) rc = export_texts(c->output, "classnames.txt", d.classes, d.class_count, error);
    if (rc == 0 && !world->rank)
        rc = export_texts(c->output, "zeroshot_classification_templates.txt", d.templates, d.template_count, error);
    rc = stopping_end(&stopping, rc, "not all tars are there", error);
    if (rc == 0 && !world->rank)
        printf("%s: %ld samples in %ld tars\n", c->output, (long)d.samples, (long)d.shard_count);
    dataset_close(&d);
    return rc;
}
