/* What results say of a classification: its figures, and how many samples there were to learn from and to be tested
 * on. */
#ifndef EVALUATOR_CLASSIFICATION_H
#define EVALUATOR_CLASSIFICATION_H

#include "base/json.h"
#include "config/options.h"
#include "nn/score.h"

/* acc1, acc5, mean_per_class_recall, and stderr of acc1 where two samples or more say what it is. */
void classification_figures(json_t *figures, const struct classification_scores *scores);

/* Samples of all ranks.  One rule for all that learns: a test sample of a class that training has no sample of (unseen)
 * counts as wrong. */
struct class_stock {
    int64_t train, test; /* with a label */
    int64_t classes;     /* that either has samples of */
    int64_t unseen;
    int64_t common;                       /* tests of training's most frequent class, of equal ones the lowest */
    int64_t train_unlabelled, unlabelled; /* left out; 0: the caller's to set */
};
/* train, test [classes]: how many have each class. */
struct class_stock class_stock_of(const int64_t *train, const int64_t *test, int64_t classes);
/* samples, classes, train_samples, what there is of unlabelled, train_unlabelled and unseen, and chance: the accuracy
 * of naming training's most frequent class. */
void class_stock_figures(json_t *figures, const struct class_stock *stock);
/* Neither is empty: the options' data sets are named. */
int class_stock_check(const struct class_stock *stock, const struct option_list *train_data,
                      const struct option_list *data, struct error *error);
/* Says what is left out, and what must be wrong. */
void class_stock_warn(const struct class_stock *stock);

#endif
