/* The writer of data sets: whose folder it is, what is gone on with, what the index says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "data/dataset.h"
#include "data/writer.h"
#include "test/harness.h"

static json_t *recipe(int version)
{
    return json_pack("{s:s, s:i}", "program", "test", "version", version);
}

static int claim(const char *folder, int version, char *input, struct error *error)
{
    json_t *made_from = recipe(version);
    *error = (struct error){0};
    int rc = writer_claim(folder, made_from, &input, 1, error);
    json_decref(made_from);
    return rc;
}

static void claims(void)
{
    struct error error;
    char *input = fs_join(test_folder(), "input"), *again = fs_join(input, "../input/.");
    char *link = fs_join(test_folder(), "link"), *output = fs_join(test_folder(), "a/b");
    char *pack = fs_join(output, "pack.json"), *shard = fs_join(output, "shard-00000.lmdb");
    EXPECT(fs_make_folders(input, &error) == 0 && symlink("input", link) == 0, "input");
    EXPECT(claim(input, 1, again, &error) < 0 && strstr(error.text, "is the input"), "%s", error.text);
    EXPECT(claim(link, 1, input, &error) < 0 && strstr(error.text, "is the input"), "%s", error.text);
    EXPECT(claim(output, 1, input, &error) == 0, "%s", error.text);
    EXPECT(claim(output, 1, input, &error) == 0, "again: %s", error.text);
    EXPECT(claim(output, 2, input, &error) < 0 && strstr(error.text, "other inputs or options"), "%s", error.text);
    EXPECT(fs_write(shard, "x", 1, &error) == 0 && unlink(pack) == 0, "%s", error.text);
    EXPECT(claim(output, 1, input, &error) < 0 && strstr(error.text, "no pack.json"), "%s", error.text);
    EXPECT(fs_write(pack, "{", 1, &error) == 0 && claim(output, 1, input, &error) < 0, "torn pack.json");
    free(input), free(again), free(link), free(output), free(pack), free(shard);
}

/* Shard `number`: that many records, each left out when it is the second. */
static void write_shard(const char *folder, int64_t number)
{
    struct error error = {0};
    struct writer w;
    int rc = writer_begin(&w, folder, number, &error);
    for (int64_t i = 0; rc == 0 && i < number; i++) {
        struct record record = {.media = i ? RECORD_JPEG : RECORD_VIDEO, .label = (int)(10 * number + i)};
        struct str bytes = {0};
        record_encode(&record, &bytes);
        if (i == 1)
            writer_leave_out(&w, "here", "k\xffy", 0xabc, "is the \"second\"");
        else
            rc = writer_append(&w, &bytes, i == 0, &error);
        writer_count(&w, i % 2 ? "odd" : "even");
        str_free(&bytes);
    }
    EXPECT(rc == 0 && writer_finish(&w, &error) == 0, "%s", error.text);
}

static void expect_set(const char *folder)
{
    struct error error = {0};
    struct dataset d;
    struct record r;
    static const int labels[] = {10, 20, 30, 32};
    EXPECT(dataset_open(&d, folder, &error) == 0, "%s", error.text);
    EXPECT(d.samples == 4 && d.shard_count == 4, "%ld samples", (long)d.samples);
    EXPECT(d.videos == 3, "%ld videos", (long)d.videos);
    EXPECT(d.class_count == 2 && !strcmp(d.classes[1], "dog"), "%ld classes", (long)d.class_count);
    for (int i = 0; i < 4; i++)
        EXPECT(dataset_read(&d, i, &r, &error) == 0 && r.label == labels[i], "%d: %s", i, error.text);
    dataset_close(&d);
}

static void shards_in_any_order(void)
{
    struct error error = {0};
    char *folder = fs_join(test_folder(), "order"), *list = fs_join(folder, "quarantine.jsonl");
    char *classes[] = {"cat", "dog"};
    const char *left = "{\"source\":\"here\",\"key\":\"k\\\\xffy\",\"reason\":\"is the \\\"second\\\"\","
                       "\"xxh3\":\"0000000000000abc\"}\n";
    char *torn = fs_join(folder, "shard-00001.lmdb"), *lines = NULL, *output = NULL;
    size_t len;
    struct writer_index index;
    EXPECT(claim(folder, 1, "/nowhere", &error) == 0, "%s", error.text);
    for (int64_t n = 3; n >= 0; n--) {
        EXPECT(!writer_has(folder, n), "shard %ld", (long)n);
        write_shard(folder, n);
        EXPECT(writer_has(folder, n), "shard %ld", (long)n);
    }
    EXPECT(truncate(torn, 5000) == 0 && !writer_has(folder, 1), "a truncated shard is written again");
    write_shard(folder, 1);
    EXPECT(writer_gather(folder, 4, &index, &error) == 0, "%s", error.text);
    EXPECT(index.samples == 4 && index.videos == 3, "%ld, %ld videos", (long)index.samples, (long)index.videos);
    EXPECT(index.left_out == 2, "%ld left out", (long)index.left_out);
    EXPECT(writer_counted(&index, "even") == 4, "%ld even", (long)writer_counted(&index, "even"));
    EXPECT(writer_counted(&index, "odd") == 2, "%ld odd", (long)writer_counted(&index, "odd"));
    EXPECT(!writer_counted(&index, "none"), "never counted");
    EXPECT(fs_read(list, &lines, &len, &error) == 0, "%s", error.text);
    EXPECT(strstr(lines, left), "%s", lines);
    json_t *made_from = recipe(1);
    struct writer_names names = {.classes = classes, .class_count = 2};
    EXPECT(writer_commit(folder, &index, &names, made_from, &error) == 0, "%s", error.text);
    EXPECT(test_shell(&output, "ls %s/*.tmp", folder) != 0, "%s", output);
    expect_set(folder);
    json_decref(made_from);
    writer_index_free(&index);
    free(folder), free(list), free(torn), free(lines), free(output);
}

static void incomplete(void)
{
    struct error error = {0};
    char *folder = fs_join(test_folder(), "incomplete"), *index_path = fs_join(folder, "dataset.json");
    struct writer_index index;
    struct writer w;
    EXPECT(claim(folder, 1, "/nowhere", &error) == 0, "%s", error.text);
    write_shard(folder, 0);
    EXPECT(writer_gather(folder, 2, &index, &error) < 0 && strstr(error.text, "shard-00001.json"), "%s", error.text);
    error = (struct error){0};
    EXPECT(writer_begin(&w, folder, 1, &error) == 0, "%s", error.text);
    writer_abandon(&w);
    EXPECT(!writer_has(folder, 1), "given up");
    EXPECT(writer_gather(folder, 1, &index, &error) == 0, "%s", error.text);
    EXPECT(writer_commit(folder, &index, &(struct writer_names){0}, NULL, &error) < 0, "a data set of nothing");
    EXPECT(strstr(error.text, "no usable sample"), "%s", error.text);
    EXPECT(!fs_exists(index_path), "no data set");
    writer_index_free(&index);
    free(folder), free(index_path);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"claims_of_a_folder", claims},
                                     {"shards_in_any_order", shards_in_any_order},
                                     {"what_is_incomplete_is_no_data_set", incomplete},
                                     {0}});
}
