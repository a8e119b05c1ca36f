/* k nearest neighbours as command lines ask for them and results report them: of layers (probes/knn.c) and of files
 * (metrics/knn.c). */
#ifndef EVALUATOR_NEIGHBOURS_H
#define EVALUATOR_NEIGHBOURS_H

#include "base/json.h"
#include "nn/knn.h"

enum { NEIGHBOURS_LISTS = 64 }; /* numbers of neighbours at most */
#define NEIGHBOURS_K "10,20,100,200"
#define NEIGHBOURS_K_DOC "neighbours that vote; acc1 is that of 20, or of the first of the list where 20 is not in it"
#define NEIGHBOURS_TEMPERATURE "0.07"
#define NEIGHBOURS_TEMPERATURE_DOC "of the softmax that weighs them"

struct neighbours {
    const char *option, *list;                    /* --k and what was given */
    int64_t k[NEIGHBOURS_LISTS], count, headline; /* headline: which of them acc1 is of */
    double temperature;
};

/* option and list must outlive it. */
int neighbours_parse(struct neighbours *n, const char *option, const char *list, double temperature,
                     struct error *error);
/* As many as the longest list wants, of `samples`? */
int neighbours_check(const struct neighbours *n, int64_t samples, struct error *error);

/* (all) knn_score; figures: those of a classification,
 * k, and knn_K_acc1 of each K.  ranks [queries, n->count]: as knn_score's. */
int neighbours_score(const struct neighbours *n, struct device *device, const struct world *world,
                     const struct labelled_rows *items, const struct labelled_rows *queries, int64_t classes,
                     int64_t *ranks, json_t *figures, struct error *error);

#endif
