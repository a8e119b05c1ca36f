/* What a model replied to questions: one file a task, and the figures of it.
 *
 *   {"id", "task", "type", "group", "question", "prompt", "choices", "answers", "reply", "text", "score", ...}
 *
 * in the order of the questions; reply is what is scored, text what was generated.  A question without a reply has
 * "error", the reason.  The file is truth and predictions for `pe-evaluator score`, and that is what scores it here:
 * scored again it gives the same figures, without a model. */
#ifndef EVALUATOR_REPLIES_H
#define EVALUATOR_REPLIES_H

#include "evaluator/question_rows.h"

struct replies {
    const struct question_rows *rows;
    enum question_wording wording;
    json_t *const *said; /* [rows->count] rows of the job (evaluator/questions.c): "reply" or "error" */
};

/* results.json -> results.WHAT.jsonl, where replies lie ("replies"), and what is rehearsed ("questions"); the caller
 * frees. */
char *replies_path(const char *output, const char *what);
/* Before anything is asked: can one task's questions be scored, were there replies, and `output` be written?  Scores
 * them without replies, from results.questions.jsonl, which stays where its answers are wrong. */
int replies_rehearse(const struct question_rows *rows, const struct question_task *task, const char *output,
                     struct error *error);
/* Write the replies to one task's questions behind `output` and score them.  The figures, a new reference; NULL with
 * `error`, also where no question has a reply. */
json_t *replies_score(const struct replies *replies, const struct question_task *task, const char *output,
                      struct error *error);

#endif
