/* Passes of features on ranks: takers that share a pass get what each gets alone, whatever the ranks and the batch
 * size; groups stay together; and one that fails, or a file that cannot be read, ends the pass on all ranks.
 * FEATURES_DATA names a data set (of videos, say); without it there are picture files only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "models/towers.h"
#include "serve/features.h"
#include "test/harness.h"

enum { PICTURES = 23, WANTS = 4, LAYERS = 4 };

static struct world world, alone = {.size = 1, .node_ranks = 1};
static char *paths[PICTURES];

struct tower {
    struct device device;
    struct towers towers;
    struct tape tape;
    struct collection data;
};

static void tower_open(struct tower *t, const char *device, const char *precision)
{
    struct error error = {0};
    struct model_config config;
    *t = (struct tower){0};
    EXPECT(device_open(&t->device, device, precision, NULL, 1, 0, &error) == 0 &&
               model_config_load(&config, "PE-Core-Test8-32", &error) == 0,
           "%s", error.text);
    config.vision.layers = LAYERS;
    towers_open(&t->towers, &config);
    towers_init(&t->towers, 3);
    towers_place(&t->towers, &t->device, false);
    tape_init(&t->tape, &t->device);
    char *folder = getenv("FEATURES_DATA");
    if (folder) EXPECT(collection_open(&t->data, &folder, 1, &error) == 0, "%s", error.text);
}

static void tower_close(struct tower *t)
{
    collection_close(&t->data);
    tape_free(&t->tape);
    towers_close(&t->towers);
    device_close(&t->device);
}

static struct embedder embedder(struct tower *t, const struct world *w, int64_t batch)
{
    return (struct embedder){.world = w,
                             .device = &t->device,
                             .tape = &t->tape,
                             .encoder = encoder_of_vision(&t->towers.vision, LAYERS),
                             .batch = batch,
                             .media = {.frames = 3, .limits = {.seconds = 60, .max_pixels = 1000000}},
                             .threads = 2};
}

static struct picture_source source(const struct tower *t)
{
    if (t->data.samples) return (struct picture_source){.data = &t->data, .count = t->data.samples};
    return (struct picture_source){.paths = paths, .count = PICTURES};
}

/* What a taker was given: per want and sample. */
struct kept {
    int64_t samples, last[WANTS], seen;
    struct {
        float *data;
        int64_t count;
        int32_t label;
    } * rows[WANTS];
    int64_t fail_at; /* sample at which take fails; -1: never */
    bool groups;     /* the order is that within groups */
};

static void kept_open(struct kept *k, int64_t samples)
{
    *k = (struct kept){.samples = samples, .fail_at = -1};
    for (int w = 0; w < WANTS; w++) k->rows[w] = mem_zalloc((size_t)samples, sizeof *k->rows[w]), k->last[w] = -1;
}

static void kept_close(struct kept *k)
{
    for (int w = 0; w < WANTS; w++) {
        for (int64_t i = 0; i < k->samples; i++) free(k->rows[w][i].data);
        free(k->rows[w]);
    }
}

static int keep(void *self, int want, const struct feature_rows *r, struct error *error)
{
    struct kept *k = self;
    EXPECT(k->groups || r->sample > k->last[want], "sample %ld after %ld", (long)r->sample, (long)k->last[want]);
    k->last[want] = r->sample;
    k->seen++;
    if (r->sample == k->fail_at) return error_set(error, ERROR_FAILED, "sample %ld is not wanted", (long)r->sample);
    k->rows[want][r->sample].count = r->rows * r->cols;
    k->rows[want][r->sample].label = r->label;
    k->rows[want][r->sample].data = mem_alloc((size_t)(r->rows * r->cols), sizeof(float));
    if (r->rows) memcpy(k->rows[want][r->sample].data, r->data, (size_t)(r->rows * r->cols) * sizeof(float));
    return 0;
}

static const struct want dense[WANTS] = {
    {3, FEATURE_TOKENS}, {0, FEATURE_CLASS}, {1, FEATURE_MEAN}, {1, FEATURE_TOKENS}};
static const struct want pooled[WANTS] = {
    {LAYERS, FEATURE_EMBEDDING}, {1, FEATURE_MEAN}, {LAYERS, FEATURE_FRAMES}, {2, FEATURE_POOLED}};

static struct taker taker(struct kept *k, bool everywhere)
{
    return (struct taker){
        .wants = everywhere ? pooled : dense, .count = WANTS, .everywhere = everywhere, .take = keep, .self = k};
}

/* Every sample that was seen has the rows it has alone, bit for bit or within a bound; how many samples were. */
static int64_t compare(const struct kept *got, const struct kept *want, double bound, const char *what)
{
    int64_t seen = 0;
    for (int w = 0; w < WANTS; w++)
        for (int64_t i = 0; i < got->samples; i++) {
            const float *rows = got->rows[w][i].data, *alone = want->rows[w][i].data;
            int64_t count = want->rows[w][i].count;
            if (!rows) continue;
            EXPECT(got->rows[w][i].count == count && got->rows[w][i].label == want->rows[w][i].label,
                   "%s: want %d of sample %ld: %ld floats", what, w, (long)i, (long)got->rows[w][i].count);
            if (bound > 0)
                test_close(what, rows, alone, count, bound);
            else
                EXPECT(!memcmp(rows, alone, (size_t)count * sizeof(float)), "%s: want %d of sample %ld", what, w,
                       (long)i);
            seen += w == 0;
        }
    return seen;
}

/* What each taker gets in a pass of its own, in a world of one, on the CPU. */
static void take_apart(struct kept apart[2])
{
    struct tower t;
    struct error error = {0};
    tower_open(&t, "cpu", "fp32");
    struct picture_source s = source(&t);
    struct embedder e = embedder(&t, &alone, 5);
    for (int i = 0; i < 2; i++) {
        kept_open(&apart[i], s.count);
        struct taker one = taker(&apart[i], i == 1);
        EXPECT(features_pass(&e, &s, &one, 1, &error) == 0, "%s", error.text);
    }
    tower_close(&t);
}

static void share_a_pass(const char *device, const char *precision, double bound)
{
    static const int64_t batches[] = {1, 7, 64};
    struct tower t;
    struct error error = {0};
    struct kept apart[2], together[2];
    take_apart(apart);
    tower_open(&t, device, precision);
    struct picture_source s = source(&t);
    for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
        struct embedder e = embedder(&t, &world, batches[b]);
        for (int i = 0; i < 2; i++) kept_open(&together[i], s.count);
        struct taker both[] = {taker(&together[0], false), taker(&together[1], true)};
        EXPECT(features_pass(&e, &s, both, 2, &error) == 0, "%s", error.text);
        int64_t mine = compare(&together[0], &apart[0], bound, "dense");
        int64_t all = compare(&together[1], &apart[1], bound, "pooled");
        EXPECT(world_sum(&world, mine) == s.count, "batch %ld: %ld samples here", (long)batches[b], (long)mine);
        EXPECT(all == s.count, "batch %ld: %ld of %ld samples", (long)batches[b], (long)all, (long)s.count);
        for (int i = 0; i < 2; i++) kept_close(&together[i]);
    }
    for (int i = 0; i < 2; i++) kept_close(&apart[i]);
    tower_close(&t);
}

/* Sequences of several shapes: each is seen by one rank, in order, and its rows are those of a world of one. */
static const struct picture_group groups[] = {
    {1, {0}, {40, 16}}, {9, {0}, {16, 48}}, {6, {0}, {32, 32}}, {7, {0}, {16, 48}}};
enum { GROUPS = sizeof groups / sizeof *groups };

static void pass_groups(const char *device, const char *precision, int64_t batch, const struct world *w,
                        struct kept kept[2])
{
    struct tower t;
    struct error error = {0};
    struct picture_source s = {.paths = paths, .count = PICTURES, .groups = groups, .group_count = GROUPS};
    tower_open(&t, device, precision);
    struct embedder e = embedder(&t, w, batch);
    for (int i = 0; i < 2; i++) kept_open(&kept[i], s.count);
    struct taker takers[] = {taker(&kept[0], false), taker(&kept[1], true)};
    kept[1].groups = true;
    EXPECT(features_pass(&e, &s, takers, 2, &error) == 0, "%s", error.text);
    tower_close(&t);
}

static void share_groups(const char *device, const char *precision, double bound)
{
    struct kept apart[2], together[2];
    pass_groups("cpu", "fp32", 5, &alone, apart);
    for (int64_t batch = 1; batch < 40; batch += 12) {
        pass_groups(device, precision, batch, &world, together);
        int64_t mine = compare(&together[0], &apart[0], bound, "dense"), first = 0;
        EXPECT(compare(&together[1], &apart[1], bound, "pooled") == PICTURES, "samples are missing");
        EXPECT(world_sum(&world, mine) == PICTURES, "batch %ld: %ld samples here", (long)batch, (long)mine);
        for (int g = 0; g < GROUPS; first += groups[g++].count)
            for (int64_t i = 1; i < groups[g].count; i++)
                EXPECT(!together[0].rows[0][first].data == !together[0].rows[0][first + i].data,
                       "group %d is on several ranks", g);
        for (int i = 0; i < 2; i++) kept_close(&together[i]);
    }
    for (int i = 0; i < 2; i++) kept_close(&apart[i]);
}

static void groups_stay_together(void)
{
    share_groups("cpu", "fp32", 0);
}

static void groups_stay_together_cuda(void)
{
    share_groups("cuda", "fp32", 1e-4);
}

static void groups_of_one_size(void)
{
    struct tower t;
    struct error error = {0};
    struct kept k;
    struct picture_group wrong[] = {{PICTURES, {3, 5}, {16, 48}}};
    struct picture_source s = {.paths = paths, .count = PICTURES, .groups = wrong, .group_count = 1};
    tower_open(&t, "cpu", "fp32");
    struct embedder e = embedder(&t, &world, 4);
    kept_open(&k, PICTURES);
    struct taker one = taker(&k, true);
    EXPECT(features_pass(&e, &s, &one, 1, &error) < 0 && strstr(error.text, "0000.jpg") &&
               strstr(error.text, "in a sequence of 5 x 3"),
           "\"%s\"", error.text);
    kept_close(&k);
    tower_close(&t);
}

/* The heaviest group first, each to the rank with the least; every sample once, in order on each rank. */
static void dealing(void)
{
    struct picture_group list[20];
    struct deal d;
    int64_t samples = 0;
    for (int g = 0; g < 20; g++) {
        list[g] = (struct picture_group){1 + g * 7 % 13, {0}, {16 + g % 3 * 16, 32}};
        samples += list[g].count;
    }
    for (int ranks = 1; ranks < 30; ranks += 4) {
        int64_t seen = 0, most = 0, all = 0;
        deal_open(&d, samples, extent_square(32), 4, ranks, list, 20);
        for (int r = 0; r < ranks; r++) {
            int64_t last = -1, load = 0;
            for (int64_t i = 0; i < deal_batches(&d, r); i++) {
                struct picture_span s = deal_span(&d, r, i);
                EXPECT(s.first > last && s.count >= 1 && s.count <= d.most, "rank %d: %ld after %ld", r, (long)s.first,
                       (long)last);
                EXPECT(s.count * extent_area(s.size) <= 4 * 32 * 32, "a batch of %ld", (long)s.count);
                last = s.first + s.count - 1;
                load += s.count * extent_area(s.size);
                seen += s.count;
            }
            EXPECT(!deal_span(&d, r, deal_batches(&d, r)).count, "a batch behind the last");
            most = load > most ? load : most;
            all += load;
        }
        EXPECT(seen == samples, "%ld of %ld samples", (long)seen, (long)samples);
        EXPECT(most <= all / ranks + 13 * 48 * 32, "%d ranks: %ld pixels of %ld", ranks, (long)most, (long)all);
        deal_close(&d);
    }
}

static void takers_share_a_pass(void)
{
    share_a_pass("cpu", "fp32", 0);
}

/* On a GPU a product may depend on the batch in its last bits. */
static void takers_share_a_pass_cuda(void)
{
    share_a_pass("cuda", "fp32", 1e-4);
}

static void takers_share_a_pass_bf16(void)
{
    share_a_pass("cuda", "bf16", 5e-2);
}

static void failures_end_all_ranks(void)
{
    struct tower t;
    tower_open(&t, "cpu", "fp32");
    struct picture_source s = source(&t);
    for (int64_t at = 0; at < s.count; at += s.count - 1)
        for (int64_t batch = 1; batch < 64; batch += 6) { /* in the first round and in the last, alone and not */
            struct error error = {0};
            struct embedder e = embedder(&t, &world, batch);
            struct kept k;
            char want[64];
            kept_open(&k, s.count);
            k.fail_at = at;
            struct taker one = taker(&k, false);
            snprintf(want, sizeof want, "sample %ld is not wanted", (long)at);
            EXPECT(features_pass(&e, &s, &one, 1, &error) < 0 && !strcmp(error.text, want), "\"%s\"", error.text);
            kept_close(&k);
        }
    for (int which = 0; which < PICTURES; which += PICTURES - 1) {
        struct error error = {0};
        struct embedder e = embedder(&t, &world, 4);
        struct picture_source files = {.paths = paths, .count = PICTURES};
        struct kept k;
        char *kept_path = paths[which];
        kept_open(&k, PICTURES);
        paths[which] = "nothing.jpg";
        struct taker one = taker(&k, true);
        EXPECT(features_pass(&e, &files, &one, 1, &error) < 0 && strstr(error.text, "nothing.jpg"), "\"%s\"",
               error.text);
        paths[which] = kept_path;
        kept_close(&k);
    }
    tower_close(&t);
}

/* The first and the last file cannot be read: takers that go on without them get the rest as it was, bit for bit; one
 * taker beside them that does not ends the pass. */
static void missing_are_left_out(void)
{
    static const int missing[] = {0, PICTURES - 1};
    struct picture_source files = {.paths = paths, .count = PICTURES};
    struct tower t;
    struct error error = {0};
    struct kept whole[2], apart[2];
    char *kept_paths[2];
    tower_open(&t, "cpu", "fp32");
    struct embedder e = embedder(&t, &world, 4);
    struct taker takers[4];
    for (int i = 0; i < 2; i++) {
        kept_open(&whole[i], PICTURES);
        kept_open(&apart[i], PICTURES);
        takers[i] = taker(&whole[i], i == 1);
        takers[2 + i] = taker(&apart[i], i == 1);
        takers[2 + i].skips = true;
    }
    EXPECT(features_pass(&e, &files, takers, 2, &error) == 0, "%s", error.text);
    for (int i = 0; i < 2; i++) kept_paths[i] = paths[missing[i]], paths[missing[i]] = "nothing.jpg";
    EXPECT(features_pass(&e, &files, takers + 2, 2, &error) == 0, "%s", error.text);
    for (int m = 0; m < 2; m++)
        for (int i = 0; i < 2; i++)
            for (int w = 0; w < WANTS; w++) {
                EXPECT(apart[i].last[w] == whole[i].last[w], "told of %ld", (long)apart[i].last[w]);
                EXPECT(!apart[i].rows[w][missing[m]].count, "rows of nothing");
                free(apart[i].rows[w][missing[m]].data);
                apart[i].rows[w][missing[m]].data = NULL;
            }
    for (int i = 0; i < 2; i++) compare(&apart[i], &whole[i], 0, "the rest");
    for (int i = 0; i < 2; i++) apart[i].last[0] = apart[i].last[1] = apart[i].last[2] = apart[i].last[3] = -1;
    takers[2].skips = false;
    EXPECT(features_pass(&e, &files, takers + 2, 2, &error) < 0 && strstr(error.text, "nothing.jpg"), "\"%s\"",
           error.text);
    for (int i = 0; i < 2; i++) paths[missing[i]] = kept_paths[i], kept_close(&whole[i]), kept_close(&apart[i]);
    tower_close(&t);
}

static bool find_pictures(void)
{
    const char *build = getenv("BUILD");
    struct fs_list list;
    struct error error = {0};
    char *folder = fs_join(test_folder(), "pictures");
    int64_t n = 0;
    if (!test_shell(NULL, "%s/test/make_pictures %s %d", build ? build : "build/release", folder, PICTURES) &&
        fs_list(folder, &list, &error) == 0) {
        for (size_t i = 0; i < list.count && n < PICTURES; i++)
            if (image_is_name(list.names[i])) paths[n++] = fs_join(folder, list.names[i]);
        fs_list_free(&list);
    }
    free(folder);
    return n == PICTURES;
}

int main(int argc, char **argv)
{
    static const struct test cpu[] = {{"takers_share_a_pass", takers_share_a_pass},
                                      {"groups_stay_together", groups_stay_together},
                                      {"groups_of_one_size", groups_of_one_size},
                                      {"dealing", dealing},
                                      {"failures_end_all_ranks", failures_end_all_ranks},
                                      {"missing_are_left_out", missing_are_left_out},
                                      {0}};
    static const struct test gpu[] = {{"takers_share_a_pass_cuda", takers_share_a_pass_cuda},
                                      {"takers_share_a_pass_bf16", takers_share_a_pass_bf16},
                                      {"groups_stay_together_cuda", groups_stay_together_cuda},
                                      {0}};
    world = world_join(&argc, &argv);
    int failed = 1;
    if (find_pictures())
        failed = test_main(argc, argv, device_count() ? gpu : cpu);
    else
        printf("not ok pictures\n");
    for (int i = 0; i < PICTURES; i++) free(paths[i]);
    world_leave(&world, &(struct error){0});
    return failed;
}
