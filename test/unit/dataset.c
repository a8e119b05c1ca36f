/* Data sets as files: what is sound is read, what is not is named and never walked into. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "data/dataset.h"
#include "test/harness.h"

/* A record whose media is `len` bytes that depend on `number`. */
static void put_record(struct str *out, int64_t number, size_t len)
{
    uint8_t *media = mem_alloc(len + 1, 1);
    for (size_t i = 0; i < len; i++) media[i] = (uint8_t)(number * 31 + (int64_t)i);
    struct str captions = {0};
    record_add_caption(&captions, "a caption", 9);
    struct record record = {.media = RECORD_JPEG, .width = 1, .height = 1, .label = (int)number, .bytes = media, .len = len,
                            .captions = captions.data, .caption_count = 1, .captions_len = (uint32_t)captions.len, .metadata = "{}", .metadata_len = 2};
    record_encode(&record, out);
    str_free(&captions);
    free(media);
}

/* A data set of count shards with `samples` records of `len` bytes each, in a new folder of this name; the path is the caller's to free. */
static char *make_dataset(const char *name, int64_t count, int64_t samples, size_t len)
{
    struct error error = {0};
    char *folder = fs_join(test_folder(), name), *index = fs_join(folder, "dataset.json");
    json_t *shards = json_array();
    int rc = fs_make_folders(folder, &error);
    for (int64_t s = 0; rc == 0 && s < count; s++) {
        char file[32], hex[20];
        snprintf(file, sizeof file, "shard-%05ld.lmdb", (long)s);
        char *path = fs_join(folder, file);
        struct shard_writer writer;
        int64_t bytes = 0;
        uint64_t sum = 0;
        rc = shard_create(&writer, path, &error);
        for (int64_t i = 0; rc == 0 && i < samples; i++) {
            struct str record = {0};
            put_record(&record, s * samples + i, len);
            rc = shard_append(&writer, record.data, record.len, &error);
            str_free(&record);
        }
        if (rc == 0) rc = shard_finish(&writer, &bytes, &sum, &error);
        snprintf(hex, sizeof hex, "%016llx", (unsigned long long)sum);
        json_array_append_new(shards, json_pack("{s:s, s:I, s:I, s:s}", "file", file, "samples", (json_int_t)samples, "bytes", (json_int_t)bytes, "xxh3", hex));
        free(path);
    }
    json_t *root = json_pack("{s:s, s:i, s:I, s:o}", "format", "percept-dataset", "version", 1, "samples", (json_int_t)(count * samples), "shards", shards);
    if (rc == 0) rc = json_write(index, root, &error);
    EXPECT(rc == 0, "%s", error.text);
    json_decref(root);
    free(index);
    return folder;
}

/* Every record is there, in order. */
static void expect_whole(const struct dataset *d, int64_t samples)
{
    EXPECT(d->samples == samples, "%ld samples", (long)d->samples);
    for (int64_t i = 0; i < d->samples; i++) {
        struct error error = {0};
        struct record record;
        int rc = dataset_read(d, i, &record, &error);
        EXPECT(rc == 0 && record.label == i, "sample %ld: %s", (long)i, error.text);
    }
}

static void many_shards(void) /* more than 126, the end when each reserved 1 TiB of address space */
{
    struct error error = {0};
    struct dataset d;
    char *folder = make_dataset("many", 300, 2, 100);
    int rc = dataset_open(&d, folder, &error);
    EXPECT(rc == 0, "%s", error.text);
    if (rc == 0) {
        expect_whole(&d, 600);
        dataset_close(&d);
    }
    free(folder);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv, (struct test[]){{"many_shards", many_shards}, {0}});
}
