/* Curves over an encoder's layers: what `pe-evaluator layers` measures, as JSON, CSV and a picture. */
#ifndef EVALUATOR_CURVES_H
#define EVALUATOR_CURVES_H

#include "base/json.h"
#include "base/str.h"

/* A task's headline figure at each layer of one encoder. */
struct curve {
    char *task, *key, *dataset, *encoder; /* encoder: its name in the legend */
    int64_t count, *layers;               /* [count] ascending */
    double *values, *errors;              /* [count]; errors: one standard error, NaN: not known */
    int64_t best, last;                   /* numbers in `layers` */
    double chance;                        /* what knowing nothing reaches, NaN: not known; */
    char *chance_name;                    /* "chance", or how it was reached */
    int64_t samples;
};

struct curves {
    struct curve *list; /* those of a task stand together, encoders in the order in which they were named */
    int64_t count;
};

/* result: the object of a result file whose metrics layers_metrics made, whose first member thus is the headline.
 * Returns -1 with `error` when it is none. */
int curves_add(struct curves *curves, const json_t *result, const char *encoder, struct error *error);
/* Those that curves_json has made. */
int curves_read(struct curves *curves, const json_t *json, struct error *error);
void curves_free(struct curves *curves);

/* { "curves": [{ "task", "key", "dataset", "encoder", "layers", "values", "stderr", "best", "best_layer", "last",
 * "last_layer", "chance", "samples" }] }, a new reference. */
json_t *curves_json(const struct curves *curves);
/* A line a curve on the terminal: best, its layer, last. */
void curves_print(const struct curves *curves);
/* A row a point: task,encoder,layer,key,value,stderr. */
void curves_csv(const struct curves *curves, struct str *out);
/* An SVG with a panel for each task: the figure over layers, a line an encoder, its best layer named. */
void curves_svg(const struct curves *curves, const char *title, struct str *out);
/* Curves [count] of one task as a picture of its own under this title, styled by the page around it (report/style.css).
 */
void curves_panel(const struct curve *curves, int64_t count, const char *title, struct str *out);
/* How many curves, from number `first` on, are of its task and figure. */
int64_t curves_of_task(const struct curves *curves, int64_t first);

#endif
