/* The loop. */
#include "serve/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/stop.h"
#include "dist/queue.h"
#include "log/log.h"
#include "serve/flags.h"
#include "serve/rows.h"

enum {
    PROMPTS_AHEAD = 2, /* prompts given to the generator for each sequence that runs at once: no place stays empty */
    NAP = 500          /* microseconds until the queue or the feed is asked again, when there is nothing else to do */
};

struct job_prompt {
    struct token_ids ids, given;
    int64_t picture, most;
    bool each;
};

struct work {
    const struct job *job;
    struct lm *lm;
    struct rows rows;
    struct queue queue;
    struct feed *feed;
    struct job_item *items; /* whose texts are being generated */
    int64_t done, failed, tokens;
};

/* --- items --- */

static void free_item(struct job_item *item)
{
    for (int i = 0; i < item->count; i++) {
        token_ids_free(&item->prompts[i].ids);
        token_ids_free(&item->prompts[i].given);
        free(item->texts[i].text);
        free(item->texts[i].given);
    }
    json_decref(item->row);
    free(item->prompts);
    free(item->texts);
    free(item);
}

static void link_item(struct work *w, struct job_item *item)
{
    item->next = w->items;
    if (w->items) w->items->previous = item;
    w->items = item;
}

static void unlink_item(struct work *w, struct job_item *item)
{
    if (item->previous)
        item->previous->next = item->next;
    else
        w->items = item->next;
    if (item->next) item->next->previous = item->previous;
}

void job_ask(struct job_item *item, const struct turn *turns, int64_t count, int64_t picture)
{
    job_ask_on(item, turns, count, picture, &(struct job_terms){0});
}

void job_ask_on(struct job_item *item, const struct turn *turns, int64_t count, int64_t picture,
                const struct job_terms *terms)
{
    struct job_prompt prompt = {.picture = picture, .most = terms->most, .each = terms->each};
    conversation_encode(&item->lm->template, turns, count, &prompt.ids, NULL);
    for (int64_t i = 0; terms->given && i < terms->given->count; i++)
        token_ids_add(&prompt.given, terms->given->ids[i]);
    item->prompts = mem_realloc(item->prompts, (size_t)item->count + 1, sizeof *item->prompts);
    item->texts = mem_realloc(item->texts, (size_t)item->count + 1, sizeof *item->texts);
    item->texts[item->count] = (struct job_text){0};
    item->prompts[item->count++] = prompt;
}

void job_describe(const struct job_text *text, json_t *entry)
{
    json_t *flags = flags_of(text->text, text->cut);
    json_object_set_new(entry, "text", json_string(text->text));
    json_object_set_new(entry, "tokens", json_integer(text->tokens));
    json_object_set_new(entry, "log_probability", json_real(text->log_probability));
    if (json_array_size(flags)) json_object_set(entry, "flags", flags);
    json_decref(flags);
}

/* The item goes to the quarantine; where its whole shard is damaged the job ends: the others of it would follow.  `why`
 * may quote what is no UTF-8. */
static int fail(struct work *w, int64_t number, const char *why, struct error *error)
{
    bool alone = !w->job->data || collection_reach(w->job->data, number, error) == 0;
    if (!alone || rows_write(&w->rows, number, json_pack("{s:o}", "error", json_text(why)), error) < 0) {
        rows_put_back(&w->rows, number, error);
        return -1;
    }
    w->done++;
    w->failed++;
    return 0;
}

/* All its texts are there: its row goes to disk. */
static int complete(struct work *w, struct job_item *item, struct error *error)
{
    w->job->finish(w->job->context, item);
    if (rows_write(&w->rows, item->number, json_incref(item->row), error) < 0) return -1;
    unlink_item(w, item);
    free_item(item);
    w->done++;
    return 0;
}

/* --- asking --- */

static struct prompt prompt_of(const struct work *w, struct job_item *item, int i)
{
    const struct job_prompt *p = &item->prompts[i];
    return (struct prompt){.ids = p->ids.ids,
                           .count = p->ids.count,
                           .key = (uint64_t)(item->number * w->job->texts + i),
                           .owner = item,
                           .most = p->most,
                           .given = p->given.ids,
                           .given_count = p->given.count,
                           .each = p->each};
}

/* Prompts of an item whose texts all fit: to the generator, which copies what it needs. */
static int submit(struct work *w, struct job_item *item, struct error *error)
{
    struct lm *lm = w->lm;
    size_t row_bytes = (size_t)lm->decoder->config.width * lm->device.kernels->real_bytes;
    bool sees = item->count && item->fed && item->fed->count;
    const char *seen = sees ? lm_see(lm, item->fed->pixels, item->fed->count) : NULL;
    for (int i = 0; i < item->count; i++) {
        struct prompt prompt = prompt_of(w, item, i);
        if (seen) prompt.inserted = seen + (size_t)(item->prompts[i].picture * lm_picture_rows(lm)) * row_bytes;
        if (generator_submit(lm->generator, &prompt, error) < 0) return -1;
        token_ids_free(&item->prompts[i].ids);
    }
    return 0;
}

static int ask(struct work *w, struct job_item *item, struct error *error)
{
    if (w->job->ask(w->job->context, item, error) < 0) return -1;
    CHECK(item->count <= w->job->texts, "item %ld asks for %d texts of %ld", (long)item->number, item->count,
          (long)w->job->texts);
    for (int i = 0; i < item->count; i++) { /* all or none of them are begun */
        struct prompt prompt = prompt_of(w, item, i);
        if (generator_fits(w->lm->generator, &prompt, error) < 0) return -1;
    }
    return 0;
}

static int start(struct work *w, int64_t number, struct fed *fed, struct error *error)
{
    struct error why = fed ? fed->error : (struct error){0};
    if (why.code == ERROR_SLOW) error_prefix(&why, "tried %d times", fed->tried);
    if (why.code) return fail(w, number, why.text, error);
    struct job_item *item = mem_zalloc(1, sizeof *item);
    *item = (struct job_item){
        .number = number,
        .fed = fed,
        .lm = w->lm,
        .row = json_pack("{s:s, s:I}", "model", w->lm->hash, "seed", (json_int_t)w->lm->settings->seed)};
    if (ask(w, item, &why) < 0) {
        free_item(item);
        return fail(w, number, why.text, error);
    }
    link_item(w, item);
    item->waiting = item->count;
    int rc = submit(w, item, error);
    item->fed = NULL;
    return rc == 0 && !item->waiting ? complete(w, item, error) : rc;
}

/* --- the loop --- */

static bool hungry(const struct work *w)
{
    return generator_pending(w->lm->generator) < PROMPTS_AHEAD * w->lm->settings->sequences;
}

/* Items from the queue as far as there is room; *over: it has no more. */
static int take_items(struct work *w, bool *over, struct error *error)
{
    int64_t number;
    int more = 1, rc = 0;
    while (rc == 0 && (w->feed ? feed_has_room(w->feed) : hungry(w)) && (more = queue_take(&w->queue, &number)) == 1) {
        int64_t item = w->rows.todo[number];
        rc = rows_begin(&w->rows, item, error);
        if (rc == 0 && w->feed)
            feed_put(w->feed, item);
        else if (rc == 0)
            rc = start(w, item, NULL, error);
    }
    queue_serve(&w->queue);
    *over = more < 0;
    return rc;
}

/* Begin what can be begun; *over: there is nothing more to begin. */
static int advance(struct work *w, bool *over, struct error *error)
{
    struct fed *f;
    if (take_items(w, over, error) < 0) return -1;
    while (w->feed && hungry(w) && (f = feed_take(w->feed, *over && !generator_pending(w->lm->generator)))) {
        int rc = start(w, f->item, f, error);
        feed_free(f);
        if (rc < 0) return -1;
    }
    if (w->feed && !feed_is_empty(w->feed)) *over = false;
    return 0;
}

static int take_texts(struct work *w, struct error *error)
{
    struct generated g;
    int rc = 0;
    while (rc == 0 && generator_take(w->lm->generator, &g)) {
        struct job_item *item = g.owner;
        w->tokens += g.count;
        item->texts[(int64_t)g.key % w->job->texts] = (struct job_text){.text = lm_text(w->lm, &g),
                                                                        .tokens = g.count,
                                                                        .log_probability = g.log_probability,
                                                                        .cut = g.end != GENERATED_STOP,
                                                                        .given = g.given};
        free(g.ids);
        if (!--item->waiting) rc = complete(w, item, error);
    }
    return rc;
}

/* What was begun and is not finished goes back. */
static int put_back(struct work *w, struct error *error)
{
    int rc = 0;
    for (struct job_item *item = w->items; item && rc == 0; item = item->next)
        rc = rows_put_back(&w->rows, item->number, error);
    if (w->feed) feed_stop(w->feed);
    for (struct fed *f; w->feed && rc == 0 && (f = feed_take(w->feed, false)); feed_free(f))
        rc = rows_put_back(&w->rows, f->item, error);
    return rc;
}

static void show(const struct work *w, struct progress *progress)
{
    char note[96];
    double seconds = clock_seconds() - progress->start;
    int64_t all = w->done * w->lm->world->size; /* as if the others were as far */
    snprintf(note, sizeof note, "%.1f tokens/s a rank, %ld failed", (double)w->tokens / (seconds + 1e-9),
             (long)w->failed);
    progress_show(progress, all < w->rows.left ? all : w->rows.left, note);
}

static int loop(struct work *w, struct error *error)
{
    const struct world *world = w->lm->world;
    struct progress progress = progress_open(w->job->verb, w->rows.left, world->rank > 0);
    bool over = false, busy = true;
    int rc = 0;
    while (rc == 0 && (busy || !over) && !stop_asked()) {
        rc = advance(w, &over, error);
        busy = rc == 0 && generator_step(w->lm->generator);
        if (rc == 0) rc = take_texts(w, error);
        if (!busy && !over) usleep(NAP);
        show(w, &progress);
    }
    bool left = w->items || (w->feed && !feed_is_empty(w->feed)) || !over;
    queue_close(&w->queue); /* before anything collective: rank 0 answers until each has heard that there is no more */
    bool stopped = world_max(world, rc == 0 && left) > 0;
    if ((rc < 0 || stopped) && put_back(w, error) < 0) rc = -1;
    if (rc == 0 && stopped) return error_set(error, ERROR_STOPPED, "stopped by a signal; run again to go on");
    if (rc == 0) progress_close(&progress, w->rows.left);
    return rc;
}

/* --- a run --- */

static json_t *recipe_of(const struct job *job, const struct lm *lm)
{
    json_t *recipe = lm_identity(lm);
    json_object_update(recipe, (json_t *)(uintptr_t)job->recipe);
    return recipe;
}

static int open_work(struct work *w, struct error *error)
{
    const struct job *job = w->job;
    const struct lm *lm = w->lm;
    json_t *recipe = recipe_of(job, lm);
    int rc = rows_open(&w->rows, lm->world, job->output, job->name, job->items, job->attempts, recipe, error);
    json_decref(recipe);
    if (rc < 0) return -1;
    log_info("%ld items, %ld of them to do, on %d ranks x %d threads, %s", (long)job->items, (long)w->rows.left,
             lm->world->size, lm->device.threads, lm->device.kernels->name);
    if (job->feed) w->feed = feed_open(job->feed);
    queue_open(&w->queue, lm->world, w->rows.left);
    return 0;
}

static void close_work(struct work *w)
{
    feed_close(w->feed);
    for (struct job_item *item; (item = w->items);) {
        unlink_item(w, item);
        free_item(item);
    }
    rows_close(&w->rows);
}

int job_run(const struct job *job, struct lm *lm, struct error *error)
{
    struct work w = {.job = job, .lm = lm};
    struct tally tally = {0};
    int rc = open_work(&w, error);
    if (rc == 0) rc = world_agree(lm->world, loop(&w, error), error);
    if (rc == 0) rc = rows_merge(&w.rows, job->silent ? NULL : tally_row, &tally, error);
    struct generator_figures f = generator_figures(lm->generator);
    if (rc == 0 && !lm->world->rank && !job->silent) tally_print(&tally, job->output, job->name);
    if (rc == 0)
        log_info("rank 0: %ld passes, %ld prompt tokens, %ld more taken from shared pages, %ld generated",
                 (long)f.passes, (long)f.prompt_rows, (long)f.reused_rows, (long)f.generated_rows);
    tally_free(&tally);
    close_work(&w);
    return rc;
}
