/* Layers as the command line names them, and what a task says of each: the figure that the paper draws. */
#ifndef EVALUATOR_LAYERS_H
#define EVALUATOR_LAYERS_H

#include <stdint.h>

#include "base/json.h"

/* Ascending, each once; 1 is the output of the first block, 0 what enters it. */
struct layer_list {
    int64_t count, *layers;
};
/* text: "all" (1 .. last), "last", or "1,5,12".  Close it whether or not it fails. */
int layers_choose(struct layer_list *list, const char *text, int64_t last, struct error *error);
void layers_close(struct layer_list *list);

/* Metrics of a task that was measured at several layers; `each` [count] (references taken) are the figures of each, a
 * real called `key` among them:
 *
 *   { key: of the best layer, key_last: of the last of them, "best_layer", "last_layer", "layers": [{"layer", ...}] }
 *
 * The larger is the better; of equal ones the lower layer is the best. */
json_t *layers_metrics(const struct layer_list *list, const char *key, json_t *const *each);

#endif
