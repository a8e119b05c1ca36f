/* Keys that all classifications share, and their warnings. */
#include "evaluator/classification.h"

#include "log/log.h"

void classification_figures(json_t *figures, const struct classification_scores *m)
{
    json_object_set_new(figures, "acc1", json_real(m->acc1));
    json_object_set_new(figures, "acc5", json_real(m->acc5));
    json_object_set_new(figures, "mean_per_class_recall", json_real(m->mean_per_class_recall));
    if (m->samples > 1) json_object_set_new(figures, "stderr", json_real(m->deviation));
}

struct class_stock class_stock_of(const int64_t *train, const int64_t *test, int64_t classes)
{
    struct class_stock out = {0};
    int64_t most = 0;
    for (int64_t c = 0; c < classes; c++) {
        out.train += train[c];
        out.test += test[c];
        out.classes += train[c] || test[c];
        if (!train[c]) out.unseen += test[c];
        if (train[c] > train[most]) most = c;
    }
    out.common = classes ? test[most] : 0;
    return out;
}

void class_stock_figures(json_t *figures, const struct class_stock *s)
{
    json_object_set_new(figures, "samples", json_integer(s->test));
    json_object_set_new(figures, "classes", json_integer(s->classes));
    json_object_set_new(figures, "train_samples", json_integer(s->train));
    if (s->unlabelled) json_object_set_new(figures, "unlabelled", json_integer(s->unlabelled));
    if (s->train_unlabelled) json_object_set_new(figures, "train_unlabelled", json_integer(s->train_unlabelled));
    if (s->unseen) json_object_set_new(figures, "unseen", json_integer(s->unseen));
    json_object_set_new(figures, "chance", json_real((double)s->common / (double)s->test));
}

int class_stock_check(const struct class_stock *s, const struct option_list *train_data, const struct option_list *data,
                      struct error *error)
{
    if (!s->train) return error_set(error, ERROR_FAILED, "--train-data %s: no sample has a label", *train_data->items);
    if (!s->test) return error_set(error, ERROR_FAILED, "--data %s: no sample has a label", *data->items);
    return 0;
}

void class_stock_warn(const struct class_stock *s)
{
    if (s->train_unlabelled)
        log_warn("%ld training samples have no label: they are left out", (long)s->train_unlabelled);
    if (s->unlabelled) log_warn("%ld test samples have no label: they are left out", (long)s->unlabelled);
    if (s->unseen)
        log_warn("%ld test samples are of classes that training has no sample of: they count as wrong",
                 (long)s->unseen);
}
