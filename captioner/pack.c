/* pe-captioner pack: the data with its new captions, as shards for pe-trainer.  A person's caption is preferred to the
 * summary, the summary to the model's.
 *
 * Each shard that holds samples becomes one, whatever rank writes it; what has no usable caption is left out and
 * listed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/fs.h"
#include "base/str.h"
#include "captioner/captioner.h"
#include "captioner/key.h"
#include "data/collection.h"
#include "data/writer.h"
#include "dist/stopping.h"
#include "serve/rows.h"

struct pack_settings {
    struct option_list data;
    char *captions, *output, *keep;
};

#define AT(field) offsetof(struct pack_settings, field)
/* clang-format off */
static const struct option options[] = {
    {OPTION_STRINGS, "data", AT(data), "!", 0, 0, NULL, "the data sets that were captioned"},
    {OPTION_STRING, "captions", AT(captions), "!", 0, 0, NULL, "folder of captions.jsonl, summaries.jsonl, human.jsonl, as far as they are there"},
    {OPTION_STRING, "output", AT(output), "!", 0, 0, NULL, "folder of the new data set"},
    {OPTION_CHOICE, "keep", AT(keep), "best", 0, 0, "best|all", "the best caption, or all that there are, the best first, and those the data had", OPTION_IDENTITY},
    {0}};
/* clang-format on */
static const struct option_program program = {"pe-captioner", "pack", "write video-text shards from data and captions",
                                              options};

/* From the best to the least. */
static const char *const sources[] = {"human", "summaries", "captions"};
enum { CAPTIONS = 2, SOURCES };

struct texts {
    json_t **list[SOURCES]; /* by item; NULL where the file is missing */
};

static char *source_path(const char *folder, int source)
{
    struct str name = {0};
    str_printf(&name, "%s.jsonl", sources[source]);
    char *path = fs_join(folder, name.data);
    str_free(&name);
    return path;
}

static int read_texts(const char *folder, int64_t count, struct texts *t, struct error *error)
{
    int there = 0;
    for (int i = 0; i < SOURCES; i++) {
        char *path = source_path(folder, i);
        int rc = fs_exists(path) ? rows_read(path, count, &t->list[i], error) : 1;
        free(path);
        if (rc < 0) return -1;
        there += rc == 0;
    }
    return there ? 0 : error_set(error, ERROR_FAILED, "%s: no captions.jsonl, summaries.jsonl or human.jsonl", folder);
}

/* A usable text of a source: not empty, and no refusal. */
static const char *text_of(const struct texts *t, int source, int64_t item)
{
    const json_t *row = t->list[source] ? t->list[source][item] : NULL, *flag;
    const json_t *entry = source == CAPTIONS ? json_array_get(json_object_get(row, "texts"), 0) : row;
    const char *text = json_string_value(json_object_get(entry, "text"));
    size_t i;
    json_array_foreach (json_object_get(entry, "flags"), i, flag) {
        const char *name = json_string_value(flag);
        if (name && (!strcmp(name, "refusal") || !strcmp(name, "empty"))) return NULL;
    }
    return text && *text ? text : NULL;
}

/* Its captions and which source was the best; 0 when there is none. */
static uint32_t choose(const struct texts *t, const struct record *r, int64_t item, bool all, struct str *packed,
                       int *best)
{
    uint32_t count = 0;
    for (int s = 0; s < SOURCES && (all || !count); s++) {
        const char *text = text_of(t, s, item);
        if (!text) continue;
        if (!count) *best = s;
        record_add_caption(packed, text, strlen(text));
        count++;
    }
    for (uint32_t i = 0; all && count && i < r->caption_count; i++, count++) {
        size_t len;
        const char *text = record_caption(r, i, &len);
        record_add_caption(packed, text, len);
    }
    return count;
}

struct caption_pack {
    struct stopping stopping;
    const struct pack_settings *config;
    struct collection data;
    struct texts texts;
    bool all; /* captions, not only the best */
};

/* What the pack is made from: data sets by identity, files of texts by checksum. */
static int recipe(const struct pack_settings *c, const struct collection *data, json_t **made_from, struct error *error)
{
    json_t *sets = json_array(), *files = json_array();
    int rc = 0;
    for (int64_t i = 0; i < data->count; i++) {
        const struct dataset *d = &data->sets[i];
        json_t *identity = json_checksum(dataset_identity(d));
        json_array_append_new(sets, json_pack("{s:o, s:o}", "path", json_text(d->folder), "identity", identity));
    }
    for (int i = 0; rc == 0 && i < SOURCES; i++) {
        char *path = source_path(c->captions, i);
        uint64_t sum;
        if (fs_exists(path) && (rc = fs_checksum(path, &sum, error)) == 0)
            json_array_append_new(files, json_pack("{s:o, s:o}", "path", json_text(path), "xxh3", json_checksum(sum)));
        free(path);
    }
    *made_from = json_pack("{s:s, s:o, s:o, s:s}", "program", "pe-captioner pack", "data", sets, "captions", files,
                           "keep", c->keep);
    return rc;
}

/* The rows of an item are of this sample. */
static int check_rows(const struct texts *t, const char *key, int64_t item, struct error *error)
{
    for (int s = 0; s < SOURCES; s++)
        if (t->list[s] && key_check(t->list[s][item], key, item, error) < 0)
            return error_prefix(error, "%s.jsonl", sources[s]);
    return 0;
}

/* One record with its new captions, or left out. */
static int pack_record(const struct caption_pack *p, const struct dataset *d, const struct record *r, int64_t item,
                       struct writer *w, struct error *error)
{
    struct record with = *r;
    struct str captions = {0}, bytes = {0};
    char *key = record_key(r);
    int best = 0, rc = check_rows(&p->texts, key, item, error);
    with.caption_count = choose(&p->texts, r, item, p->all, &captions, &best);
    if (rc == 0 && with.caption_count) {
        with.captions = captions.data;
        with.captions_len = (uint32_t)captions.len;
        record_encode(&with, &bytes);
        rc = writer_append(w, &bytes, media_is_video(r), error);
        writer_count(w, sources[best]);
    } else if (rc == 0)
        writer_leave_out(w, d->folder, key, XXH3_64bits(r->bytes, r->len), "no usable caption");
    free(key);
    str_free(&captions);
    str_free(&bytes);
    return rc;
}

/* Shard k of a data set whose first sample is item `first` of all; it becomes shard `number`. */
static int pack_shard(struct caption_pack *p, const struct dataset *d, int64_t k, int64_t first, int64_t number,
                      struct error *error)
{
    const struct shard *from = &d->shards[k];
    struct writer w;
    if (writer_has(p->config->output, number)) return 0;
    int rc = writer_begin(&w, p->config->output, number, error);
    if (rc < 0) return -1;
    int64_t end = from->first + from->samples;
    for (int64_t i = from->first; rc == 0 && i < end && !stopping_now(&p->stopping); i++) {
        struct record r;
        rc = dataset_read(d, i, &r, error);
        if (rc == 0) rc = pack_record(p, d, &r, first + i, &w, error);
    }
    if (rc == 0 && !p->stopping.left) return writer_finish(&w, error);
    writer_abandon(&w); /* packed again when the pack goes on */
    return rc;
}

/* Shards that hold samples, over all data sets in order, are dealt out to the ranks.  Returns how many there are. */
static int64_t pack_shards(struct caption_pack *p, struct error *error)
{
    const struct world *world = p->stopping.world;
    int64_t first = 0, number = 0;
    for (int64_t s = 0; s < p->data.count; first += p->data.sets[s++].samples)
        for (int64_t k = 0; k < p->data.sets[s].shard_count; k++) {
            if (!p->data.sets[s].shards[k].samples) continue;
            bool mine = number % world->size == world->rank;
            if (mine && stopping_now(&p->stopping)) return number;
            if (mine && pack_shard(p, &p->data.sets[s], k, first, number, error) < 0) return -1;
            number++;
        }
    return number;
}

/* Rank 0, when all shards are there. */
static int conclude(const struct caption_pack *p, int64_t shards, json_t *made_from, struct error *error)
{
    struct writer_index index;
    const struct dataset *d = p->data.sets;
    if (writer_gather(p->config->output, shards, &index, error) < 0) return -1;
    struct writer_names names = {0};
    if (p->data.count == 1) /* labels of several data sets are not one list's */
        names = (struct writer_names){d->classes, d->templates, d->class_count, d->template_count};
    int rc = writer_commit(p->config->output, &index, &names, made_from, error);
    if (rc == 0) {
        printf("%-12s %s\n", "data set", p->config->output);
        printf("%-12s %ld, %ld of them videos\n", "samples", (long)index.samples, (long)index.videos);
        printf("%-12s %ld by a person, %ld summaries, %ld by the model\n", "captions",
               (long)writer_counted(&index, "human"), (long)writer_counted(&index, "summaries"),
               (long)writer_counted(&index, "captions"));
        printf("%-12s %ld without a usable caption%s\n", "left out", (long)index.left_out,
               index.left_out ? " (quarantine.jsonl)" : "");
    }
    writer_index_free(&index);
    return rc;
}

static int check_packed(const struct collection *data, struct error *error)
{
    for (int64_t i = 0; i < data->count; i++)
        if (data->sets[i].files)
            return error_set(error, ERROR_FAILED, "%s: files as they lie there; pack them first (pe-dataloader pack)",
                             data->sets[i].folder);
    return 0;
}

static int pack_run(const struct world *world, const void *config, struct error *error)
{
    const struct pack_settings *c = config;
    struct caption_pack p = {.config = c, .all = !strcmp(c->keep, "all")};
    json_t *made_from = NULL;
    int64_t shards = 0;
    int rc = collection_open(&p.data, c->data.items, c->data.count, error);
    if (rc == 0) rc = check_packed(&p.data, error);
    if (rc == 0) rc = read_texts(c->captions, p.data.samples, &p.texts, error);
    if (rc == 0) rc = recipe(c, &p.data, &made_from, error);
    if (rc == 0 && !world->rank) rc = writer_claim(c->output, made_from, c->data.items, c->data.count, error);
    rc = world_agree(world, rc, error);
    p.stopping = stopping_begin(world);
    if (rc == 0) shards = pack_shards(&p, error);
    if (shards < 0) rc = -1;
    rc = stopping_end(&p.stopping, rc, "the same command goes on with the shards that are missing", error);
    if (rc == 0 && !world->rank) rc = conclude(&p, shards, made_from, error);
    rc = world_agree(world, rc, error);
    json_decref(made_from);
    for (int i = 0; i < SOURCES; i++) rows_free_list(p.texts.list[i], p.data.samples);
    collection_close(&p.data);
    return rc;
}
const struct verb caption_pack_verb = {&program, sizeof(struct pack_settings), pack_run};
