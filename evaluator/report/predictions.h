/* What tasks keep of each sample, beside their result: RESULT.predictions.jsonl.
 *
 *   {"task": as the result, "data": [folders], "classes": [names] of zero-shot}
 *   {"sample": number in the data, "label": class, "place": of its class among all, from 0, "top": [classes, best
 *    first], "scores": [theirs]}                                                                      of zero-shot, or
 *   {"text": a caption, "sample": whose it is, "place": of that among all, "top": [samples], "scores": [theirs]} */
#ifndef EVALUATOR_REPORT_PREDICTIONS_H
#define EVALUATOR_REPORT_PREDICTIONS_H

#include "config/options.h"
#include "nn/score.h"

/* Rank 0 of a task writes them; result: its path; head, rows: references taken. */
int predictions_write(const char *result, json_t *head, json_t *rows, struct error *error);
/* The first row; the caller adds "classes". */
json_t *predictions_head(const char *task, const struct option_list *data);
/* Row i of what score_nearest found; items [..]: the number of each item in the data, NULL: its own. */
json_t *predictions_row(const struct nearest *nearest, int64_t i, const int64_t *items);

#endif
