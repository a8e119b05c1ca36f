/* The sets of questions that are known: how each is asked, how long a reply may be, and how it is scored.  One row each
 * in question_tasks.c; the prompts are lmms-eval 0.7.3's, those it gives a Perception LM or those of all models. */
#ifndef EVALUATOR_QUESTION_TASKS_H
#define EVALUATOR_QUESTION_TASKS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum question_shape {
    SHAPE_PLAIN,    /* QUESTION ending */
    SHAPE_CAPITAL,  /* the same, its first letter in capitals and all others small (Python's capitalize) */
    SHAPE_STRIPPED, /* the same without spaces around it */
    SHAPE_LETTERS,  /* QUESTION, lines "A. choice", ending; without choices: QUESTION open */
    SHAPE_BRACKETS, /* "Question:" QUESTION, "Option:", lines "(A) choice", ending */
    SHAPE_CAPTION,  /* ending alone */
};
enum question_wording { WORDING_PLM, WORDING_COMMON };

struct question_task {
    const char *name;
    enum question_shape shape;
    int choices;                  /* its questions have choices, as many as its metric reads letters; 0: none */
    const char *ending[2];        /* by wording */
    const char *open;             /* of a question without choices, where there may be such; else NULL */
    int64_t most;                 /* tokens of a reply, unless --max-new-tokens says otherwise */
    const char *metric, *options; /* evaluator/scoring.h */
};

extern const struct question_task question_tasks[]; /* ends with a NULL name */

/* NULL: there is none of this name. */
const struct question_task *question_task_of(const char *name);
/* All names, between commas. */
void question_task_names(struct str *out);

/* What a row's choices are: its "options" or "choices", NULL where it has none. */
const json_t *question_choices(const json_t *row);
/* The prompt of a row, appended. */
void question_prompt(const struct question_task *task, enum question_wording wording, const json_t *row,
                     struct str *out);

#endif
