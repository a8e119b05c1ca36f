/* The subject of heads that classify: labelled pictures.
 *
 * Samples without a label are left out and counted.  Where there are learning rates to choose from, a part of the
 * labelled training samples, drawn by the seed, is held out: the rate of a layer is the one whose head names most of
 * them (of equal ones the first), and only then are the heads examined on --data. */
#ifndef EVALUATOR_HEADS_CLASSES_H
#define EVALUATOR_HEADS_CLASSES_H

#include "evaluator/heads.h"

extern const struct subject subject_classes;
extern const struct head_kind head_linear, head_attention;

#endif
