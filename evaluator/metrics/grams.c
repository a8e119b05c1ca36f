/* A hash table with open addressing, at most half full. */
#include "evaluator/metrics/grams.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/check.h"
#include "base/memory.h"

void grams_open(struct grams *g)
{
    *g = (struct grams){.words = json_object(), .slot_count = 1024};
    g->slots = mem_zalloc((size_t)g->slot_count, sizeof *g->slots);
}

void grams_close(struct grams *g)
{
    json_decref(g->words);
    free(g->list);
    free(g->slots);
}

/* The slot that holds these words, or the free one where they belong. */
static int32_t *slot_of(const struct grams *g, const int32_t words[GRAM_MOST])
{
    int64_t at = (int64_t)(XXH3_64bits(words, GRAM_MOST * sizeof *words) & (uint64_t)(g->slot_count - 1));
    while (g->slots[at] && memcmp(g->list[g->slots[at] - 1].words, words, GRAM_MOST * sizeof *words))
        at = (at + 1) & (g->slot_count - 1);
    return &g->slots[at];
}

static void grow(struct grams *g)
{
    free(g->slots);
    g->slot_count *= 2;
    g->slots = mem_zalloc((size_t)g->slot_count, sizeof *g->slots);
    for (int64_t i = 0; i < g->count; i++) *slot_of(g, g->list[i].words) = (int32_t)i + 1;
}

static int32_t number_of(struct grams *g, const int32_t *words, int n)
{
    int32_t key[GRAM_MOST] = {0};
    memcpy(key, words, (size_t)n * sizeof *words);
    int32_t *slot = slot_of(g, key);
    if (*slot) return *slot - 1;
    if ((g->count & (g->count - 1)) == 0)
        g->list = mem_realloc(g->list, g->count ? 2 * (size_t)g->count : 1, sizeof *g->list);
    CHECK(g->count < INT32_MAX, "%ld n-grams", (long)g->count);
    struct gram *gram = &g->list[g->count++];
    *gram = (struct gram){.size = n};
    memcpy(gram->words, key, sizeof key);
    *slot = (int32_t)g->count;
    if (2 * g->count >= g->slot_count) grow(g);
    return (int32_t)g->count - 1;
}

static int32_t word_of(struct grams *g, const char *word)
{
    json_t *known = json_object_get(g->words, word);
    if (!known) json_object_set_new(g->words, word, known = json_integer((json_int_t)json_object_size(g->words) + 1));
    return (int32_t)json_integer_value(known);
}

struct caption grams_read(struct grams *g, const char *tokens)
{
    char *copy = mem_strdup(tokens), *rest = copy;
    int32_t *words = mem_alloc(strlen(tokens) + 1, sizeof *words);
    int64_t count = 0;
    for (char *word; (word = strsep(&rest, " "));)
        if (*word) words[count++] = word_of(g, word);
    struct caption c = {mem_alloc(GRAM_MOST * (size_t)count + 1, sizeof *c.grams),
                        mem_alloc(GRAM_MOST * (size_t)count + 1, sizeof *c.times), 0, count > 1 ? count - 1 : 0};
    g->captions++;
    for (int n = 1; n <= GRAM_MOST; n++)
        for (int64_t i = 0; i + n <= count; i++) {
            int32_t number = number_of(g, words + i, n);
            struct gram *gram = &g->list[number];
            if (gram->caption != g->captions) {
                gram->caption = g->captions;
                gram->place = (int32_t)c.count;
                c.grams[c.count] = number;
                c.times[c.count++] = 0;
            }
            c.times[gram->place]++;
        }
    free(words);
    free(copy);
    return c;
}

void caption_free(struct caption *c)
{
    free(c->grams);
    free(c->times);
}

void grams_refer(struct grams *g, const struct caption *c, int32_t picture)
{
    for (int64_t i = 0; i < c->count; i++) {
        struct gram *gram = &g->list[c->grams[i]];
        gram->pictures += gram->picture != picture;
        gram->picture = picture;
    }
}
