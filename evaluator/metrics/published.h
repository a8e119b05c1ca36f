/* The rows of a file as data sets and evaluators publish them: lines of JSON, an array, an object that holds one. */
#ifndef EVALUATOR_METRICS_PUBLISHED_H
#define EVALUATOR_METRICS_PUBLISHED_H

#include "base/json.h"

/* Call visit with each row (an object, borrowed) and the name of the member that holds the rows:
 *
 *   "data", "annotations"   an array
 *   "questions"             an array, or an object whose members are the rows (AI2D); their keys are their "question"
 *   "mc_question"           an array; or {video: {mc_question: [...]}} or {video: [...]}, rows then get the id VIDEO/ID
 *   NULL                    rows alone, or {id: text}, whose rows become {id, answer}
 *
 * Errors, also those of visit, name the file and the row. */
int published_each(const char *path, int (*visit)(void *context, const char *list, json_t *row, struct error *error),
                   void *context, struct error *error);

/* An integer or a text as text, the caller's to free; NULL: it is neither. */
char *published_text(const json_t *value);
/* A list, a new reference: an array as it is, or what a Python literal of texts ("['a', \"b\"]", as MMMU writes its
 * options) stands for; where it is none, the value. */
json_t *published_list(json_t *value);

#endif
