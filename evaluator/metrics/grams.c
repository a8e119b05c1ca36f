/* A hash table with open addressing, at most half full.  It begins at a hash's upper bits, so a table of twice the size
 * has everything in the same order, and growing it walks through memory. */
#include "evaluator/metrics/grams.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/check.h"
#include "base/memory.h"

void grams_open(struct grams *g)
{
    *g = (struct grams){.bits = 10};
    g->slots = mem_zalloc((size_t)1 << g->bits, sizeof *g->slots);
}

void grams_close(struct grams *g)
{
    free(g->list);
    free(g->slots);
    str_free(&g->texts);
}

/* --- the table --- */

static size_t start_of(const struct grams *g, uint32_t hash)
{
    return hash >> (32 - g->bits);
}

/* The next n-gram with this hash, from *at on, which moves behind it; -1: there is none, and *at is a free slot. */
static int32_t next(const struct grams *g, uint32_t hash, size_t *at)
{
    size_t mask = ((size_t)1 << g->bits) - 1;
    for (uint64_t slot; (slot = g->slots[*at]);) {
        *at = (*at + 1) & mask;
        if (slot >> 32 == hash) return (int32_t)(uint32_t)slot - 1;
    }
    return -1;
}

static void grow(struct grams *g)
{
    uint64_t *old = g->slots;
    size_t count = (size_t)1 << g->bits++;
    g->slots = mem_zalloc(2 * count, sizeof *g->slots);
    for (size_t i = 0; i < count; i++) {
        if (!old[i]) continue;
        size_t at = start_of(g, (uint32_t)(old[i] >> 32));
        while (g->slots[at]) at = (at + 1) & (2 * count - 1);
        g->slots[at] = old[i];
    }
    free(old);
}

/* A new n-gram into the free slot `at`; its number. */
static int32_t add(struct grams *g, uint32_t hash, size_t at, int32_t head, int32_t word)
{
    CHECK(g->count < 1 << 30, "%ld n-grams", (long)g->count);
    if ((g->count & (g->count - 1)) == 0)
        g->list = mem_realloc(g->list, g->count ? 2 * (size_t)g->count : 1, sizeof *g->list);
    g->list[g->count++] = (struct gram){.head = head, .word = word};
    g->slots[at] = (uint64_t)hash << 32 | (uint64_t)g->count;
    int32_t number = (int32_t)g->count - 1;
    if (g->count >> (g->bits - 1)) grow(g);
    return number;
}

static int32_t word_of(struct grams *g, const char *text, size_t len)
{
    uint32_t hash = (uint32_t)XXH3_64bits(text, len);
    size_t at = start_of(g, hash);
    for (int32_t n; (n = next(g, hash, &at)) >= 0;)
        if (g->list[n].head < 0 && !strncmp(g->texts.data + g->list[n].word, text, len) &&
            !g->texts.data[(size_t)g->list[n].word + len])
            return n;
    size_t begin = g->texts.len;
    CHECK(begin + len < INT32_MAX, "words of %zu bytes", begin);
    str_append(&g->texts, text, len);
    str_append(&g->texts, "", 1);
    return add(g, hash, at, -1, (int32_t)begin);
}

static uint32_t pair_hash(int32_t head, int32_t word)
{
    return (uint32_t)XXH3_64bits((int32_t[]){head, word}, 2 * sizeof word);
}

static int32_t pair_of(struct grams *g, uint32_t hash, int32_t head, int32_t word)
{
    size_t at = start_of(g, hash);
    for (int32_t n; (n = next(g, hash, &at)) >= 0;)
        if (g->list[n].head == head && g->list[n].word == word) return n;
    return add(g, hash, at, head, word);
}

/* --- captions --- */

/* An n-gram into a caption in which place `count` is free; how many it has. */
static int32_t put(struct grams *g, struct caption *c, int32_t count, int32_t number)
{
    int32_t place = grams_place(g, number);
    if (place >= 0) {
        c->times[place]++;
        return count;
    }
    g->list[number].caption = g->captions;
    g->list[number].place = count;
    c->grams[count] = number;
    c->times[count] = 1;
    return count + 1;
}

struct caption grams_read(struct grams *g, const char *tokens)
{
    size_t most = strlen(tokens) / 2 + 1, count = 0;
    int32_t *words = mem_alloc(3 * most, sizeof *words), *numbers = words + most, kinds = 0;
    uint32_t *hashes = (uint32_t *)numbers + most;
    for (size_t len; *tokens; tokens += len + (tokens[len] == ' '))
        if ((len = strcspn(tokens, " "))) words[count++] = word_of(g, tokens, len);
    struct caption c = {.grams = mem_alloc(2 * GRAM_MOST * count + 1, sizeof *c.grams),
                        .bigrams = count > 1 ? (int64_t)count - 1 : 0};
    c.times = c.grams + GRAM_MOST * count;
    g->captions++;
    for (size_t n = 1; n <= GRAM_MOST; n++) {
        for (size_t i = 0; n > 1 && i + n <= count; i++) { /* all at once, as each waits for memory */
            hashes[i] = pair_hash(numbers[i], words[i + n - 1]);
            __builtin_prefetch(&g->slots[start_of(g, hashes[i])]);
        }
        for (size_t i = 0; i + n <= count; i++) {
            numbers[i] = n > 1 ? pair_of(g, hashes[i], numbers[i], words[i + n - 1]) : words[i];
            kinds = put(g, &c, kinds, numbers[i]);
        }
        c.ends[n - 1] = kinds;
    }
    free(words);
    return c;
}

void caption_free(struct caption *c)
{
    free(c->grams);
}

void grams_refer(struct grams *g, const struct caption *c, int32_t picture)
{
    for (int32_t i = 0; i < c->ends[GRAM_MOST - 1]; i++) {
        struct gram *gram = &g->list[c->grams[i]];
        gram->pictures += gram->picture != picture;
        gram->picture = picture;
    }
}

void grams_mark(struct grams *g, const struct caption *c)
{
    g->captions++;
    for (int32_t i = 0; i < c->ends[GRAM_MOST - 1]; i++) {
        g->list[c->grams[i]].caption = g->captions;
        g->list[c->grams[i]].place = i;
    }
}
