/* Work over a generator: items in, texts about them out, one row an item.  Written once for captions, summaries,
 * answers to questions.
 *
 *   queue of items -> decode threads -> ask: prompts -> generator -> finish: row -> OUT/NAME.jsonl
 *        (dist/queue.h)   (serve/feed.h)                                     (serve/rows.h)
 *
 * Each pass of the loop takes what is ready at every stage, then makes one pass of the decoder: decoding, seeing and
 * writing overlap.  An item that fails, that no context holds, or that so often was too slow or ended the program,
 * becomes a row with its error and goes to the quarantine.  Stopped by a signal or an error, a rank puts back what it
 * holds: that counts as no attempt.  Run again, on any number of ranks, it does what is left.
 *
 * To add a program over it: a struct of options with an lm_settings (serve/lm.h), a recipe, and two functions
 * (captioner/summarize.c is the smallest). */
#ifndef SERVE_JOB_H
#define SERVE_JOB_H

#include "base/json.h"
#include "serve/feed.h"
#include "serve/lm.h"

/* A text that was generated. */
struct job_text {
    char *text; /* white space at its ends cut off */
    int64_t tokens;
    double log_probability;
    bool cut;      /* it ran to its limit */
    double *given; /* [as many as were given] their log-probabilities, or NULL */
};

/* What a text is to be, where it is not simply generated: its length, or tokens to be weighed (models/generate.h). */
struct job_terms {
    int64_t most; /* tokens; 0: --max-new-tokens */
    const struct token_ids *given;
    bool each;
};

/* An item on its way. */
struct job_item {
    int64_t number;
    const struct fed *fed;  /* while asking: what it shows; NULL in a job without a feed */
    json_t *row;            /* an object; what ask and finish put into it is written */
    struct job_text *texts; /* when finishing: [count] in the order they were asked for */
    int count;
    /* the job's own */
    const struct lm *lm;
    struct job_prompt *prompts;
    int waiting; /* texts that are not there yet */
    struct job_item *previous, *next;
};

struct job {
    const char *name, *verb; /* of the rows: "captions"; of the progress: "captioned" */
    const char *output;      /* folder */
    int64_t items;           /* [0, items) */
    int64_t texts;           /* of an item at most.  Text i of item n is drawn as key n * texts + i */
    int64_t attempts;        /* at an item */
    const json_t *recipe;    /* (borrowed) what rows depend on beside the model: options_identity, inputs' checksums */
    const struct collection *data;  /* whose samples the items are; NULL: of none */
    const struct feed_config *feed; /* how items are decoded; NULL: there is nothing to see */
    /* Ask for the item's texts by job_ask, none or several.  -1: the item goes to the quarantine. */
    int (*ask)(void *context, struct job_item *item, struct error *error);
    /* All its texts are there. */
    void (*finish)(void *context, struct job_item *item);
    void *context;
    bool silent; /* nothing is said of the texts as a whole, and those that are alike are no fault */
};

/* (all) Do all items, merge the rows, print figures.  ERROR_STOPPED: a signal; run again to go on. */
int job_run(const struct job *job, struct lm *lm, struct error *error);

/* From ask: a text that goes on from these turns.  Their media rows are those of item->fed's pictures from number
 * `picture` on, lm_picture_rows each. */
void job_ask(struct job_item *item, const struct turn *turns, int64_t count, int64_t picture);
void job_ask_on(struct job_item *item, const struct turn *turns, int64_t count, int64_t picture,
                const struct job_terms *terms);

/* From finish: "text", "tokens", "log_probability", and "flags" when there are any (serve/flags.h). */
void job_describe(const struct job_text *text, json_t *entry);

#endif
