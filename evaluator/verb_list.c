/* The verbs that are no task. */
#include "evaluator/verb.h"

extern const struct verb verb_probe, verb_segment, verb_depth, verb_detect, verb_layers, verb_questions, verb_convert,
    verb_score, verb_build, verb_report, verb_export;

const struct verb *const verb_list[] = {
    &verb_probe,
    &verb_segment,
    &verb_depth,
    &verb_detect,
    &verb_layers,
    &verb_questions,
    &verb_convert,
    &verb_score,
    &verb_build,
    &verb_report,
    &verb_export,
    NULL,
};
