/* pe-captioner summarize: metadata, video caption and frame captions into one short caption, by a language model whose prompt is a template file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/embed.h"
#include "base/fs.h"
#include "base/stop.h"
#include "base/str.h"
#include "captioner/captioner.h"
#include "captioner/flags.h"
#include "captioner/rows.h"
#include "dist/queue.h"
#include "log/log.h"

EMBED_FILE(summary_template, "captioner/summary.txt");

#define AT CAPTIONER_AT
static const struct option options[] = {
    {OPTION_STRINGS, "data", AT(data), "!", 0, 0, NULL, "the data sets that were captioned, in the same order"},
    {OPTION_STRING, "captions", AT(captions), "!", 0, 0, NULL, "folder of pe-captioner caption's rows"},
    {OPTION_STRING, "output", AT(output), "!", 0, 0, NULL, "folder of the rows: summaries.jsonl at the end; may be that of the captions"},
    {OPTION_STRING, "template", AT(template), NULL, 0, 0, NULL, "prompt with {title} {description} {keywords} {video_caption} {frame_captions}; else the built-in one"},
    {OPTION_INT, "attempts", AT(attempts), "3", 1, 100, NULL, "an item that ends the program so often is quarantined"},
    {OPTION_GROUP, "model", 0, NULL, 0, 0, NULL, NULL},
    CAPTIONER_MODEL_OPTIONS,
    {0}};
const struct option_program summarize_program = {"pe-captioner", "summarize", "write one short caption from all that is known of a video", options};

struct engine {
    const struct captioner_config *config;
    struct session session;
    struct collection data;
    struct rows rows;
    struct queue queue;
    json_t **captions; /* by item */
    char *template;
    char template_hash[20];
    int64_t done, failed, tokens;
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
        if (frames) str_printf(out, "%s[%.1f s] ", i > 1 ? " " : "", json_real_value(json_object_get(entry, "seconds")));
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
        if (found < 3) put_value(&out, json_object_get(metadata, names[found]));
        else put_captions(&out, row, found == 4);
        at += len + 2;
    }
    return str_steal(&out);
}

static int fail_item(struct engine *e, int64_t item, const char *why, struct error *error)
{
    e->done++;
    e->failed++;
    return rows_write(&e->rows, item, json_pack("{s:s}", "error", why), error);
}

static int start_item(struct engine *e, int64_t item, struct error *error)
{
    struct record r;
    struct error why = {0};
    struct tokens ids = {0};
    if (!e->captions[item]) return fail_item(e, item, "has no caption", error);
    if (collection_read(&e->data, item, &r, &why) < 0) return fail_item(e, item, why.text, error);
    json_t *metadata = json_loadb(r.metadata, r.metadata_len, 0, NULL);
    char *prompt = fill(e->template, metadata, e->captions[item]);
    plm_conversation(&e->session.tokens, 0, prompt, NULL, &ids, NULL);
    struct prompt p = {.ids = ids.ids, .count = ids.count, .key = (uint64_t)item};
    int rc = generator_submit(e->session.generator, &p, &why);
    json_decref(metadata);
    tokens_free(&ids);
    free(prompt);
    return rc < 0 ? fail_item(e, item, why.text, error) : 0;
}

static int finish_item(struct engine *e, struct generated *g, struct error *error)
{
    char *text = session_text(&e->session, g);
    json_t *flags = flags_of(text, g->end != GENERATED_STOP);
    const char *key = json_string_value(json_object_get(e->captions[g->key], "key"));
    json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:f}", "key", key ? key : "", "text", text, "model", e->session.hash, "prompt", e->template_hash, "seed",
                            (json_int_t)e->config->seed, "tokens", (json_int_t)g->count, "log_probability", g->log_probability);
    if (json_array_size(flags)) json_object_set(row, "flags", flags);
    json_decref(flags);
    e->tokens += g->count;
    e->done++;
    free(text);
    free(g->ids);
    return rows_write(&e->rows, (int64_t)g->key, row, error);
}

/* More prompts while there is room: 1 when there are no more, 0 when there may be. */
static int advance(struct engine *e, struct error *error)
{
    int64_t number;
    int more = 1, rc = 0;
    while (rc == 0 && generator_pending(e->session.generator) < 2 * e->config->sequences && (more = queue_take(&e->queue, &number)) == 1) {
        int64_t item = e->rows.todo[number];
        rc = rows_begin(&e->rows, item, error);
        if (rc == 0) rc = start_item(e, item, error);
    }
    queue_serve(&e->queue);
    return rc < 0 ? -1 : more < 0;
}

static int loop(struct engine *e, struct error *error)
{
    struct progress progress = progress_open("summarized", e->rows.left, e->session.world->rank > 0);
    double start = clock_seconds();
    struct generated g;
    int over = 0, rc = 0;
    bool busy = true;
    while (rc == 0 && !stop_asked() && (busy || !over)) {
        over = advance(e, error);
        if (over < 0) rc = -1;
        busy = rc == 0 && generator_step(e->session.generator);
        if (!busy && !over) usleep(500);
        while (rc == 0 && generator_take(e->session.generator, &g)) rc = finish_item(e, &g, error);
        char note[64];
        snprintf(note, sizeof note, "%.1f tokens/s a rank", (double)e->tokens / (clock_seconds() - start + 1e-9));
        progress_show(&progress, e->done, note);
    }
    queue_close(&e->queue); /* before anything collective: rank 0 answers until each rank has heard that there is no more */
    bool stopped = world_max(e->session.world, stop_asked()) > 0;
    if (rc == 0 && stopped) return error_set(error, ERROR_STOPPED, "stopped by a signal; run again to go on");
    if (rc == 0) progress_close(&progress, e->done);
    return rc;
}

static int read_inputs(struct engine *e, struct error *error)
{
    const struct captioner_config *c = e->config;
    size_t len = (size_t)(summary_template_end - summary_template);
    if (collection_open(&e->data, c->data.items, c->data.count, error) < 0) return -1;
    if (c->template) {
        if (fs_read(c->template, &e->template, &len, error) < 0) return -1;
    } else {
        e->template = mem_zalloc(len + 1, 1);
        memcpy(e->template, summary_template, len);
    }
    if (!strstr(e->template, "{video_caption}"))
        return error_set(error, ERROR_USAGE, "%s: the template has no {video_caption}", c->template ? c->template : "built-in template");
    session_hash_text(e->template, e->template_hash);
    char *path = fs_join(c->captions, "captions.jsonl");
    int rc = rows_read(path, e->data.samples, &e->captions, error);
    free(path);
    return rc < 0 ? error_prefix(error, "run pe-captioner caption to its end first") : 0;
}

int summarize_run(const struct world *world, const struct captioner_config *config, struct error *error)
{
    struct engine e = {.config = config};
    struct tally tally = {0};
    int rc = world_agree(world, read_inputs(&e, error), error);
    if (rc == 0) rc = session_open(&e.session, world, config, false, error);
    json_t *made_from = json_pack("{s:s, s:I, s:s, s:s, s:I, s:f, s:f, s:I}", "program", "pe-captioner summarize", "samples", (json_int_t)e.data.samples, "model", e.session.hash,
                                  "template", e.template_hash, "max-new-tokens", (json_int_t)config->most, "temperature", config->temperature, "top-p", config->top_p, "seed",
                                  (json_int_t)config->seed);
    if (rc == 0) rc = rows_open(&e.rows, world, config->output, "summaries", e.data.samples, config->attempts, made_from, error);
    json_decref(made_from);
    if (rc == 0) {
        queue_open(&e.queue, world, e.rows.left);
        rc = world_agree(world, loop(&e, error), error);
    }
    if (rc == 0) rc = rows_merge(&e.rows, tally_row, &tally, error);
    if (rc == 0 && !world->rank) tally_print(&tally, config->output, "summaries");
    tally_free(&tally);
    rows_close(&e.rows);
    rows_free_list(e.captions, e.data.samples);
    collection_close(&e.data);
    session_close(&e.session);
    free(e.template);
    return rc;
}
