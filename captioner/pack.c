/* pe-captioner pack: the data with its new captions, as shards for pe-trainer.  A person's caption is preferred to the summary, the summary to the model's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/str.h"
#include "captioner/captioner.h"
#include "data/collection.h"
#include "data/writer.h"
#include "dist/stopping.h"
#include "serve/rows.h"

struct pack_config {
    struct option_list data;
    char *captions, *output, *keep;
};

#define AT(field) offsetof(struct pack_config, field)
static const struct option options[] = {
    {OPTION_STRINGS, "data", AT(data), "!", 0, 0, NULL, "the data sets that were captioned"},
    {OPTION_STRING, "captions", AT(captions), "!", 0, 0, NULL, "folder of captions.jsonl, summaries.jsonl, human.jsonl, as far as they are there"},
    {OPTION_STRING, "output", AT(output), "!", 0, 0, NULL, "folder of the new data set"},
    {OPTION_CHOICE, "keep", AT(keep), "best", 0, 0, "best|all", "the best caption, or all that there are, the best first, and those the data had"},
    {0}};
static const struct option_program program = {"pe-captioner", "pack", "write video-text shards from data and captions", options};

/* From the best to the least. */
static const char *const sources[] = {"human", "summaries", "captions"};
enum { SOURCES = 3 };

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
    const json_t *row = t->list[source] ? t->list[source][item] : NULL, *entry = source == 2 ? json_array_get(json_object_get(row, "texts"), 0) : row, *flag;
    const char *text = json_string_value(json_object_get(entry, "text"));
    size_t i;
    json_array_foreach(json_object_get(entry, "flags"), i, flag)
    {
        const char *name = json_string_value(flag);
        if (name && (!strcmp(name, "refusal") || !strcmp(name, "empty"))) return NULL;
    }
    return text && *text ? text : NULL;
}

/* Its captions and which source was the best; 0 when there is none. */
static uint32_t choose(const struct texts *t, const struct record *r, int64_t item, bool all, struct str *packed, int *best)
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

struct counts {
    int64_t samples, videos, by[SOURCES], left_out;
};

static int pack_shard(const struct dataset *d, int64_t shard, int64_t first, const struct texts *t, const char *path, bool all, struct counts *n, json_t **entry, struct error *error)
{
    struct shard_writer w;
    const char *name = strrchr(path, '/') + 1;
    int rc = shard_create(&w, path, error);
    for (int64_t i = 0; rc == 0 && i < d->shards[shard].samples; i++) {
        struct record r;
        struct str captions = {0}, bytes = {0};
        int best = 0;
        rc = stopping_alone("run it again", error);
        if (rc == 0) rc = dataset_read(d, d->shards[shard].first + i, &r, error);
        uint32_t count = rc == 0 ? choose(t, &r, first + i, all, &captions, &best) : 0;
        if (count) {
            r.captions = captions.data;
            r.captions_len = (uint32_t)captions.len;
            r.caption_count = count;
            record_encode(&r, &bytes);
            rc = shard_append(&w, bytes.data, bytes.len, error);
            n->samples++;
            n->videos += media_is_video(&r);
            n->by[best]++;
        } else n->left_out++;
        str_free(&captions);
        str_free(&bytes);
    }
    int64_t samples = w.samples, bytes;
    uint64_t sum;
    char hex[20];
    if (rc == 0) rc = shard_finish(&w, &bytes, &sum, error);
    else shard_abandon(&w);
    if (rc < 0) return -1;
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)sum);
    *entry = json_pack("{s:s, s:I, s:I, s:s}", "file", name, "samples", (json_int_t)samples, "bytes", (json_int_t)bytes, "xxh3", hex);
    return 0;
}

/* What the pack is made from. */
static json_t *recipe(const struct pack_config *c, const struct collection *data, struct error *error)
{
    json_t *sets = json_array(), *files = json_array();
    char hex[20];
    for (int64_t i = 0; i < data->count; i++) {
        snprintf(hex, sizeof hex, "%016llx", (unsigned long long)dataset_identity(&data->sets[i]));
        json_array_append_new(sets, json_pack("{s:s, s:s}", "path", data->sets[i].folder, "identity", hex));
    }
    int rc = 0;
    for (int i = 0; rc == 0 && i < SOURCES; i++) {
        char *path = source_path(c->captions, i);
        uint64_t sum;
        if (fs_exists(path) && (rc = file_checksum(path, &sum, error)) == 0) {
            snprintf(hex, sizeof hex, "%016llx", (unsigned long long)sum);
            json_array_append_new(files, json_pack("{s:s, s:s}", "path", path, "xxh3", hex));
        }
        free(path);
    }
    json_t *made_from = json_pack("{s:s, s:o, s:o, s:s}", "program", "pe-captioner pack", "data", sets, "captions", files, "keep", c->keep);
    if (rc == 0) return made_from;
    json_decref(made_from);
    return NULL;
}

static int pack_all(const struct pack_config *c, const struct collection *data, const struct texts *t, struct counts *n, struct error *error)
{
    json_t *shards = json_array(), *names = json_array();
    int64_t first = 0, number = 0;
    json_t *made_from = recipe(c, data, error);
    int rc = made_from ? writer_claim(c->output, made_from, c->data.items, c->data.count, error) : -1;
    for (int64_t s = 0; s < data->count && rc == 0; first += data->sets[s++].samples)
        for (int64_t k = 0; k < data->sets[s].shard_count && rc == 0; k++) {
            if (!data->sets[s].shards[k].samples) continue;
            struct str path = {0};
            json_t *entry = NULL;
            str_printf(&path, "%s/shard-%05ld.lmdb", c->output, (long)number++);
            rc = pack_shard(&data->sets[s], k, first + data->sets[s].shards[k].first, t, path.data, !strcmp(c->keep, "all"), n, &entry, error);
            if (entry) json_array_append_new(shards, entry);
            str_free(&path);
        }
    for (int64_t i = 0; i < data->sets[0].class_count; i++) json_array_append_new(names, json_string(data->sets[0].classes[i]));
    json_t *root = json_pack("{s:s, s:i, s:I, s:I, s:O, s:O, s:O}", "format", "percept-dataset", "version", 1, "samples", (json_int_t)n->samples, "videos",
                             (json_int_t)n->videos, "classes", names, "shards", shards, "provenance", made_from);
    if (!json_array_size(names) || data->count > 1) json_object_del(root, "classes");
    char *index = fs_join(c->output, "dataset.json");
    if (rc == 0 && !n->samples) rc = error_set(error, ERROR_FAILED, "%s: no sample has a usable caption", c->captions);
    if (rc == 0) rc = json_write(index, root, error);
    json_decref(root);
    json_decref(made_from);
    json_decref(shards);
    json_decref(names);
    free(index);
    return rc;
}

static int pack_run(const struct world *world, const void *config, struct error *error)
{
    const struct pack_config *c = config;
    struct collection data = {0};
    struct texts t = {0};
    struct counts n = {0};
    if (world->rank) return 0;
    int rc = collection_open(&data, c->data.items, c->data.count, error);
    if (rc == 0) rc = read_texts(c->captions, data.samples, &t, error);
    if (rc == 0) rc = pack_all(c, &data, &t, &n, error);
    if (rc == 0)
        printf("%-12s %s\n%-12s %ld, %ld of them videos\n%-12s %ld by a person, %ld summaries, %ld by the model\n%-12s %ld without a usable caption\n", "data set", c->output, "samples",
               (long)n.samples, (long)n.videos, "captions", (long)n.by[0], (long)n.by[1], (long)n.by[2], "left out", (long)n.left_out);
    for (int i = 0; i < SOURCES; i++) rows_free_list(t.list[i], data.samples);
    collection_close(&data);
    return rc;
}
const struct verb caption_pack_verb = {&program, sizeof(struct pack_config), pack_run};
