/* pe-evaluator convert: questions as their sets publish them -> lines for `pe-evaluator questions`. */
#include "evaluator/convert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/str.h"
#include "data/texts.h"
#include "evaluator/verb.h"
#include "log/log.h"

extern const struct verb verb_convert;

struct convert_settings {
    char *from, *input, *questions, *images, *split, *only, *corners, *output;
};

#define AT(field) offsetof(struct convert_settings, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_CHOICE, "from", AT(from), "!", 0, 0, NULL, "whose layout is read"},
    {OPTION_STRING, "input", AT(input), "!", 0, 0, NULL, "the set's file of questions and answers, or its folder"},
    {OPTION_STRING, "questions", AT(questions), NULL, 0, 0, NULL, "vqav2, okvqa: the file of questions; --input is that of the annotations"},
    {OPTION_STRING, "images", AT(images), "", 0, 0, NULL, "where pictures or videos lie, as seen from the output's folder; {group} becomes the question's group (MVBench: its task)"},
    {OPTION_STRING, "split", AT(split), NULL, 0, 0, NULL, "of Karpathy's files: which images (test); of VQA: whose pictures, where the file does not say (val2014)"},
    {OPTION_STRING, "only", AT(only), NULL, 0, 0, NULL, "file with ids of questions or names of pictures, one a line (endings may be left out): others are left out"},
    {OPTION_CHOICE, "bbox", AT(corners), NULL, 0, 0, "xyxy|xywh", "refcoco: what bbox holds"},
    {OPTION_STRING, "output", AT(output), "!", 0, 0, NULL, "lines of JSON to write", OPTION_WRITTEN},
    {0}};
/* clang-format on */
/* --- rows --- */

/* Is it listed?  Its entry then says that it was found. */
static bool find_listed(const struct conversion *c, const char *name)
{
    if (!json_object_get(c->only, name)) return false;
    json_object_set_new(c->only, name, json_true());
    return true;
}

/* As its id, its picture's name, or that name without folder and ending. */
static bool is_listed(const struct conversion *c, const char *id, const char *file)
{
    if (!c->only) return true;
    char *stem = fs_last(file), *dot = strrchr(stem, '.');
    bool listed = find_listed(c, id) || find_listed(c, file) || find_listed(c, stem);
    if (dot) *dot = 0;
    listed = listed || find_listed(c, stem);
    free(stem);
    return listed;
}

char *convert_path(const struct conversion *c, const char *group, const char *file)
{
    static const char mark[] = "{group}";
    const char *at = strstr(c->images, mark);
    struct str folder = {0};
    str_append(&folder, c->images, at ? (size_t)(at - c->images) : strlen(c->images));
    if (at) str_printf(&folder, "%s%s", group ? group : "", at + strlen(mark));
    str_printf(&folder, "%s%s", folder.len ? "/" : "", file);
    return str_steal(&folder);
}

void convert_add(struct conversion *c, const char *id, const char *media, const char *file, json_t *row)
{
    if (is_listed(c, id, file)) {
        char *path = convert_path(c, json_string_value(json_object_get(row, "group")), file);
        json_t *line = json_pack("{s:s, s:s}", "id", id, "task", c->source->task);
        if (!json_object_get(row, "images")) json_object_set_new(line, media, json_string(path));
        json_object_update(line, row);
        json_array_append_new(c->rows, line);
        free(path);
    }
    json_decref(row);
}

static json_t *row_of(const struct conversion *c, const struct question *q)
{
    json_t *row = json_object();
    for (size_t i = 0; i < 3 && c->source->question[i] && !json_object_get(row, "question"); i++) {
        json_t *text = json_object_get(q->row, c->source->question[i]);
        if (json_is_string(text)) json_object_set(row, "question", text);
    }
    if (q->choices) json_object_set(row, "options", q->choices);
    json_object_set(row, "answers", q->answers);
    if (q->right >= 0) json_object_set_new(row, "right", json_integer(q->right));
    if (q->type) json_object_set_new(row, "type", json_string(q->type));
    if (q->group) json_object_set_new(row, "group", json_string(q->group));
    return row;
}

static int add(struct conversion *c, const struct question *q, struct error *error)
{
    const struct source *s = c->source;
    char *file = s->file(c, q, error);
    if (!file) return -1;
    json_t *row = row_of(c, q);
    int rc = s->more ? s->more(c, q, row, error) : 0;
    if (rc == 0 && s->question[0] && !json_object_get(row, "question"))
        rc = error_set(error, ERROR_FAILED, "has no %s", s->question[0]);
    if (rc == 0)
        convert_add(c, q->id, s->media, file, row);
    else
        json_decref(row);
    free(file);
    return rc;
}

/* What has no answer cannot be asked: how many. */
static void count_unanswered(const struct conversion *c, const struct answers *answers)
{
    const char *id, *first = NULL;
    json_t *name;
    int64_t count = 0;
    json_object_foreach (c->names, id, name) {
        if (json_object_get(answers->index, id)) continue;
        if (!count++) first = id;
    }
    if (count && c->questions)
        log_warn("%s: %ld of its questions, such as %s, have no answer in %s and are left out", c->questions,
                 (long)count, first, c->input);
    else if (count)
        log_warn("%s: %ld of its images, such as %s, have no caption and are left out", c->input, (long)count, first);
}

static int add_all(struct conversion *c, struct error *error)
{
    struct answers answers;
    int rc = answers_read(&answers, c->input, NULL, !strcmp(c->source->layout, "boxes"), error);
    if (rc == 0 && strcmp(answers.layout->name, c->source->layout))
        rc = error_set(error, ERROR_FAILED, "%s: is of the layout of %s, not of %s: %s", c->input, answers.layout->name,
                       c->source->name, c->source->files);
    if (rc == 0 && c->source->prepare) rc = c->source->prepare(c, error);
    for (int64_t i = 0; i < answers.count && rc == 0; i++) {
        rc = add(c, &answers.questions[i], error);
        if (rc < 0) error_prefix(error, "%s: question %s", c->input, answers.questions[i].id);
    }
    if (rc == 0) count_unanswered(c, &answers);
    answers_free(&answers);
    return rc;
}

/* --- the verb --- */

/* Files of other programs' own formats are refused with the way round. */
static int check_format(const struct convert_settings *s, struct error *error)
{
    const char *path = s->input;
    if (str_ends_with(path, ".parquet"))
        return error_set(error, ERROR_FAILED,
                         "%s: parquet is not read here: write its rows as JSON, and its pictures as files named in "
                         "them (pandas.read_parquet reads it, DataFrame.to_json with orient=\"records\" writes rows)",
                         path);
    if (str_ends_with(path, ".p") || str_ends_with(path, ".pkl") || str_ends_with(path, ".pickle"))
        return error_set(error, ERROR_FAILED,
                         "%s: a Python pickle is not read here, since reading one runs what is in it: write rows of "
                         "JSON with image, expression and bbox",
                         path);
    return 0;
}

static int read_only(struct conversion *c, const char *path, struct error *error)
{
    char **names;
    int64_t count;
    if (texts_read(path, true, &names, &count, error) < 0) return -1;
    c->only = json_object();
    for (int64_t i = 0; i < count; i++) json_object_set_new(c->only, names[i], json_false());
    texts_free(names, count);
    return count ? 0 : error_set(error, ERROR_FAILED, "%s: names nothing", path);
}

static void count_unlisted(const struct conversion *c, const char *path)
{
    const char *name, *first = NULL;
    json_t *found;
    int64_t count = 0;
    json_object_foreach (c->only, name, found) {
        if (json_is_true(found)) continue;
        if (!count++) first = name;
    }
    if (count) log_warn("%s: %ld of its names are of no question, such as %s", path, (long)count, first);
}

static int write_rows(const struct conversion *c, const char *path, struct error *error)
{
    struct str out = {0};
    json_t *row;
    size_t i;
    json_array_foreach (c->rows, i, row) {
        char *text = json_line(row);
        str_printf(&out, "%s\n", text);
        free(text);
    }
    int rc = out.len ? fs_write(path, out.data, out.len, error)
                     : error_set(error, ERROR_FAILED, "%s: no question is left", c->input);
    if (rc == 0) printf("%-28s %zu\n", "questions", json_array_size(c->rows));
    str_free(&out);
    return rc;
}

/* Is it the name of a file that is not there? */
static bool lacks(const char *root, const json_t *file)
{
    const char *name = json_string_value(file);
    if (!name) return false;
    char *path = *name == '/' ? mem_strdup(name) : fs_join(root, name);
    bool lacking = !fs_exists(path);
    free(path);
    return lacking;
}

static bool lacks_any(const char *root, const json_t *files)
{
    bool lacking = false;
    for (size_t i = 0; i < json_array_size(files); i++) lacking = lacking || lacks(root, json_array_get(files, i));
    return lacking;
}

/* How many show what is not there: better known before a model is loaded. */
static void count_missing(const struct conversion *c, const char *output)
{
    const char *slash = strrchr(output, '/');
    char *root = slash ? strndup(output, (size_t)(slash - output) + (slash == output)) : mem_strdup(".");
    int64_t missing = 0;
    json_t *row;
    size_t i;
    json_array_foreach (c->rows, i, row)
        missing += lacks(root, json_object_get(row, "image")) || lacks(root, json_object_get(row, "video")) ||
                   lacks_any(root, json_object_get(row, "images"));
    if (missing) log_warn("%ld of them show what is not there; is --images right?", (long)missing);
    free(root);
}

static int convert(const struct convert_settings *s, struct error *error)
{
    struct conversion c = {.source = sources,
                           .input = s->input,
                           .questions = s->questions,
                           .images = s->images,
                           .split = s->split,
                           .corners = s->corners,
                           .names = json_object(),
                           .rows = json_array()};
    while (strcmp(c.source->name, s->from)) c.source++;
    int rc = check_format(s, error);
    struct error none = {0}; /* lines of JSON are no document, and a folder is none: answers_read reads both */
    if (rc == 0) c.document = json_read(s->input, c.source->layout ? &none : error);
    if (rc == 0 && c.source->each && !c.document) rc = -1;
    if (rc == 0 && s->only) rc = read_only(&c, s->only, error);
    if (rc == 0) rc = c.source->each ? c.source->each(&c, error) : add_all(&c, error);
    if (rc == 0) rc = write_rows(&c, s->output, error);
    if (rc == 0) count_missing(&c, s->output);
    if (rc == 0) count_unlisted(&c, s->only);
    json_decref(c.document);
    json_decref(c.names);
    json_decref(c.only);
    json_decref(c.rows);
    return rc;
}

static int run(const struct world *world, int argc, char **argv, struct error *error)
{
    struct option table[sizeof options / sizeof *options];
    struct option_program program = {PROGRAM, verb_convert.name, verb_convert.summary, table};
    struct convert_settings settings = {0};
    struct str names = {0};
    for (const struct source *s = sources; s->name; s++) str_printf(&names, "%s%s", s > sources ? "|" : "", s->name);
    memcpy(table, options, sizeof options);
    table[0].choices = names.data;
    int rc = options_parse(&program, &settings, argc, argv, world->rank > 0, error);
    if (rc == OPTIONS_OK) rc = world_agree(world, world->rank ? 0 : convert(&settings, error), error);
    options_free(&program, &settings);
    str_free(&names);
    return rc < 0 ? -1 : 0;
}

const struct verb verb_convert = {"convert", "published questions as `questions` asks them", run};
