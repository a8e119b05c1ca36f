/* Captions as the n-grams of their tokens, n = 1..4, each known by a number. */
#ifndef EVALUATOR_METRICS_GRAMS_H
#define EVALUATOR_METRICS_GRAMS_H

#include <jansson.h>
#include <stdint.h>

enum { GRAM_MOST = 4 };

struct gram {
    int32_t words[GRAM_MOST]; /* numbers of words from 1; 0: it is shorter */
    int32_t size;             /* n */
    int32_t pictures;         /* that have it among their references */
    int32_t picture;          /* the last of them, from 1 */
    int32_t place;            /* where the caption read last has it... */
    int64_t caption;          /* ...if its number, from 1, is this */
};

struct grams {
    json_t *words; /* word -> number */
    struct gram *list;
    int64_t count;
    int32_t *slots; /* [slot_count] places in list + 1; 0: free */
    int64_t slot_count, captions;
};

struct caption {
    int32_t *grams, *times; /* [count] each n-gram once, in the order they first appear, shorter ones first */
    int64_t count, bigrams; /* bigrams: with repeats */
};

void grams_open(struct grams *grams);
void grams_close(struct grams *grams);

/* Tokens with a space between two -> n-grams, the caller's to free with caption_free. */
struct caption grams_read(struct grams *grams, const char *tokens);
void caption_free(struct caption *caption);

/* Count the caption's n-grams as those of a reference of `picture` (from 1); those of one picture follow each other. */
void grams_refer(struct grams *grams, const struct caption *caption, int32_t picture);

#endif
