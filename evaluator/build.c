/* pe-evaluator build: result files -> one table, as clip_benchmark's `build` makes it, and the averages of PE's tables.
 *
 * A row a result: what it is of, then its metrics in the order in which they first occur.  Averages are rows behind the
 * others (task "average"), where all sets of one are there for an encoder. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/str.h"
#include "evaluator/verb.h"

extern const struct verb verb_build;

struct build_settings {
    struct option_list results;
    char *output;
};

#define AT(field) offsetof(struct build_settings, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_STRINGS, "results", AT(results), "!", 0, 0, NULL, "result files, or folders of them; also without the key, in front"},
    {OPTION_STRING, "output", AT(output), "benchmark.csv", 0, 0, NULL, "table to write", OPTION_WRITTEN},
    {0}};
/* clang-format on */

static const char *const head[] = {"dataset", "model", "pretrained", "task", "language", "model_fullname"};
enum { HEAD = sizeof head / sizeof *head };

/* --- averages --- */

enum { SETS = 8, NAMES = 4, METRICS = 2 };

/* PE Tab. 5 and 6.  Sets by the names that clip_benchmark and others give them, as plain_name has them. */
static const struct average {
    const char *name, *metrics[METRICS], *sets[SETS][NAMES];
} averages[] = {{"imagenet and its robustness sets",
                 {"acc1"},
                 {{"imagenet1k", "imagenet", "imagenet-1k"},
                  {"imagenetv2", "imagenet-v2"},
                  {"objectnet"},
                  {"imagenet-a"},
                  {"imagenet-r"},
                  {"imagenet-sketch", "sketch"}}},
                {"fine-grained sets",
                 {"acc1"},
                 {{"food101"},
                  {"flowers", "flowers102"},
                  {"pets", "oxford-pets"},
                  {"cars", "stanford-cars"},
                  {"fgvc-aircraft", "aircraft"},
                  {"country211"},
                  {"sun397"},
                  {"resisc45"}}},
                {"image retrieval",
                 {"image_retrieval_recall@1", "text_retrieval_recall@1"},
                 {{"mscoco-captions", "mscoco", "coco"}, {"flickr30k", "flickr"}}},
                {"video classification",
                 {"acc1"},
                 {{"k400", "kinetics400"},
                  {"k600", "kinetics600"},
                  {"k700", "kinetics700"},
                  {"ucf101", "ucf"},
                  {"hmdb51", "hmdb"}}},
                {"video retrieval",
                 {"image_retrieval_recall@1", "text_retrieval_recall@1"},
                 {{"msrvtt", "msr-vtt"}, {"msvd"}, {"activitynet", "anet"}}}};

/* "wds_imagenet_sketch-test" -> "imagenet-sketch"; the caller frees. */
static char *plain_name(const char *dataset)
{
    static const char *const fronts[] = {"wds-", "vtab-"}, *const ends[] = {"-test", "-val", "-validation", ".csv"};
    struct str out = {0};
    for (const char *c = dataset; *c; c++) str_putc(&out, strchr("_/", *c) ? '-' : (char)tolower((unsigned char)*c));
    char *name = str_steal(&out);
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < sizeof fronts / sizeof *fronts; i++)
            if (str_starts_with(name, fronts[i]))
                memmove(name, name + strlen(fronts[i]), strlen(name + strlen(fronts[i])) + 1), more = true;
        for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
            if (str_ends_with(name, ends[i])) name[strlen(name) - strlen(ends[i])] = 0, more = true;
    }
    return name;
}

static bool is_set(const char *dataset, const char *const names[NAMES])
{
    char *plain = plain_name(dataset);
    bool same = false;
    for (int i = 0; i < NAMES && names[i] && !same; i++) same = !strcmp(plain, names[i]);
    free(plain);
    return same;
}

static const char *text_of(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));
    return text ? text : "";
}

/* The row of this set for an encoder; two are an ambiguity: none. */
static const json_t *row_of(const json_t *rows, const char *encoder, const char *const set[NAMES], const char *metric)
{
    const json_t *found = NULL, *row;
    size_t i;
    json_array_foreach (rows, i, row) {
        if (strcmp(text_of(row, "model_fullname"), encoder) || !json_is_number(json_object_get(row, metric)) ||
            !is_set(text_of(row, "dataset"), set))
            continue;
        if (found) return NULL;
        found = row;
    }
    return found;
}

/* A row like those of results; NULL: not all sets are there. */
static json_t *average_of(const json_t *rows, const struct average *a, const json_t *like)
{
    json_t *out = json_object();
    for (int i = 0; i < HEAD; i++) json_object_set(out, head[i], json_object_get(like, head[i]));
    for (int m = 0; m < METRICS && a->metrics[m]; m++) {
        double sum = 0;
        int count = 0;
        for (; count < SETS && a->sets[count][0]; count++) {
            const json_t *row = row_of(rows, text_of(like, "model_fullname"), a->sets[count], a->metrics[m]);
            if (!row) {
                json_decref(out);
                return NULL;
            }
            sum += json_number_value(json_object_get(row, a->metrics[m]));
        }
        json_object_set_new(out, a->metrics[m], json_real(sum / count));
    }
    json_object_set_new(out, "dataset", json_string(a->name));
    json_object_set_new(out, "task", json_string("average"));
    return out;
}

static void add_averages(json_t *rows)
{
    size_t results = json_array_size(rows);
    for (size_t i = 0; i < results; i++) {
        const json_t *row = json_array_get(rows, i);
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++)
            seen = !strcmp(text_of(json_array_get(rows, k), "model_fullname"), text_of(row, "model_fullname"));
        for (size_t a = 0; a < sizeof averages / sizeof *averages && !seen; a++) {
            json_t *average = average_of(rows, &averages[a], row);
            if (average) json_array_append_new(rows, average);
        }
    }
}

/* --- rows --- */

static int add_file(json_t *rows, const char *path, struct error *error)
{
    json_t *result = json_read(path, error), *row = json_object(), *metrics = json_object_get(result, "metrics");
    struct str name = {0};
    int rc = result ? 0 : -1;
    if (rc == 0 && !json_is_object(metrics)) rc = error_set(error, ERROR_FAILED, "%s: no result (no metrics)", path);
    if (rc == 0) {
        json_object_update(row, metrics);
        json_object_update(row, result);
        json_object_del(row, "metrics");
        str_printf(&name, "%s %s", text_of(result, "model"), text_of(result, "pretrained"));
        json_object_set_new(row, "model_fullname", json_text(name.data));
        json_array_append(rows, row);
    }
    str_free(&name);
    json_decref(row);
    json_decref(result);
    return rc;
}

static int add_path(json_t *rows, const char *path, struct error *error)
{
    struct fs_list list;
    if (!fs_is_folder(path)) return add_file(rows, path, error);
    if (fs_list(path, &list, error) < 0) return -1;
    int rc = 0;
    for (size_t i = 0; i < list.count && rc == 0; i++) {
        char *file = fs_join(path, list.names[i]);
        if (str_ends_with(file, ".json")) rc = add_file(rows, file, error);
        free(file);
    }
    fs_list_free(&list);
    return rc;
}

/* --- the table --- */

/* Keys of all rows, the head's first; a new reference. */
static json_t *columns_of(const json_t *rows)
{
    json_t *columns = json_array(), *seen = json_object(), *row, *value;
    size_t i;
    const char *key;
    for (int h = 0; h < HEAD; h++) {
        json_array_append_new(columns, json_string(head[h]));
        json_object_set_new(seen, head[h], json_true());
    }
    json_array_foreach (rows, i, row)
        json_object_foreach (row, key, value) {
            if (json_object_get(seen, key)) continue;
            json_array_append_new(columns, json_string(key));
            json_object_set_new(seen, key, json_true());
        }
    json_decref(seen);
    return columns;
}

/* RFC 4180; nothing where there is no value. */
static void put_cell(struct str *out, const json_t *value)
{
    char *line = !value || json_is_null(value) ? mem_strdup("")
                 : json_is_string(value)       ? mem_strdup(json_string_value(value))
                                               : json_line(value);
    bool quoted = strpbrk(line, ",\"\r\n") != NULL;
    if (quoted) str_putc(out, '"');
    for (const char *c = line; *c; c++) {
        if (*c == '"') str_putc(out, '"');
        str_putc(out, *c);
    }
    if (quoted) str_putc(out, '"');
    free(line);
}

static int write_table(const char *path, const json_t *rows, struct error *error)
{
    struct str out = {0};
    json_t *columns = columns_of(rows), *row;
    size_t i, width = json_array_size(columns);
    for (size_t k = 0; k < width; k++)
        str_printf(&out, k ? ",%s" : "%s", json_string_value(json_array_get(columns, k)));
    str_putc(&out, '\n');
    json_array_foreach (rows, i, row) {
        for (size_t k = 0; k < width; k++) {
            if (k) str_putc(&out, ',');
            put_cell(&out, json_object_get(row, json_string_value(json_array_get(columns, k))));
        }
        str_putc(&out, '\n');
    }
    int rc = fs_write(path, out.data, out.len, error);
    json_decref(columns);
    str_free(&out);
    return rc;
}

/* A line a row: its accuracies and recalls at 1, what a reader looks for. */
static void show(const json_t *rows)
{
    static const char *const shown[] = {"acc1", "image_retrieval_recall@1", "text_retrieval_recall@1"};
    const json_t *row;
    size_t i;
    json_array_foreach (rows, i, row) {
        printf("%-34s %-24s", text_of(row, "dataset"), text_of(row, "task"));
        for (size_t k = 0; k < sizeof shown / sizeof *shown; k++)
            if (json_is_number(json_object_get(row, shown[k])))
                printf(" %s %.4f", shown[k], json_number_value(json_object_get(row, shown[k])));
        printf("  %s\n", text_of(row, "model_fullname"));
    }
}

static int build(const struct build_settings *c, struct error *error)
{
    json_t *rows = json_array();
    int rc = 0;
    for (int64_t i = 0; i < c->results.count && rc == 0; i++) rc = add_path(rows, c->results.items[i], error);
    if (rc == 0 && !json_array_size(rows))
        rc = error_set(error, ERROR_FAILED, "%s: no result files (.json)", c->results.items[0]);
    if (rc == 0) {
        add_averages(rows);
        rc = write_table(c->output, rows, error);
        if (rc == 0) show(rows);
    }
    json_decref(rows);
    return rc;
}

/* Words in front of the first key are values of --results. */
static int run(const struct world *world, int argc, char **argv, struct error *error)
{
    struct option_program program = {PROGRAM, verb_build.name, verb_build.summary, options};
    struct build_settings c = {0};
    char key[] = "--results", **words = mem_alloc((size_t)argc + 1, sizeof *words);
    bool bare = argc > 0 && strncmp(argv[0], "--", 2);
    words[0] = key;
    memcpy(words + bare, argv, (size_t)argc * sizeof *argv);
    int rc = options_parse(&program, &c, argc + bare, words, world->rank > 0, error);
    if (rc == OPTIONS_OK) rc = world_agree(world, world->rank ? 0 : build(&c, error), error);
    options_free(&program, &c);
    free(words);
    return rc < 0 ? -1 : 0;
}

const struct verb verb_build = {"build", "many results in one table, with the averages of PE's tables", run};
