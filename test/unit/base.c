/* Floor 0 and the option table. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/str.h"
#include "config/options.h"
#include "optim/schedule.h"
#include "test/harness.h"

static void permutation(void)
{
    enum { COUNT = 1000 };
    int moved = 0;
    static char seen[COUNT];
    for (uint64_t count = 1; count <= COUNT; count += 111) {
        memset(seen, 0, sizeof seen);
        for (uint64_t i = 0; i < count; i++) {
            uint64_t at = rng_permute(3, 5, i, count);
            EXPECT(at < count && !seen[at], "place %lu of %lu twice or outside", (unsigned long)at,
                   (unsigned long)count);
            seen[at] = 1;
            moved += at != i;
        }
    }
    EXPECT(moved > 4000, "only %d of 5000 moved", moved);
    EXPECT(rng_permute(3, 5, 7, COUNT) != rng_permute(3, 6, 7, COUNT) ||
               rng_permute(3, 5, 8, COUNT) != rng_permute(3, 6, 8, COUNT),
           "epochs are alike");
}

static void random_numbers(void)
{
    struct rng a = rng_open(1, RNG_TEST, 2, 3), b = rng_open(1, RNG_TEST, 2, 3), c = rng_open(1, RNG_INIT, 2, 3);
    double sum = 0, squares = 0, mean = 0;
    EXPECT(rng_u64(&a) == rng_u64(&b) && rng_u64(&a) != rng_u64(&c),
           "same key, same numbers; other purpose, other numbers");
    for (int i = 0; i < 20000; i++) {
        double x = rng_normal(&a), u = rng_uniform(&a);
        sum += x;
        squares += x * x;
        mean += u;
        EXPECT(u >= 0 && u < 1, "%g", u);
    }
    EXPECT(fabs(sum / 20000) < .03 && fabs(squares / 20000 - 1) < .04 && fabs(mean / 20000 - .5) < .01,
           "mean %g, variance %g, uniform mean %g", sum / 20000, squares / 20000, mean / 20000);
}

static void arenas(void)
{
    struct arena arena;
    arena_open(&arena, 1 << 20);
    char *a = arena_take(&arena, 100, 1);
    size_t mark = arena_mark(&arena);
    char *b = arena_take(&arena, 10, 8);
    EXPECT((uintptr_t)a % 64 == 0 && (uintptr_t)b % 64 == 0 && b >= a + 100, "alignment");
    memset(b, 1, 80);
    arena_release(&arena, mark);
    EXPECT(arena_take(&arena, 1, 1) == b, "memory is used again");
    arena_close(&arena);
}

static void files(void)
{
    struct error error = {0};
    char *folder = fs_join(test_folder(), "a/b"), *path = fs_join(folder, "x"), *bytes;
    size_t len;
    EXPECT(fs_make_folders(folder, &error) == 0 && fs_write(path, "hello", 5, &error) == 0 &&
               fs_read(path, &bytes, &len, &error) == 0,
           "%s", error.text);
    EXPECT(len == 5 && !strcmp(bytes, "hello") && fs_size(path) == 5, "%zu bytes", len);
    free(bytes);
    EXPECT(fs_read("/no/such/file", &bytes, &len, &error) < 0 && strstr(error.text, "/no/such/file"), "%s", error.text);
    struct error first = error;
    error_set(&error, ERROR_USAGE, "another");
    EXPECT(!strcmp(first.text, error.text), "the first error stays");
    struct error none = {0};
    EXPECT(fs_remove_tree(folder, &none) == 0 && !fs_exists(folder), "%s", none.text);
    free(folder);
    free(path);
}

static void words(void)
{
    struct str s = {0};
    str_printf(&s, "%d-%s", 5, "x");
    str_putc(&s, '!');
    EXPECT(!strcmp(s.data, "5-x!") && s.len == 4, "%s", s.data);
    char *taken = str_steal(&s);
    EXPECT(!s.data && !strcmp(taken, "5-x!"), "%s", taken);
    free(taken);
    EXPECT(str_distance("kitten", "sitting") == 3 && str_distance("", "abc") == 3, "distances");
    char text[32];
    clock_duration(3725, text);
    EXPECT(!strcmp(text, "1h02m"), "%s", text);
}

struct sample_config {
    char *name, *kind;
    struct option_list many;
    int64_t count;
    double rate;
    bool flag;
};
#define AT(field) offsetof(struct sample_config, field)
static const struct option sample_options[] = {{OPTION_STRING, "name", AT(name), "!", 0, 0, NULL, "a name"},
                                               {OPTION_CHOICE, "kind", AT(kind), "one", 0, 0, "one|two", "a kind"},
                                               {OPTION_STRINGS, "many", AT(many), NULL, 0, 0, NULL, "words"},
                                               {OPTION_INT, "count", AT(count), "3", 0, 10, NULL, "a number"},
                                               {OPTION_REAL, "rate", AT(rate), "0.5", 0, 1, NULL, "a share"},
                                               {OPTION_BOOL, "flag", AT(flag), "false", 0, 0, NULL, "a switch"},
                                               {0}};
static const struct option_program sample_program = {"test", NULL, "options under test", sample_options};

static int parse(struct sample_config *c, struct error *error, const char *line)
{
    static char copy[512];
    char *argv[32];
    int argc = 0;
    *c = (struct sample_config){0};
    *error = (struct error){0};
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) argv[argc++] = word;
    return options_parse(&sample_program, c, argc, argv, true, error);
}

static void options(void)
{
    struct sample_config c;
    struct error e;
    EXPECT(parse(&c, &e, "--name a --many x y z --count=7 --flag --rate 0.25 --kind two") == 0, "%s", e.text);
    EXPECT(!strcmp(c.name, "a") && c.many.count == 3 && c.count == 7 && c.flag && c.rate == .25 &&
               !strcmp(c.kind, "two"),
           "values");
    json_t *dump = options_json(&sample_program, &c);
    EXPECT(json_integer_value(json_object_get(dump, "count")) == 7 &&
               json_array_size(json_object_get(dump, "many")) == 3,
           "dump");
    json_decref(dump);
    options_free(&sample_program, &c);
    static const char *const bad[][2] = {
        {"--name a --cuont 3", "maybe --count?"}, {"--count 3", "--name is required"},
        {"--name a --count 11", "[0, 10]"},       {"--name a --count x", "whole number"},
        {"--name a --kind three", "one|two"},     {"--name a stray", "expected --key"},
        {"--name a --rate nan", "not a number"},  {"--name", "needs a value"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        EXPECT(parse(&c, &e, bad[i][0]) < 0 && e.code == ERROR_USAGE && strstr(e.text, bad[i][1]), "%s: \"%s\"",
               bad[i][0], e.text);
        options_free(&sample_program, &c);
    }
    EXPECT(parse(&c, &e, "--help") == OPTIONS_DONE, "help");
    options_free(&sample_program, &c);
}

/* A table put into another: its values land at their place, the outer table has the last word on defaults, identity is
 * what is flagged. */
struct inner {
    double rate;
    char *rule;
};
static const struct option inner_options[] = {
    {OPTION_REAL, "rate", offsetof(struct inner, rate), "1", 0, 10, NULL, "a rate", OPTION_IDENTITY},
    {OPTION_CHOICE, "rule", offsetof(struct inner, rule), "a", 0, 0, "a|b", "a rule"},
    {0}};
struct outer {
    int64_t count;
    struct inner inner;
};
static const struct option outer_options[] = {
    {OPTION_INT, "count", offsetof(struct outer, count), "3", 0, 9, NULL, "a count", OPTION_IDENTITY},
    {OPTION_TABLE, .offset = offsetof(struct outer, inner), .table = inner_options},
    {OPTION_DEFAULT, "rate", .fallback = "0.05"},
    {0}};

static void option_tables(void)
{
    const struct option_program program = {"test", NULL, "nested", outer_options};
    struct outer c = {0};
    struct error error = {0};
    char *argv[] = {"--rule", "b"}, *wrong[] = {"--rul", "b"};
    EXPECT(options_parse(&program, &c, 2, argv, true, &error) == OPTIONS_OK, "%s", error.text);
    EXPECT(c.count == 3 && c.inner.rate == .05 && !strcmp(c.inner.rule, "b"), "%ld %g %s", (long)c.count, c.inner.rate,
           c.inner.rule);
    json_t *identity = options_identity(&program, &c);
    EXPECT(json_object_size(identity) == 2 && json_object_get(identity, "rate"), "%zu members",
           json_object_size(identity));
    char path[300], *text;
    size_t len;
    snprintf(path, sizeof path, "%s/nested.json", test_folder());
    json_t *all = options_json(&program, &c);
    EXPECT(json_write(path, all, &error) == 0 && fs_read(path, &text, &len, &error) == 0, "%s", error.text);
    EXPECT(strstr(text, "\"rate\": 0.05,"), "not in its shortest form: %s", text);
    free(text);
    options_free(&program, &c);
    char *file[] = {"--config", path};
    EXPECT(options_parse(&program, &c, 2, file, true, &error) == OPTIONS_OK && !strcmp(c.inner.rule, "b"), "%s",
           error.text);
    options_free(&program, &c);
    EXPECT(options_parse(&program, &c, 2, wrong, true, &error) < 0 && strstr(error.text, "maybe --rule?"), "%s",
           error.text);
    options_free(&program, &c);
    json_decref(identity);
    json_decref(all);
}

static void option_file(void)
{
    struct error e = {0};
    struct sample_config c;
    char *path = fs_join(test_folder(), "c.json"), line[256];
    static const char text[] = "{\"name\": \"f\", \"many\": [\"p\", \"q\"], \"count\": 2, \"flag\": true}";
    fs_write(path, text, sizeof text - 1, &e);
    snprintf(line, sizeof line, "--count 9 --config %s", path);
    EXPECT(parse(&c, &e, line) == 0 && !strcmp(c.name, "f") && c.count == 9 && c.many.count == 2 && c.flag, "%s",
           e.text);
    options_free(&sample_program, &c);
    fs_write(path, "{\"nmae\": 1}", 11, &e);
    EXPECT(parse(&c, &e, line) < 0 && strstr(e.text, "c.json") && strstr(e.text, "maybe --name?"), "%s", e.text);
    options_free(&sample_program, &c);
    fs_write(path, "{\"name\": }", 10, &e);
    EXPECT(parse(&c, &e, line) < 0 && strstr(e.text, "c.json:1:"), "%s", e.text);
    options_free(&sample_program, &c);
    free(path);
}

static void schedules(void)
{
    struct resolutions r;
    struct error e = {0};
    EXPECT(schedule_rate(1, 0, 0, 10, 100) == .1 && schedule_rate(1, 0, 9, 10, 100) == 1, "warm-up");
    EXPECT(fabs(schedule_rate(1, .1, 100, 10, 100) - .1) < 1e-12 && fabs(schedule_rate(1, 0, 55, 10, 100) - .5) < 1e-12,
           "cosine");
    EXPECT(resolutions_parse(&r, "16:1,32:3", 32, 8, &e) == 0 && resolution_at(&r, 24, 100) == 16 &&
               resolution_at(&r, 25, 100) == 32 && resolution_at(&r, 99, 100) == 32,
           "%s", e.text);
    EXPECT(resolutions_parse(&r, "", 64, 8, &e) == 0 && resolution_at(&r, 5, 10) == 64, "constant");
    EXPECT(resolutions_parse(&r, "20:1", 32, 8, &e) < 0 && strstr(e.text, "patch size 8"), "%s", e.text);
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"permutation", permutation},
                                     {"random_numbers", random_numbers},
                                     {"arenas", arenas},
                                     {"files", files},
                                     {"words", words},
                                     {"options", options},
                                     {"option_tables", option_tables},
                                     {"option_file", option_file},
                                     {"schedules", schedules},
                                     {0}});
}
