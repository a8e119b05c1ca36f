/* Result files: clip_benchmark's object { dataset, model, pretrained, task, metrics, language }. */
#ifndef EVALUATOR_RESULTS_H
#define EVALUATOR_RESULTS_H

#include "base/json.h"

/* What was measured, on what. */
struct results_head {
    const char *dataset; /* a path: its last part stands for it */
    const char *model, *pretrained, *task;
};

/* Rank 0: writes the object to `path` and prints the metrics, a line each (members that are objects or arrays are in
 * the file alone).  metrics: reference taken. */
int results_write(const char *path, const struct results_head *head, json_t *metrics, struct error *error);

#endif
