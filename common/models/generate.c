/* Scheduling, pages and sampling. */
#include "models/generate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/rng.h"

enum { PAGE_ROWS = 16 };
/* Address space for the arrays of a pass; memory comes as it is touched. */
static const size_t PASS_MOST = (size_t)1 << 36;

/* A page of the pool.  A full page of prompt tokens keeps its name after its last user is gone, until the room is
 * needed. */
struct page {
    uint64_t name;  /* of its tokens and all before them; 0: none */
    int64_t used;   /* sequences that have it in their table */
    int64_t moment; /* when it was given up last */
};

struct sequence {
    uint64_t key;
    void *owner;
    int32_t *ids;                /* [count + room to generate] */
    int64_t prompt, count, done; /* tokens of the prompt; so far; whose keys and values are in the cache */
    void *inserted;              /* on the device, NULL once all its rows have gone through */
    int64_t inserted_count, inserted_done;
    int32_t *table; /* [table_pages] */
    int64_t pages;
    uint64_t *names;     /* [full pages of the prompt] */
    int64_t named, most; /* most: tokens after the prompt, at most */
    int32_t *given;      /* [given_count] tokens to be weighed, or NULL */
    double *weights;     /* [given_count] */
    int64_t given_count;
    bool each;
    enum generated_end end;
    double log_probability;
    struct sequence *next;
};

struct sequence_list {
    struct sequence *first, *last;
    int64_t count;
};

struct generator {
    struct llama *llama;
    struct device *device;
    struct generator_config config;
    struct sampling sampling;
    struct tape tape;
    struct arena host, there;
    struct cache_layer *caches; /* [layers] */
    struct page *pages;
    int64_t page_count, table_pages, moment;
    struct sequence_list waiting, finished;
    struct sequence **running; /* [config.sequences] */
    int64_t active;
    float *logits; /* [sequences, vocabulary] in host memory */
    struct generator_figures figures;
};

static void enqueue(struct sequence_list *q, struct sequence *s)
{
    s->next = NULL;
    if (q->last)
        q->last->next = s;
    else
        q->first = s;
    q->last = s;
    q->count++;
}

static struct sequence *dequeue(struct sequence_list *q)
{
    struct sequence *s = q->first;
    if (!s) return NULL;
    q->first = s->next;
    if (!q->first) q->last = NULL;
    q->count--;
    return s;
}

static size_t cache_bytes(const struct generator *g)
{
    const struct llama_config *c = &g->llama->config;
    return (size_t)(g->page_count * PAGE_ROWS * c->kv_heads * c->head_dim) * g->device->kernels->real_bytes;
}

static size_t host_bytes(const struct generator_config *c, int64_t table_pages)
{
    return (size_t)(6 * c->rows + c->sequences * (table_pages + 1)) * sizeof(int32_t) + 16 * 256;
}

struct generator *generator_open(struct llama *llama, struct device *device, const struct generator_config *config,
                                 const struct sampling *sampling)
{
    struct generator *g = mem_zalloc(1, sizeof *g);
    const struct kernels *k = device->kernels;
    *g = (struct generator){.llama = llama, .device = device, .config = *config, .sampling = *sampling};
    CHECK(config->rows >= config->sequences && config->sequences > 0, "%ld rows for %ld sequences", (long)config->rows,
          (long)config->sequences);
    g->table_pages = (config->context + PAGE_ROWS - 1) / PAGE_ROWS;
    g->page_count =
        config->cache_rows ? (config->cache_rows + PAGE_ROWS - 1) / PAGE_ROWS : config->sequences * g->table_pages;
    g->pages = mem_zalloc((size_t)g->page_count, sizeof *g->pages);
    g->caches = mem_alloc((size_t)llama->config.layers, sizeof *g->caches);
    for (int64_t i = 0; i < llama->config.layers; i++)
        g->caches[i] = (struct cache_layer){
            .keys = k->map(device, cache_bytes(g)), .values = k->map(device, cache_bytes(g)), .page_rows = PAGE_ROWS};
    g->running = mem_zalloc((size_t)config->sequences, sizeof *g->running);
    g->logits = mem_alloc((size_t)(config->sequences * llama->config.vocab_size), sizeof *g->logits);
    tape_init(&g->tape, device);
    device_host_arena_open(device, &g->host, host_bytes(config, g->table_pages));
    device_arena_open(device, &g->there, PASS_MOST);
    llama_reserve(llama, device, config->context);
    return g;
}

static void free_inserted(struct generator *g, struct sequence *s)
{
    const struct kernels *k = g->device->kernels;
    if (s->inserted)
        k->unmap(g->device, s->inserted, (size_t)(s->inserted_count * g->llama->config.width) * k->real_bytes);
    s->inserted = NULL;
}

static void free_sequence(struct generator *g, struct sequence *s)
{
    if (!s) return;
    free_inserted(g, s);
    free(s->ids);
    free(s->table);
    free(s->names);
    free(s->given);
    free(s->weights);
    free(s);
}

void generator_close(struct generator *g)
{
    if (!g) return;
    const struct kernels *k = g->device->kernels;
    k->wait(g->device);
    for (int64_t i = 0; i < g->active; i++) free_sequence(g, g->running[i]);
    while (g->waiting.first) free_sequence(g, dequeue(&g->waiting));
    while (g->finished.first) free_sequence(g, dequeue(&g->finished));
    for (int64_t i = 0; i < g->llama->config.layers; i++) {
        k->unmap(g->device, g->caches[i].keys, cache_bytes(g));
        k->unmap(g->device, g->caches[i].values, cache_bytes(g));
    }
    tape_free(&g->tape);
    arena_close(&g->host);
    arena_close(&g->there);
    free(g->caches);
    free(g->pages);
    free(g->running);
    free(g->logits);
    free(g);
}

/* --- pages --- */

/* Tokens after a prompt, at most; of given ones each must have its place. */
static int64_t most_after(const struct generator *g, const struct prompt *p)
{
    return p->given_count ? p->each ? 1 : p->given_count : p->most ? p->most : g->sampling.most;
}

static int64_t most_tokens(const struct generator *g, int64_t prompt, int64_t most)
{
    int64_t all = prompt + most;
    return all < g->config.context ? all : g->config.context;
}

/* Names of the full pages before the first inserted row; a page's last token must not be the prompt's last, which has
 * to be computed. */
static void name_pages(struct sequence *s)
{
    int64_t text = 0;
    while (text < s->prompt - 1 && s->ids[text] >= 0) text++;
    s->named = text / PAGE_ROWS;
    s->names = mem_alloc((size_t)s->named + 1, sizeof *s->names);
    uint64_t name = 1;
    for (int64_t i = 0; i < s->named; i++) {
        name = XXH3_64bits_withSeed(s->ids + i * PAGE_ROWS, PAGE_ROWS * sizeof *s->ids, name);
        s->names[i] = name ? name : 1;
    }
}

/* A page that nobody uses: one without a name, else the one given up longest ago. */
static int64_t free_page(const struct generator *g)
{
    int64_t best = -1;
    for (int64_t i = 0; i < g->page_count; i++) {
        const struct page *p = &g->pages[i];
        if (p->used) continue;
        if (!p->name) return i;
        if (best < 0 || p->moment < g->pages[best].moment) best = i;
    }
    return best;
}

static void give_up(struct generator *g, struct sequence *s)
{
    for (int64_t i = 0; i < s->pages; i++) {
        struct page *p = &g->pages[s->table[i]];
        if (--p->used == 0) p->moment = ++g->moment;
    }
    s->pages = 0;
}

/* All pages a sequence can come to need, those of a known beginning shared; false when there are not enough. */
static bool take_pages(struct generator *g, struct sequence *s)
{
    int64_t need = (most_tokens(g, s->prompt, s->most) + PAGE_ROWS - 1) / PAGE_ROWS, shared = 0;
    for (; shared < s->named; shared++) {
        int64_t found = 0;
        while (found < g->page_count && g->pages[found].name != s->names[shared]) found++;
        if (found == g->page_count) break;
        g->pages[found].used++;
        s->table[s->pages++] = (int32_t)found;
    }
    while (s->pages < need) {
        int64_t page = free_page(g);
        if (page < 0) {
            give_up(g, s);
            return false;
        }
        g->pages[page].used++;
        g->pages[page].name = 0;
        s->table[s->pages++] = (int32_t)page;
    }
    s->done = shared * PAGE_ROWS;
    g->figures.reused_rows += s->done;
    return true;
}

/* Pages that a pass has filled with the prompt's beginning may be shared from now on. */
static void publish(struct generator *g, struct sequence *s)
{
    for (int64_t i = 0; i < s->named && (i + 1) * PAGE_ROWS <= s->done; i++) g->pages[s->table[i]].name = s->names[i];
}

/* --- submission --- */

int generator_fits(const struct generator *g, const struct prompt *p, struct error *error)
{
    int64_t context = g->config.context, count = p->count, most = most_after(g, p);
    int64_t pages = (most_tokens(g, count, most) + PAGE_ROWS - 1) / PAGE_ROWS;
    if (count < 1 || count >= context || (p->given_count && count + most > context))
        return error_set(error, ERROR_FAILED, "a prompt of %ld tokens in a context of %ld leaves no room for an answer",
                         (long)count, (long)context);
    if (pages > g->page_count)
        return error_set(error, ERROR_FAILED, "a prompt of %ld tokens is more than the cache holds", (long)count);
    return 0;
}

/* Note the tokens that are to be weighed. */
static void give(const struct generator *g, struct sequence *s, const struct prompt *p)
{
    if (!p->given_count) return;
    s->given_count = p->given_count;
    s->each = p->each;
    s->given = mem_alloc((size_t)p->given_count, sizeof *s->given);
    s->weights = mem_alloc((size_t)p->given_count, sizeof *s->weights);
    memcpy(s->given, p->given, (size_t)p->given_count * sizeof *s->given);
    for (int64_t i = 0; i < p->given_count; i++)
        CHECK(p->given[i] >= 0 && p->given[i] < g->llama->config.vocab_size, "token %d of a vocabulary of %ld",
              p->given[i], (long)g->llama->config.vocab_size);
}

int generator_submit(struct generator *g, const struct prompt *p, struct error *error)
{
    const struct kernels *k = g->device->kernels;
    int64_t inserted = 0;
    if (generator_fits(g, p, error) < 0) return -1;
    struct sequence *s = mem_zalloc(1, sizeof *s);
    s->key = p->key;
    s->owner = p->owner;
    s->prompt = s->count = p->count;
    s->most = most_after(g, p);
    s->ids = mem_alloc((size_t)most_tokens(g, p->count, s->most) + 1, sizeof *s->ids);
    memcpy(s->ids, p->ids, (size_t)p->count * sizeof *s->ids);
    give(g, s, p);
    for (int64_t i = 0; i < p->count; i++) {
        CHECK(p->ids[i] >= -1 && p->ids[i] < g->llama->config.vocab_size, "token %d of a vocabulary of %ld", p->ids[i],
              (long)g->llama->config.vocab_size);
        inserted += p->ids[i] < 0;
    }
    s->table = mem_zalloc((size_t)g->table_pages, sizeof *s->table);
    if (inserted) {
        size_t bytes = (size_t)(inserted * g->llama->config.width) * k->real_bytes;
        CHECK(p->inserted, "%ld rows to insert, none given", (long)inserted);
        s->inserted = k->map(g->device, bytes);
        s->inserted_count = inserted;
        k->copy(g->device, s->inserted, p->inserted, bytes);
    }
    name_pages(s);
    enqueue(&g->waiting, s);
    return 0;
}

int64_t generator_pending(const struct generator *g)
{
    return g->waiting.count + g->active;
}

bool generator_take(struct generator *g, struct generated *out)
{
    struct sequence *s = dequeue(&g->finished);
    if (!s) return false;
    int64_t count = s->count - s->prompt;
    *out = (struct generated){.key = s->key,
                              .owner = s->owner,
                              .ids = mem_alloc((size_t)count + 1, sizeof *out->ids),
                              .count = count,
                              .end = s->end,
                              .log_probability = s->log_probability,
                              .given = s->weights};
    s->weights = NULL;
    memcpy(out->ids, s->ids + s->prompt, (size_t)count * sizeof *out->ids);
    free_sequence(g, s);
    return true;
}

struct generator_figures generator_figures(const struct generator *g)
{
    return g->figures;
}

/* --- sampling --- */

struct candidate {
    float logit;
    int32_t id;
};

static int higher(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    return x->logit != y->logit ? (x->logit < y->logit) - (x->logit > y->logit) : (x->id > y->id) - (x->id < y->id);
}

/* The smallest set of likeliest tokens that has probability top_p, and a draw from it. */
static int32_t draw(const struct generator *g, const float *logits, float top, uint64_t key, int64_t position)
{
    int64_t vocabulary = g->llama->config.vocab_size;
    double temperature = g->sampling.temperature, total = 0, kept = 0;
    struct candidate *c = mem_alloc((size_t)vocabulary, sizeof *c);
    for (int64_t i = 0; i < vocabulary; i++) {
        c[i] = (struct candidate){logits[i], (int32_t)i};
        total += exp((double)(logits[i] - top) / temperature);
    }
    qsort(c, (size_t)vocabulary, sizeof *c, higher);
    int64_t count = 0, chosen = 0;
    while (count < vocabulary && (count == 0 || kept < g->sampling.top_p * total))
        kept += exp((double)(c[count++].logit - top) / temperature);
    struct rng rng = rng_open(g->sampling.seed, RNG_SAMPLE, key, (uint64_t)position);
    double left = rng_uniform(&rng) * kept;
    while (chosen + 1 < count && (left -= exp((double)(c[chosen].logit - top) / temperature)) >= 0) chosen++;
    int32_t id = c[chosen].id;
    free(c);
    return id;
}

/* The next given token, or each of them, weighed; true when none is left. */
static bool weigh(struct sequence *s, const float *logits, float top, double log_total)
{
    int64_t at = s->count - s->prompt, first = s->each ? 0 : at, end = s->each ? s->given_count : at + 1;
    for (int64_t i = first; i < end; i++) s->weights[i] = (double)(logits[s->given[i]] - top) - log_total;
    if (end < s->given_count) s->ids[s->count++] = s->given[at];
    return end == s->given_count;
}

/* The next token of a sequence; true when it ends. */
static bool extend(const struct generator *g, struct sequence *s, const float *logits)
{
    int64_t vocabulary = g->llama->config.vocab_size, best = 0;
    double total = 0;
    for (int64_t i = 1; i < vocabulary; i++)
        if (logits[i] > logits[best]) best = i;
    float top = logits[best];
    CHECK(isfinite(top), "logits of sequence %llu are not finite", (unsigned long long)s->key);
    for (int64_t i = 0; i < vocabulary; i++) total += (double)expf(logits[i] - top);
    s->end = GENERATED_STOP;
    if (s->given) return weigh(s, logits, top, log(total));
    int32_t id = g->sampling.temperature > 0 ? draw(g, logits, top, s->key, s->count - s->prompt) : (int32_t)best;
    s->log_probability += (double)(logits[id] - top) - log(total);
    for (int i = 0; i < g->sampling.stop_count; i++)
        if (id == g->sampling.stops[i]) return true;
    s->ids[s->count++] = id;
    if (s->count - s->prompt == s->most)
        s->end = GENERATED_MOST;
    else if (s->count == g->config.context)
        s->end = GENERATED_CONTEXT;
    else
        return false;
    return true;
}

/* --- a pass --- */

struct pass {
    int32_t *ids, *places, *slots, *sequence_of, *inserted_rows, *last_rows, *tables;
    int64_t rows, inserted, longest, ends;
    struct sequence **ending; /* whose next token this pass tells */
};

static void admit(struct generator *g)
{
    while (g->waiting.first && g->active < g->config.sequences && take_pages(g, g->waiting.first))
        g->running[g->active++] = dequeue(&g->waiting);
    CHECK(g->active || !g->waiting.first, "a sequence that fits nowhere");
}

/* Rows [done, done + n) of sequence number i; its inserted ones are copied to `inserted`. */
static void add_rows(struct generator *g, struct pass *p, int64_t i, int64_t n, char *inserted)
{
    struct sequence *s = g->running[i];
    const struct kernels *k = g->device->kernels;
    size_t row_bytes = (size_t)g->llama->config.width * k->real_bytes;
    int64_t before = p->inserted;
    for (int64_t at = s->done; at < s->done + n; at++) {
        int64_t r = p->rows++;
        p->ids[r] = s->ids[at];
        p->places[r] = (int32_t)at;
        p->slots[r] = s->table[at / PAGE_ROWS] * PAGE_ROWS + (int32_t)(at % PAGE_ROWS);
        p->sequence_of[r] = (int32_t)i;
        ++*(at < s->prompt ? &g->figures.prompt_rows : &g->figures.generated_rows);
        if (s->ids[at] < 0) p->inserted_rows[p->inserted++] = (int32_t)r;
    }
    int64_t count = p->inserted - before;
    if (count)
        k->copy(g->device, inserted + (size_t)before * row_bytes,
                (char *)s->inserted + (size_t)s->inserted_done * row_bytes, (size_t)count * row_bytes);
    s->inserted_done += count;
    s->done += n;
    if (s->done > p->longest) p->longest = s->done;
    if (s->done == s->count) {
        p->last_rows[p->ends] = (int32_t)p->rows - 1;
        p->ending[p->ends++] = s;
    }
}

/* A row of each sequence that generates, then prompts as far as they go. */
static void plan_pass(struct generator *g, struct pass *p, char *inserted)
{
    int64_t room = g->config.rows;
    for (int64_t i = 0; i < g->active; i++) {
        memcpy(p->tables + i * g->table_pages, g->running[i]->table, (size_t)g->table_pages * sizeof *p->tables);
        if (g->running[i]->count - g->running[i]->done == 1) add_rows(g, p, i, 1, inserted), room--;
    }
    for (int64_t i = 0; i < g->active && room > 0; i++) {
        int64_t left = g->running[i]->count - g->running[i]->done;
        if (left < 1) continue;
        if (left > room) left = room;
        add_rows(g, p, i, left, inserted);
        room -= left;
    }
}

static const int32_t *bring(struct generator *g, const int32_t *host, int64_t count)
{
    return device_bring(g->device, &g->there, host, (size_t)count * sizeof *host);
}

static void compute(struct generator *g, struct pass *p, void *inserted)
{
    struct llama *l = g->llama;
    int64_t vocabulary = l->config.vocab_size;
    struct tensor rows = {.rows = p->inserted, .cols = l->config.width, .data = inserted, .segment = -1, .slot = -1};
    struct llama_batch batch = {.rows = p->rows,
                                .ids = bring(g, p->ids, p->rows),
                                .places = bring(g, p->places, p->rows),
                                .inserted = p->inserted ? &rows : NULL,
                                .inserted_rows = bring(g, p->inserted_rows, p->inserted)};
    struct cache_rows where = {.slots = bring(g, p->slots, p->rows),
                               .sequence_of = bring(g, p->sequence_of, p->rows),
                               .places = batch.places,
                               .tables = bring(g, p->tables, g->active * g->table_pages),
                               .table_pages = g->table_pages,
                               .longest = p->longest};
    struct tensor *hidden = llama_forward_cached(&g->tape, l, &batch, g->caches, where);
    if (p->ends) {
        struct tensor *logits = llama_logits(&g->tape, l, hidden, bring(g, p->last_rows, p->ends), p->ends);
        g->device->kernels->download(g->device, g->logits, logits->data,
                                     (size_t)(p->ends * vocabulary) * sizeof *g->logits);
    } else
        g->device->kernels->wait(g->device); /* the host's arrays are used again */
}

/* Finished sequences leave; the order of the others stays. */
static void retire(struct generator *g, const struct pass *p)
{
    int64_t kept = 0;
    bool *over = mem_zalloc((size_t)p->ends + 1, sizeof *over);
#pragma omp parallel for num_threads(g->device->threads) schedule(dynamic, 1)
    for (int64_t i = 0; i < p->ends; i++)
        over[i] = extend(g, p->ending[i], g->logits + i * g->llama->config.vocab_size);
    for (int64_t i = 0; i < g->active; i++) {
        struct sequence *s = g->running[i];
        publish(g, s);
        if (s->inserted && s->inserted_done == s->inserted_count) free_inserted(g, s);
        bool done = false;
        for (int64_t e = 0; e < p->ends; e++) done |= p->ending[e] == s && over[e];
        if (!done) {
            g->running[kept++] = s;
            continue;
        }
        give_up(g, s);
        enqueue(&g->finished, s);
    }
    g->active = kept;
    free(over);
}

bool generator_step(struct generator *g)
{
    admit(g);
    if (!g->active) return false;
    struct pass p = {0};
    int64_t rows = g->config.rows;
    tape_reset(&g->tape);
    g->tape.recording = false;
    arena_release(&g->host, 0);
    arena_release(&g->there, 0);
    int32_t **arrays[] = {&p.ids, &p.places, &p.slots, &p.sequence_of, &p.inserted_rows};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        *arrays[i] = arena_take(&g->host, (size_t)rows, sizeof(int32_t));
    p.last_rows = arena_take(&g->host, (size_t)g->config.sequences, sizeof *p.last_rows);
    p.tables = arena_take(&g->host, (size_t)(g->config.sequences * g->table_pages), sizeof *p.tables);
    p.ending = mem_alloc((size_t)g->active, sizeof *p.ending);
    char *inserted = arena_take(&g->there, (size_t)(rows * g->llama->config.width), g->device->kernels->real_bytes);
    plan_pass(g, &p, inserted);
    compute(g, &p, inserted);
    retire(g, &p);
    free(p.ending);
    g->figures.passes++;
    return true;
}
