/* Labelled features of several layers, each sample's on one rank: that which embedded it, or that whose share of the
 * samples it is in.  Samples without a label are counted and left out. */
#ifndef SERVE_STORE_H
#define SERVE_STORE_H

#include "nn/labelled.h"
#include "serve/features.h"

struct feature_store {
    struct want *wants; /* [count] */
    int count;
    bool everywhere; /* it is given all samples, and keeps those of [first, end) */
    int64_t first, end;
    int64_t *held, room; /* [count] rows of each want so far; of all buffers */
    int64_t *samples;    /* [room] */
    int32_t *labels;     /* [room] */
    float **rows;        /* [count] of [room, cols] */
    int64_t *cols;       /* [count] */
    int64_t unlabelled;  /* samples of this rank */
};

void feature_store_open(struct feature_store *store, const struct encoder *encoder, const int64_t *layers,
                        int64_t count, enum feature feature);
void feature_store_close(struct feature_store *store);
/* Before the pass: samples [first, end) wherever they are embedded, rather than those that this rank embeds. */
void feature_store_share(struct feature_store *store, int64_t first, int64_t end);
struct taker feature_store_taker(struct feature_store *store); /* the store must stay where it is */

/* What there is of a want; and its memory given up. */
struct labelled_rows feature_store_rows(const struct feature_store *store, int want);
void feature_store_drop(struct feature_store *store, int want);

#endif
