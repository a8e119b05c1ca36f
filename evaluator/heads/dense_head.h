/* What heads over pixels have in common: features made standard by the batch get a scale and a shift of their own. */
#ifndef EVALUATOR_HEADS_DENSE_HEAD_H
#define EVALUATOR_HEADS_DENSE_HEAD_H

#include "evaluator/heads/dense.h"

/* Registers the head's scale and shift where --norm batch wants them, its first parameters. */
void dense_head_add(struct heads *h, struct head *head, const char *prefix);
/* The first of the head's other parameters. */
int dense_head_first(const struct heads *h);
/* x, scaled and shifted; in an open segment. */
struct tensor *dense_head_input(const struct heads *h, struct tape *t, const struct head *head, struct tensor *x);
/* Draws what dense_head_add registered; false: it is none of that. */
bool dense_head_draw(struct parameter *parameter);

/* What these heads say otherwise than heads_base_options. */
/* clang-format off */
#define DENSE_ROWS \
    {OPTION_STRINGS, "train-data", TRAINING_SELF + offsetof(struct heads_settings, train.train_data), "!", 0, 0, NULL, \
     "folders (or, of depth, lists) of pictures and truth to learn from"}, \
    {OPTION_STRINGS, "data", TRAINING_SELF + offsetof(struct heads_settings, data), "!", 0, 0, NULL, \
     "those to be examined on; of a folder with both sides each takes its own"}, \
    {OPTION_CHOICE, "norm", TRAINING_SELF + offsetof(struct heads_settings, norm), "data", 0, 0, "data|batch|none", \
     "features made standard column by column: by mean and deviation measured once on training data; by those of " \
     "each global batch, with a scale and a shift that are learned (batch norm); or as they are", OPTION_IDENTITY}, \
    {OPTION_WITHOUT, "verify-shards"}, \
    {OPTION_TABLE, .table = media_pictures_options}
/* clang-format on */

#endif
