/* Features are computed once: one pass of an encoder over pictures feeds any number of takers, each with the layers it
 * asked for.
 *
 *   samples dealt out to ranks -> batches -> encoder, layer by layer -> (layer, feature) rows on the host -> takers
 *
 * A taker gets one sample at a time, those of each (layer, feature) in ascending order, and cannot see batches.  With
 * `everywhere` it gets every sample on every rank; without, those this rank embedded: what it makes of each must then
 * depend on the sample alone, and what it makes of all be kept by sample number or summed as integers.  So figures
 * depend neither on ranks nor on the batch size.
 *
 * A source with groups (serve/deal.h) gives all samples of a group to one rank: what is made of a sample may then
 * depend on those of its group that came before.  `everywhere` the order ascends within groups only.
 *
 * Nothing keeps dense features: FEATURE_TOKENS of a layer reach the host while the next layers are computed, at most
 * two layers of one batch at a time.
 *
 * A feature that is not finite, or a row of zeros where one row stands for the sample, is an error that names the
 * sample or file: no figure is made of it (NaN is never larger, and would rank first). */
#ifndef SERVE_FEATURES_H
#define SERVE_FEATURES_H

#include "dist/world.h"
#include "models/encoder.h"
#include "models/text.h"
#include "serve/pictures.h"

/* What computes features, of pictures and of texts. */
struct embedder {
    const struct world *world;
    struct device *device;
    struct tape *tape;
    struct encoder encoder;
    struct text *text;                 /* NULL: no texts */
    const struct tokenizer *tokenizer; /* likewise */
    int64_t batch;                     /* samples, of encoder.size (serve/deal.h), or texts at a time */
    struct media_options media;
    int threads;          /* decode threads */
    bool stops;           /* a signal ends the work at the next batch, with ERROR_STOPPED; else it is finished first */
    const char *progress; /* "embedded", or NULL: silent */
};

struct want {
    int64_t layer; /* 0 .. encoder.layers */
    enum feature feature;
};

/* A sample's rows of what was wanted. */
struct feature_rows {
    int64_t sample;
    int32_t label;      /* -1: it has none */
    struct extent size; /* of its pictures */
    int64_t rows, cols; /* rows: 1, or of FEATURE_TOKENS encoder_rows() of each of its pictures; 0: the sample could not
                           be read (taker.skips) */
    const float *data;  /* until take returns; NULL without rows */
};

struct taker {
    const struct want *wants;
    int count;
    bool everywhere; /* not with FEATURE_TOKENS */
    bool skips;      /* it goes on without samples that cannot be read; where one of the takers does not, they end the
                        pass */
    /* want: its number in `wants`.  Returns -1 with `error` to end the pass, on all ranks. */
    int (*take)(void *self, int want, const struct feature_rows *rows, struct error *error);
    void *self;
};

#define STOPPED "no result was written, run it again" /* what a signal leaves of it */

/* (all) One pass over the source; every want must be a feature its layer has (encoder.columns). */
int features_pass(const struct embedder *e, const struct picture_source *source, const struct taker *takers, int count,
                  struct error *error);

#endif
