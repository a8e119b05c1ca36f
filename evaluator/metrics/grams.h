/* Captions as the n-grams of their tokens, n = 1..4, each known by a number. */
#ifndef EVALUATOR_METRICS_GRAMS_H
#define EVALUATOR_METRICS_GRAMS_H

#include <stdint.h>

#include "base/str.h"

enum { GRAM_MOST = 4 };

/* The n-gram of `head` and one word more. */
struct gram {
    int32_t head;     /* number of the first n - 1 words; -1: it is one word */
    int32_t word;     /* number of the last one; of one word where `texts` has it */
    int32_t pictures; /* that have it among their references */
    int32_t picture;  /* the last of them, from 1 */
    int32_t caption;  /* number, from 1, of the caption that was read or marked last and has it... */
    int32_t place;    /* ...and where */
};

struct grams {
    struct gram *list;
    int64_t count;
    struct str texts; /* of the words, each with its 0 byte */
    uint64_t *slots;  /* [2^bits] hash << 32 | number + 1; 0: free */
    int bits;
    int32_t captions;
};

struct caption {
    int32_t *grams, *times;  /* [ends[3]] each n-gram once, in the order they first appear, shorter ones first */
    int32_t ends[GRAM_MOST]; /* where those of n = 1..4 end */
    int64_t bigrams;         /* with repeats */
};

void grams_open(struct grams *grams);
void grams_close(struct grams *grams);

/* Tokens with a space between two -> n-grams, the caller's to free with caption_free. */
struct caption grams_read(struct grams *grams, const char *tokens);
void caption_free(struct caption *caption);

/* Count the caption's n-grams as those of a reference of `picture` (from 1); those of one picture follow each other. */
void grams_refer(struct grams *grams, const struct caption *caption, int32_t picture);

/* From now on grams_place tells where an n-gram is in this caption; -1: it is not there. */
void grams_mark(struct grams *grams, const struct caption *caption);
static inline int32_t grams_place(const struct grams *g, int32_t number)
{
    return g->list[number].caption == g->captions ? g->list[number].place : -1;
}

#endif
