/* Text generation by many sequences at once.
 *
 *   submitted -> waiting -> running (prompt rows, then one row a token) -> finished
 *
 * Every pass takes a row of each running sequence, and rows of prompts as far as there is room, through the decoder
 * together; a sequence that ends makes room for the next at once (continuous batching).  Keys and values lie in pages
 * of a common pool:
 *
 *   sequence 0  [ page 3 | page 7 | page 1 ]      a full page of prompt tokens is known by what it and all before it
 *                                                 hold:
 *   sequence 1  [ page 3 | page 9 ]               a prompt that begins alike shares it, and is not computed again
 *
 * What a prompt generates depends on the prompt, its sampling and its key alone: not on the other sequences, their
 * order, or the number of ranks.  A row's arithmetic does not depend on the rows beside it, and draws are a function of
 * (seed, key, position). */
#ifndef MODELS_GENERATE_H
#define MODELS_GENERATE_H

#include "models/llama.h"

struct generator_config {
    int64_t sequences;  /* running at once, at most */
    int64_t rows;       /* of a pass, at least `sequences` */
    int64_t context;    /* tokens of a sequence, prompt included */
    int64_t cache_rows; /* tokens the cache holds, of all sequences; 0: sequences x context */
};

struct sampling {
    double temperature; /* 0: the likeliest token, of equals the lowest id */
    double top_p;       /* draw from the likeliest tokens that together have this probability; 1: from all */
    uint64_t seed;
    int64_t most; /* tokens generated at most */
    const int32_t *stops;
    int stop_count; /* ids that end the text; they are not part of it */
};

struct prompt {
    const int32_t *ids; /* [count] -1: the next row of `inserted`; copied */
    int64_t count;
    const void *inserted; /* [rows of -1, width] real on the device, copied; NULL without such ids */
    uint64_t key;         /* which draws it uses; handed back with the result, as is */
    void *owner;          /* what the caller knows it by */
    int64_t most;         /* tokens generated at most; 0: the sampling's */
    /* Tokens to be weighed, instead of any being generated: how likely each is after the prompt and those of them
     * before it; with `each`, after the prompt alone. */
    const int32_t *given; /* [given_count] copied; NULL: none */
    int64_t given_count;
    bool each;
};

enum generated_end { GENERATED_STOP, GENERATED_MOST, GENERATED_CONTEXT };
struct generated {
    uint64_t key;
    void *owner;
    int32_t *ids; /* [count] the caller frees */
    int64_t count;
    enum generated_end end;
    double log_probability; /* of the ids, summed, at temperature 1 */
    double *given;          /* [given_count] the same of each given token, by itself; the caller frees; or NULL */
};

struct generator;
struct generator *generator_open(struct llama *llama, struct device *device, const struct generator_config *config,
                                 const struct sampling *sampling);
void generator_close(struct generator *g);

/* A prompt that leaves no room to generate in, or is more than the cache, is an error.  Of it ids and what is inserted
 * are not looked at. */
int generator_fits(const struct generator *g, const struct prompt *prompt, struct error *error);
int generator_submit(struct generator *g, const struct prompt *prompt, struct error *error);
/* One pass, if anything is to be done; false when all that was submitted is finished. */
bool generator_step(struct generator *g);
/* The oldest finished one; false when there is none. */
bool generator_take(struct generator *g, struct generated *out);
int64_t generator_pending(const struct generator *g); /* submitted, not finished */

struct generator_figures {
    int64_t passes, prompt_rows, reused_rows, generated_rows;
};
struct generator_figures generator_figures(const struct generator *g);

#endif
