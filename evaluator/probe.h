/* Probes: heads on frozen features, of all chosen layers in one pass. */
#ifndef EVALUATOR_PROBE_H
#define EVALUATOR_PROBE_H

#include "evaluator/verb.h"

extern const struct verb verb_probe;
extern const struct verb *const probe_list[]; /* the kinds; ends with NULL */

#endif
