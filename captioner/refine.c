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
    {OPTION_STRING, "output", AT(output), "!", 0, 0, NULL, "file to edit (JSON lines)", OPTION_WRITTEN},
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

static const char *key_in(const json_t *row)
{
    const char *key = json_string_value(json_object_get(row, "key"));
    return key ? key : "";
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
        json_t *row = json_pack("{s:I, s:s, s:s, s:s}", "item", (json_int_t)i, "key", key_in(list[i]), "caption",
                                caption, "text", caption);
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

struct corrections {
    json_t **captions, **human; /* [count] by item */
    int64_t count, taken;
};

/* One edited line. */
static int take_row(void *context, json_t *row, struct error *error)
{
    struct corrections *c = context;
    const json_t *item = json_object_get(row, "item");
    const char *text = json_string_value(json_object_get(row, "text")), *key = key_in(row);
    int64_t i = json_is_integer(item) ? json_integer_value(item) : -1;
    if (i < 0 || i >= c->count || !c->captions[i])
        return error_set(error, ERROR_FAILED, "item is not one of the captions");
    const char *own = key_in(c->captions[i]), *caption = caption_of(c->captions[i]);
    if (strcmp(key, own))
        return error_set(error, ERROR_FAILED,
                         "item %ld has key \"%.100s\", not \"%.100s\"; was the file made from these captions?", (long)i,
                         own, key);
    if (!text || !text[strspn(text, " \t")])
        return error_set(error, ERROR_FAILED, "\"text\" is empty; remove the line to leave the caption as it is");
    if (c->human[i]) return error_set(error, ERROR_FAILED, "item %ld is there twice", (long)i);
    if (caption && !strcmp(text, caption) && !json_is_true(json_object_get(row, "checked"))) return 0;
    c->human[i] = json_pack("{s:I, s:s, s:s, s:s}", "item", (json_int_t)i, "key", own, "text", text, "caption",
                            caption ? caption : "");
    c->taken++;
    return 0;
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
    struct corrections all = {0};
    int64_t there = 0;
    if (world->rank) return 0;
    if (read_captions(c, &all.count, &all.captions, error) < 0) return -1;
    all.human = mem_zalloc((size_t)all.count + 1, sizeof *all.human);
    int rc = rows_each(c->input, take_row, &all, error);
    if (rc == 0) rc = write_human(c->captions, all.human, all.count, &there, error);
    if (rc == 0) printf("%s: %ld corrected captions taken, %ld in all\n", c->input, (long)all.taken, (long)there);
    rows_free_list(all.human, all.count);
    rows_free_list(all.captions, all.count);
    return rc;
}
const struct verb refine_import_verb = {&import_program, sizeof(struct refine_settings), import_run};
