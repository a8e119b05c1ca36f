/* The metrics of pe-evaluator score. */
#include "evaluator/metrics/metric.h"

extern const struct metric metric_coco_box, metric_coco_mask, metric_lvis_box, metric_lvis_mask;
extern const struct metric metric_exact, metric_contains, metric_anls, metric_relaxed, metric_vqa, metric_choice,
    metric_pope, metric_cider, metric_grounding, metric_davis, metric_miou, metric_depth, metric_classification,
    metric_knn, metric_retrieval;

/* clang-format off */
const struct metric *const metric_list[] = {
    &metric_coco_box,
    &metric_coco_mask,
    &metric_lvis_box,
    &metric_lvis_mask,
    &metric_exact,
    &metric_contains,
    &metric_anls,
    &metric_relaxed,
    &metric_vqa,
    &metric_choice,
    &metric_pope,
    &metric_cider,
    &metric_grounding,
    &metric_davis,
    &metric_miou,
    &metric_depth,
    &metric_classification,
    &metric_knn,
    &metric_retrieval,
    NULL,
};
/* clang-format on */
