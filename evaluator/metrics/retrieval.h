/* Recalls as both the task and the metric retrieval report them. */
#ifndef EVALUATOR_METRICS_RETRIEVAL_H
#define EVALUATOR_METRICS_RETRIEVAL_H

#include "base/json.h"
#include "nn/score.h"

/* Adds image_retrieval_recall@K, text_retrieval_recall@K, the median ranks, and the counts to figures. */
void retrieval_metrics(json_t *figures, const struct retrieval_scores *scores, int64_t images, int64_t texts);

#endif
