/* pe-captioner summarize: metadata, video caption and frame captions into one short caption, by a language model whose
 * prompt is a template file. */
#include <stdlib.h>
#include <string.h>

#include "base/embed.h"
#include "base/fs.h"
#include "base/str.h"
#include "captioner/captioner.h"
#include "captioner/key.h"
#include "serve/job.h"
#include "serve/rows.h"

EMBED_FILE(summary_template, "captioner/summary.txt");

struct summarize_settings {
    struct option_list data;
    char *captions, *output, *template;
    int64_t attempts;
    struct lm_settings lm;
};

#define AT(field) offsetof(struct summarize_settings, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_GROUP, "data", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_STRINGS, "data", AT(data), "!", 0, 0, NULL, "the data sets that were captioned, in the same order"},
    {OPTION_STRING, "captions", AT(captions), "!", 0, 0, NULL, "folder of pe-captioner caption's rows"},
    {OPTION_STRING, "output", AT(output), "!", 0, 0, NULL, "folder of the rows: summaries.jsonl at the end; may be that of the captions"},
    {OPTION_STRING, "template", AT(template), NULL, 0, 0, NULL, "prompt with {title} {description} {keywords} {video_caption} {frame_captions}; else the built-in one"},
    {OPTION_INT, "attempts", AT(attempts), "3", 1, 100, NULL, "an item that ends the program so often is quarantined"},
    {OPTION_TABLE, .offset = AT(lm), .table = lm_options},
    {0}};
/* clang-format on */
static const struct option_program program = {"pe-captioner", "summarize",
                                              "write one short caption from all that is known of a video", options};

struct summary {
    const struct summarize_settings *config;
    struct collection data;
    json_t **captions; /* by item */
    uint64_t captions_checksum;
    char *template;
};

/* A metadata value as text: strings, lists joined by commas. */
static void put_value(struct str *out, const json_t *value)
{
    if (json_is_string(value)) str_puts(out, json_string_value(value));
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (i) str_puts(out, ", ");
        put_value(out, json_array_get(value, i));
    }
}

static void put_captions(struct str *out, const json_t *row, bool frames)
{
    const json_t *texts = json_object_get(row, "texts");
    for (size_t i = frames ? 1 : 0; i < (frames ? json_array_size(texts) : 1); i++) {
        const json_t *entry = json_array_get(texts, i);
        const char *text = json_string_value(json_object_get(entry, "text"));
        if (frames)
            str_printf(out, "%s[%.1f s] ", i > 1 ? " " : "", json_real_value(json_object_get(entry, "seconds")));
        str_puts(out, text ? text : "");
    }
}

/* The template with this item's fields; fields are put in as they are and not searched again. */
static char *fill(const char *template, const json_t *metadata, const json_t *row)
{
    static const char *const names[] = {"title", "description", "keywords", "video_caption", "frame_captions"};
    struct str out = {0};
    str_puts(&out, "");
    for (const char *at = template; *at;) {
        int found = -1;
        size_t len = 0;
        for (int i = 0; i < 5 && *at == '{'; i++) {
            len = strlen(names[i]);
            if (!strncmp(at + 1, names[i], len) && at[1 + len] == '}') {
                found = i;
                break;
            }
        }
        if (found < 0) {
            str_putc(&out, *at++);
            continue;
        }
        if (found < 3)
            put_value(&out, json_object_get(metadata, names[found]));
        else
            put_captions(&out, row, found == 4);
        at += len + 2;
    }
    return str_steal(&out);
}

static int ask(void *context, struct job_item *item, struct error *error)
{
    const struct summary *s = context;
    const json_t *row = s->captions[item->number];
    struct record r;
    if (!row) return error_set(error, ERROR_FAILED, "has no caption");
    if (collection_read_texts(&s->data, item->number, &r, error) < 0) return -1;
    char *key = record_key(&r);
    int rc = key_check(row, key, item->number, error);
    json_object_set_new(item->row, "key", json_string(key));
    free(key);
    json_t *metadata = json_loadb(r.metadata, r.metadata_len, 0, NULL);
    record_release(&r);
    if (rc < 0) {
        json_decref(metadata);
        return -1;
    }
    char *prompt = fill(s->template, metadata, row);
    json_object_set_new(item->row, "prompt", lm_text_identity(s->template));
    job_ask(item, &(struct turn){TURN_USER, prompt}, 1, 0);
    json_decref(metadata);
    free(prompt);
    return 0;
}

static void finish(void *context, struct job_item *item)
{
    (void)context;
    job_describe(&item->texts[0], item->row);
}

static int read_template(struct summary *s, struct error *error)
{
    const char *path = s->config->template;
    size_t len = (size_t)(summary_template_end - summary_template);
    if (path && fs_read(path, &s->template, &len, error) < 0) return -1;
    if (!path) {
        s->template = mem_zalloc(len + 1, 1);
        memcpy(s->template, summary_template, len);
    }
    if (strstr(s->template, "{video_caption}")) return 0;
    return error_set(error, ERROR_USAGE, "%s: the template has no {video_caption}", path ? path : "built-in template");
}

static int read_inputs(struct summary *s, struct error *error)
{
    const struct summarize_settings *c = s->config;
    if (collection_open(&s->data, c->data.items, c->data.count, error) < 0 || read_template(s, error) < 0) return -1;
    char *path = fs_join(c->captions, "captions.jsonl");
    int rc = rows_read(path, s->data.samples, &s->captions, error);
    if (rc == 0) rc = fs_checksum(path, &s->captions_checksum, error);
    free(path);
    return rc < 0 ? error_prefix(error, "run pe-captioner caption to its end first") : 0;
}

static int summarize(struct summary *s, struct lm *lm, struct error *error)
{
    const struct summarize_settings *c = s->config;
    json_t *recipe = options_identity(&program, c);
    json_object_set_new(recipe, "program", json_string("pe-captioner summarize"));
    json_object_set_new(recipe, "data", json_checksum(collection_identity(&s->data)));
    json_object_set_new(recipe, "captions", json_checksum(s->captions_checksum));
    json_object_set_new(recipe, "template", lm_text_identity(s->template));
    struct job job = {.name = "summaries",
                      .verb = "summarized",
                      .output = c->output,
                      .items = s->data.samples,
                      .texts = 1,
                      .attempts = c->attempts,
                      .recipe = recipe,
                      .data = &s->data,
                      .ask = ask,
                      .finish = finish,
                      .context = s};
    int rc = job_run(&job, lm, error);
    json_decref(recipe);
    return rc;
}

static int summarize_run(const struct world *world, const void *config, struct error *error)
{
    struct summary s = {.config = config};
    struct lm lm = {0};
    int rc = world_agree(world, read_inputs(&s, error), error);
    if (rc == 0) rc = lm_open(&lm, world, &s.config->lm, false, error);
    if (rc == 0) rc = summarize(&s, &lm, error);
    lm_close(&lm);
    rows_free_list(s.captions, s.data.samples);
    collection_close(&s.data);
    free(s.template);
    return rc;
}
const struct verb summarize_verb = {&program, sizeof(struct summarize_settings), summarize_run};
