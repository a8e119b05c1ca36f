/* Data sets as files: what is sound is read, what is not is named and never walked into. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/json.h"
#include "base/memory.h"
#include "data/dataset.h"
#include "test/harness.h"

/* Media bytes of a record, from its number. */
static uint8_t media_byte(int64_t number, size_t i)
{
    return (uint8_t)(number * 31 + (int64_t)i * 7);
}

static void put_record(struct str *out, int64_t number, size_t len)
{
    uint8_t *media = mem_alloc(len + 1, 1);
    for (size_t i = 0; i < len; i++) media[i] = media_byte(number, i);
    struct record record = {.media = RECORD_JPEG, .label = (int)number, .bytes = media, .len = len};
    record_encode(&record, out);
    free(media);
}

static int make_shard(const char *path, int64_t first, int64_t samples, size_t len, int64_t *bytes, uint64_t *sum,
                      struct error *error)
{
    struct shard_writer writer;
    int rc = shard_create(&writer, path, error);
    for (int64_t i = first; rc == 0 && i < first + samples; i++) {
        struct str record = {0};
        put_record(&record, i, len ? len : (size_t)(i * i % 9973)); /* 0: small and large ones */
        rc = shard_append(&writer, record.data, record.len, error);
        str_free(&record);
    }
    return rc == 0 ? shard_finish(&writer, bytes, sum, error) : -1;
}

/* count shards of `samples` records of `len` bytes, in a folder of this name; the path is the caller's to free. */
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
        int64_t bytes = 0;
        uint64_t sum = 0;
        rc = make_shard(path, s * samples, samples, len, &bytes, &sum, &error);
        snprintf(hex, sizeof hex, "%016llx", (unsigned long long)sum);
        json_array_append_new(shards, json_pack("{s:s, s:I, s:I, s:s}", "file", file, "samples", (json_int_t)samples,
                                                "bytes", (json_int_t)bytes, "xxh3", hex));
        free(path);
    }
    json_t *root = json_pack("{s:s, s:i, s:I, s:o}", "format", "percept-dataset", "version", 1, "samples",
                             (json_int_t)(count * samples), "shards", shards);
    if (rc == 0) rc = json_write(index, root, &error);
    EXPECT(rc == 0, "%s", error.text);
    json_decref(root);
    free(index);
    return folder;
}

/* The record of this number, every byte of it. */
static bool is_whole(const struct dataset *d, int64_t i, struct error *error)
{
    struct record record;
    if (dataset_read(d, i, &record, error) < 0) return false;
    bool same = record.label == i;
    for (size_t k = 0; same && k < record.len; k++) same = record.bytes[k] == media_byte(i, k);
    return same || error_set(error, ERROR_FAILED, "other bytes") == 0;
}

static void expect_whole(const struct dataset *d, int64_t samples)
{
    EXPECT(d->samples == samples, "%ld samples", (long)d->samples);
    for (int64_t i = 0; i < d->samples; i++) {
        struct error error = {0};
        EXPECT(is_whole(d, i, &error), "sample %ld: %s", (long)i, error.text);
    }
}

static void expect_opens(const char *folder, int64_t samples)
{
    struct error error = {0};
    struct dataset d;
    int rc = dataset_open(&d, folder, &error);
    EXPECT(rc == 0, "%s", error.text);
    if (rc < 0) return;
    expect_whole(&d, samples);
    dataset_close(&d);
}

static void many_shards(void) /* more than 126, the end when each reserved 1 TiB of address space */
{
    char *folder = make_dataset("many", 300, 2, 100);
    expect_opens(folder, 600);
    free(folder);
}

/* Ten thousand entries that are one file, each mapped for itself, with the descriptors a process begins with. */
static void ten_thousand_shards(void)
{
    enum { SHARDS = 10000, SAMPLES = 3 };
    struct error error = {0};
    struct dataset d;
    char *folder = make_dataset("thousands", 1, SAMPLES, 100), *path = fs_join(folder, "dataset.json");
    json_t *root = json_read(path, &error), *shards = json_object_get(root, "shards");
    for (int i = 1; i < SHARDS; i++) json_array_append(shards, json_array_get(shards, 0));
    json_object_set_new(root, "samples", json_integer(SHARDS * SAMPLES));
    EXPECT(root && json_write(path, root, &error) == 0, "%s", error.text);
    json_decref(root);
    struct rlimit before, few;
    getrlimit(RLIMIT_NOFILE, &before);
    few = (struct rlimit){32, before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &few);
    EXPECT(dataset_open(&d, folder, &error) == 0, "%s", error.text);
    for (int64_t i = 0; i < d.samples; i++) {
        struct record record;
        int rc = dataset_read(&d, i, &record, &error);
        EXPECT(rc == 0 && record.label == i % SAMPLES, "sample %ld: %s", (long)i, error.text);
    }
    dataset_close(&d);
    setrlimit(RLIMIT_NOFILE, &before);
    free(path);
    free(folder);
}

static void records_of_all_sizes(void) /* within leaves and in overflow pages, over several levels of branches */
{
    char *folder = make_dataset("sizes", 2, 3000, 0);
    expect_opens(folder, 6000);
    free(folder);
    folder = make_dataset("empty", 3, 0, 0);
    expect_opens(folder, 0);
    free(folder);
}

/* Opening or the first read says `text` and the shard's name; verifying says it too. */
static void expect_refused(const char *folder, const char *text)
{
    struct error error = {0};
    struct dataset d = {0};
    struct record record;
    int rc = dataset_open(&d, folder, &error);
    if (rc == 0) {
        rc = dataset_read(&d, 25, &record, &error);
        struct error again = {0}, other = {0};
        EXPECT(dataset_reach(&d, 29, &again) < 0 && !strcmp(again.text, error.text), "%s", again.text);
        EXPECT(dataset_read(&d, 5, &record, &other) == 0, "another shard: %s", other.text);
        dataset_close(&d);
    }
    EXPECT(rc < 0 && strstr(error.text, text) && strstr(error.text, "shard-00002.lmdb"), "%s", error.text);
}

static void count_report(void *context, const struct error *why)
{
    EXPECT(strstr(why->text, "shard-00002.lmdb"), "%s", why->text);
    ++*(int64_t *)context;
}

/* Things that verifying lists; the same as it returns. */
static int64_t verified(const char *folder)
{
    struct error error = {0};
    struct dataset d = {0};
    int64_t found = 0, listed = 0;
    int rc = dataset_list(&d, folder, &error);
    EXPECT(rc == 0, "%s", error.text);
    for (int64_t s = 0; s < d.shard_count; s++) found += dataset_verify_shard(&d, s, count_report, &listed);
    EXPECT(found == listed, "%ld found, %ld listed", (long)found, (long)listed);
    dataset_close(&d);
    return found;
}

static void write_byte(const char *path, int64_t at, int value)
{
    FILE *file = fopen(path, "r+b");
    fseek(file, (long)at, SEEK_SET);
    fputc(value, file);
    fclose(file);
}

static void damaged_shards(void)
{
    struct error error = {0};
    char *folder = make_dataset("damaged", 4, 10, 3000), *path = fs_join(folder, "shard-00002.lmdb"), *bytes;
    size_t len;
    EXPECT(verified(folder) == 0, "a sound data set");
    EXPECT(fs_read(path, &bytes, &len, &error) == 0, "%s", error.text);
    EXPECT(truncate(path, (off_t)len - 4096) == 0, "truncate");
    expect_refused(folder, "was truncated");
    EXPECT(verified(folder) == 1, "truncated");
    EXPECT(fs_write(path, bytes, len, &error) == 0 && truncate(path, (off_t)len + 1) == 0, "%s", error.text);
    expect_refused(folder, "has grown");
    unlink(path);
    expect_refused(folder, "is missing");
    EXPECT(verified(folder) == 1, "missing");
    bytes[len / 2] ^= 1;
    EXPECT(fs_write(path, bytes, len, &error) == 0, "%s", error.text);
    expect_refused(folder, "is damaged");
    EXPECT(verified(folder) == 2, "the shard and one record");
    EXPECT(fs_write(path, "", 0, &error) == 0 && truncate(path, (off_t)len) == 0, "%s", error.text);
    expect_refused(folder, "not a shard");
    free(bytes);
    free(path);
    free(folder);
}

/* Change one member of dataset.json, or of its third shard. */
static void edit_index(const char *folder, bool shard, const char *key, json_t *value)
{
    struct error error = {0};
    char *path = fs_join(folder, "dataset.json");
    json_t *root = json_read(path, &error);
    json_object_set_new(shard ? json_array_get(json_object_get(root, "shards"), 2) : root, key, value);
    EXPECT(root && json_write(path, root, &error) == 0, "%s", error.text);
    json_decref(root);
    free(path);
}

static void wrong_index(void)
{
    struct error error = {0};
    struct dataset d;
    char *folder = make_dataset("index", 3, 10, 10);
    edit_index(folder, true, "samples", json_integer(11));
    EXPECT(dataset_open(&d, folder, &error) < 0 && strstr(error.text, "do not add up"), "%s", error.text);
    edit_index(folder, false, "samples", json_integer(31));
    expect_refused(folder, "holds 10 records");
    edit_index(folder, true, "samples", json_integer(10));
    edit_index(folder, false, "samples", json_integer(30));
    static const struct {
        const char *key, *says;
        int64_t value;
        bool shard;
    } cases[] = {{"samples", "shard 2 has no file", -1, true},
                 {"samples", "cannot hold 9223372036854775807 samples", INT64_MAX, true},
                 {"bytes", "shard 2 has no file", -1, true},
                 {"videos", "\"videos\" is no number", -1, false},
                 {"videos", "\"videos\" is no number", 31, false},
                 {"samples", "do not add up", -1, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *path = fs_join(folder, "dataset.json");
        json_t *whole = json_read(path, &error);
        edit_index(folder, cases[i].shard, cases[i].key, json_integer(cases[i].value));
        error = (struct error){0};
        EXPECT(dataset_open(&d, folder, &error) < 0 && strstr(error.text, cases[i].says), "case %zu: %s", i,
               error.text);
        error = (struct error){0};
        EXPECT(json_write(path, whole, &error) == 0, "%s", error.text);
        json_decref(whole);
        free(path);
    }
    edit_index(folder, false, "version", json_integer(2));
    error = (struct error){0};
    EXPECT(dataset_open(&d, folder, &error) < 0 && strstr(error.text, "version 1"), "%s", error.text);
    free(folder);
}

/* Whatever byte of the shard is another one, also where checksums are not compared: an error, or the same record. */
static void expect_byte_noticed(const char *folder, const char *path, size_t at, char right, int64_t samples)
{
    struct error error = {0};
    struct dataset d = {0};
    write_byte(path, (int64_t)at, right ^ (at % 2 ? 0xff : 1 << at / 2 % 8));
    EXPECT(dataset_open(&d, folder, &error) == 0, "%s", error.text);
    d.trusted = true;
    for (int64_t i = 2 * samples; i < 3 * samples; i++) {
        error = (struct error){0};
        bool whole = is_whole(&d, i, &error);
        EXPECT(whole || strstr(error.text, "shard-00002"), "byte %zu, sample %ld: %s", at, (long)i, error.text);
    }
    dataset_close(&d);
    EXPECT(verified(folder) > 0, "byte %zu", at);
    write_byte(path, (int64_t)at, right);
}

static void any_byte(int64_t samples, size_t size)
{
    struct error error = {0};
    char *folder = make_dataset(size ? "bytes" : "pages", 3, samples, size), *bytes;
    char *path = fs_join(folder, "shard-00002.lmdb");
    size_t len;
    EXPECT(fs_read(path, &bytes, &len, &error) == 0, "%s", error.text);
    for (size_t at = 0; at < len; at++) /* what is not 0 of a small shard; the beginnings of pages of a larger one */
        if (at % 997 == 0 || (size ? bytes[at] : at % 4096 < 32))
            expect_byte_noticed(folder, path, at, bytes[at], samples);
    expect_opens(folder, 3 * samples);
    free(bytes);
    free(path);
    free(folder);
}

static void any_byte_of_a_shard(void)
{
    any_byte(10, 10);
    any_byte(60, 0);
}

struct crowd {
    const struct dataset *data;
    pthread_barrier_t start;
};

static void *read_all(void *argument)
{
    struct crowd *c = argument;
    int64_t wrong = 0;
    pthread_barrier_wait(&c->start);
    for (int64_t i = 0; i < c->data->samples; i++) {
        struct error error = {0};
        bool damaged = i / 20 == 7; /* all of them hear of it */
        wrong += is_whole(c->data, i, &error) == damaged;
        wrong += damaged && !strstr(error.text, "shard-00007.lmdb: is damaged");
    }
    return (void *)(intptr_t)wrong;
}

static void opened_by_threads(void)
{
    enum { THREADS = 8 };
    struct error error = {0};
    char *folder = make_dataset("threads", 40, 20, 2000), *path = fs_join(folder, "shard-00007.lmdb");
    struct dataset d;
    write_byte(path, fs_size(path) / 2, 0x55);
    int rc = dataset_open(&d, folder, &error);
    EXPECT(rc == 0, "%s", error.text);
    struct crowd crowd = {.data = &d};
    pthread_barrier_init(&crowd.start, NULL, THREADS);
    pthread_t threads[THREADS];
    for (int t = 0; t < THREADS; t++) pthread_create(&threads[t], NULL, read_all, &crowd);
    for (int t = 0; t < THREADS; t++) {
        void *wrong;
        pthread_join(threads[t], &wrong);
        EXPECT(!wrong, "%ld records in thread %d", (long)(intptr_t)wrong, t);
    }
    dataset_close(&d);
    free(path);
    free(folder);
}

static void identity(void)
{
    struct error error = {0};
    struct dataset d[3];
    char *folders[3];
    const char *names[] = {"one", "same", "other"};
    for (int i = 0; i < 3; i++) folders[i] = make_dataset(names[i], 3, 10, i < 2 ? 50 : 51);
    for (int i = 0; i < 3; i++) EXPECT(dataset_open(&d[i], folders[i], &error) == 0, "%s", error.text);
    EXPECT(dataset_identity(&d[0]) == dataset_identity(&d[1]), "another folder of the same shards");
    EXPECT(dataset_identity(&d[0]) != dataset_identity(&d[2]), "other shards");
    for (int i = 0; i < 3; i++) dataset_close(&d[i]), free(folders[i]);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"many_shards", many_shards},
                                     {"ten_thousand_shards_and_few_descriptors", ten_thousand_shards},
                                     {"records_of_all_sizes", records_of_all_sizes},
                                     {"damaged_shards", damaged_shards},
                                     {"wrong_index", wrong_index},
                                     {"any_byte_of_a_shard", any_byte_of_a_shard},
                                     {"opened_by_eight_threads", opened_by_threads},
                                     {"identity", identity},
                                     {0}});
}
