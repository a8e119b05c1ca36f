/* pe-captioner refine-export, refine-import: captions for people to correct, and back.
 *
 *   {"item", "key", "caption": what the model wrote, "text": the same, to be edited}        one line each
 *
 * What was edited (or confirmed with "checked": true) is taken over by item; lines left as they were are not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/str.h"
#include "captioner/captioner.h"
#include "data/collection.h"
#include "serve/rows.h"

struct refine_settings {
    struct option_list data;
    char *captions, *output, *input;
};

#define AT(field) offsetof(struct refine_settings, field)
/* clang-format off */
static const struct option export_options[] = {
    {OPTION_STRINGS, "data", AT(data), "!", 0, 0, NULL, "the data sets that were captioned"},
    {OPTION_STRING, "captions", AT(captions), "!", 0, 0, NULL, "folder of the rows"},
    {OPTION_STRING, "output", AT(output), "!", 0, 0, NULL, "file to edit (JSON lines)"},
    {0}};
/* clang-format on */
static const struct option_program export_program = {"pe-captioner", "refine-export",
                                                     "write captions out for people to correct", export_options};
/* clang-format off */
static const struct option import_options[] = {
    {OPTION_STRINGS, "data", AT(data), "!", 0, 0, NULL, "the data sets that were captioned"},
    {OPTION_STRING, "captions", AT(captions), "!", 0, 0, NULL, "folder of the rows; human.jsonl is written there"},
    {OPTION_STRING, "input", AT(input), "!", 0, 0, NULL, "the edited file"},
    {0}};
/* clang-format on */
static const struct option_program import_program = {
    "pe-captioner", "refine-import", "take corrected captions in: they are preferred from then on", import_options};

static int read_captions(const struct refine_settings *c, int64_t *count, json_t ***list, struct error *error)
{
    struct collection data;
    if (collection_open(&data, c->data.items, c->data.count, error) < 0) return -1;
    *count = data.samples;
    collection_close(&data);
    char *path = fs_join(c->captions, "captions.jsonl");
    int rc = rows_read(path, *count, list, error);
    free(path);
    return rc;
}

static const char *caption_of(const json_t *row)
{
    return json_string_value(json_object_get(json_array_get(json_object_get(row, "texts"), 0), "text"));
}

static int export_run(const struct world *world, const void *config, struct error *error)
{
    const struct refine_settings *c = config;
    int64_t count, written = 0;
    json_t **list;
    struct str out = {0};
    if (world->rank) return 0;
    if (read_captions(c, &count, &list, error) < 0) return -1;
    for (int64_t i = 0; i < count; i++) {
        const char *caption = caption_of(list[i]);
        if (!caption) continue;
        json_t *row = json_pack("{s:I, s:O, s:s, s:s}", "item", (json_int_t)i, "key", json_object_get(list[i], "key"),
                                "caption", caption, "text", caption);
        char *text = json_dumps(row, 0);
        str_printf(&out, "%s\n", text);
        free(text);
        json_decref(row);
        written++;
    }
    int rc = fs_write(c->output, out.data ? out.data : "", out.len, error);
    if (rc == 0) printf("%s: %ld captions; edit \"text\", then pe-captioner refine-import\n", c->output, (long)written);
    str_free(&out);
    rows_free_list(list, count);
    return rc;
}

const struct verb refine_export_verb = {&export_program, sizeof(struct refine_settings), export_run};

/* One edited line: 1 taken, 0 left as it was. */
static int take_line(json_t *const *list, int64_t count, const char *path, int64_t number, json_t *row, json_t **human,
                     struct error *error)
{
    const json_t *item = json_object_get(row, "item");
    const char *text = json_string_value(json_object_get(row, "text")),
               *key = json_string_value(json_object_get(row, "key"));
    int64_t i = json_is_integer(item) ? json_integer_value(item) : -1;
    if (i < 0 || i >= count || !list[i])
        return error_set(error, ERROR_FAILED, "%s: line %ld: item is not one of the captions", path, (long)number);
    const char *own = json_string_value(json_object_get(list[i], "key")), *caption = caption_of(list[i]);
    if (!key || strcmp(key, own))
        return error_set(
            error, ERROR_FAILED,
            "%s: line %ld: item %ld has key \"%.100s\", not \"%.100s\"; was the file made from these captions?", path,
            (long)number, (long)i, own, key ? key : "");
    if (!text || !text[strspn(text, " \t")])
        return error_set(error, ERROR_FAILED,
                         "%s: line %ld: \"text\" is empty; remove the line to leave the caption as it is", path,
                         (long)number);
    if (human[i])
        return error_set(error, ERROR_FAILED, "%s: line %ld: item %ld is there twice", path, (long)number, (long)i);
    if (caption && !strcmp(text, caption) && !json_is_true(json_object_get(row, "checked"))) return 0;
    human[i] = json_pack("{s:I, s:s, s:s, s:s}", "item", (json_int_t)i, "key", own, "text", text, "caption",
                         caption ? caption : "");
    return 1;
}

/* What was taken in before stays, unless it is corrected again. */
static int write_human(const char *folder, json_t **human, int64_t count, int64_t *all, struct error *error)
{
    char *path = fs_join(folder, "human.jsonl");
    json_t **before = NULL;
    struct str out = {0};
    int rc = fs_exists(path) ? rows_read(path, count, &before, error) : 0;
    for (int64_t i = 0; rc == 0 && i < count; i++) {
        const json_t *row = human[i] ? human[i] : before ? before[i] : NULL;
        if (!row) continue;
        char *text = json_dumps(row, 0);
        str_printf(&out, "%s\n", text);
        free(text);
        ++*all;
    }
    if (rc == 0) rc = fs_write(path, out.data ? out.data : "", out.len, error);
    rows_free_list(before, count);
    str_free(&out);
    free(path);
    return rc;
}

static int import_run(const struct world *world, const void *config, struct error *error)
{
    const struct refine_settings *c = config;
    int64_t count, number = 0, taken = 0, all = 0;
    json_t **list;
    char *text;
    size_t len;
    if (world->rank) return 0;
    if (read_captions(c, &count, &list, error) < 0) return -1;
    if (fs_read(c->input, &text, &len, error) < 0) {
        rows_free_list(list, count);
        return -1;
    }
    json_t **human = mem_zalloc((size_t)count + 1, sizeof *human);
    int rc = 0;
    for (size_t at = 0; at < len && rc >= 0;) {
        char *end = memchr(text + at, '\n', len - at);
        size_t n = end ? (size_t)(end - text) - at : len - at;
        json_error_t why;
        number++;
        if (n) {
            json_t *row = json_loadb(text + at, n, 0, &why);
            rc = row ? take_line(list, count, c->input, number, row, human, error)
                     : error_set(error, ERROR_FAILED, "%s: line %ld: %s", c->input, (long)number, why.text);
            taken += rc == 1;
            json_decref(row);
        }
        at += n + 1;
    }
    if (rc >= 0) rc = write_human(c->captions, human, count, &all, error);
    if (rc >= 0) printf("%s: %ld corrected captions taken, %ld in all\n", c->input, (long)taken, (long)all);
    free(text);
    rows_free_list(human, count);
    rows_free_list(list, count);
    return rc < 0 ? -1 : 0;
}
const struct verb refine_import_verb = {&import_program, sizeof(struct refine_settings), import_run};
