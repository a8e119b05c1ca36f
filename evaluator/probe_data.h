/* What probes on pooled features share: training and test data, the chosen layers of both kept from one pass, labels
 * that mean the same, and what is said beside a kind's own figures.
 *
 *   metrics: acc1 (best layer), acc1_last, best_layer, last_layer, layers [{layer, acc1, ...}], the best layer's other
 *   figures, then samples, classes, train_samples, chance, feature, pixels {acc1, ...}
 *
 * Features of all chosen layers stay in memory: 4 bytes for each column, layer and labelled sample, over all ranks.
 *
 * The best layer is the best on the test data.  Samples without a label are left out of both, counted and said.  What
 * results say of samples: classification.h; pixels: the same probe on 16 x 16 pixels (models/pixels.h), with
 * --baseline. */
#ifndef EVALUATOR_PROBE_DATA_H
#define EVALUATOR_PROBE_DATA_H

#include "evaluator/class_names.h"
#include "evaluator/layers.h"
#include "evaluator/session.h"
#include "nn/score.h"
#include "serve/store.h"

struct probe_settings {
    struct option_list train, test;
    char *layers, *feature;
    bool baseline;
};
extern const struct option probe_options[];

/* A kind: what it makes of the rows of one layer, which it may change. */
struct probe_kind {
    const char *task; /* as results name it */
    bool shares;      /* training rows come by logistic_share, else each rank has those it embedded */
    /* (all) figures: an empty object; classification_figures is the first to fill it. */
    int (*measure)(void *self, struct session *session, int64_t train_samples, int64_t classes,
                   struct labelled_rows train, struct labelled_rows test, json_t *figures, struct error *error);
    void *self;
};

struct probe_data {
    const struct probe_settings *settings;
    struct probe_kind kind;
    struct input *train_input, *test_input;
    struct layer_list layers;
    struct class_names names;
    struct feature_store train, test;
    int64_t classes;
};

/* (all) Close it whether or not it fails. */
int probe_open(struct probe_data *data, struct session *session, const struct probe_settings *settings,
               struct probe_kind kind, struct error *error);
void probe_close(struct probe_data *data);
/* (all) After the pass. */
int probe_report(struct probe_data *data, struct session *session, struct error *error);

#endif
