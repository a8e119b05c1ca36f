/* A table of features: one feature of every sample, on every rank. */
#ifndef SERVE_TABLE_H
#define SERVE_TABLE_H

#include "serve/features.h"

struct feature_table {
    struct want want;
    float *rows;     /* [count, cols] */
    int32_t *labels; /* [count] -1: none, LABEL_MISSING: the sample could not be read, its row is zero */
    int64_t count, cols;
    bool skips; /* set before the pass: as of a taker */
};
void feature_table_open(struct feature_table *table, const struct encoder *encoder, int64_t count, struct want want);
void feature_table_close(struct feature_table *table);
struct taker feature_table_taker(struct feature_table *table); /* the table must stay where it is */

/* Fails when more than this share of the samples could not be read. */
int missing_check(int64_t missing, int64_t samples, double max_bad, struct error *error);

#endif
