/* pe-evaluator export: weights in another naming; for open_clip a folder that it loads as local-dir:FOLDER. */
#ifndef EVALUATOR_EXPORT_H
#define EVALUATOR_EXPORT_H

#include "evaluator/session.h"

struct export_config {
    char *naming;
};
extern const struct option_program export_program; /* options of export_config, beside session_options */

/* (all) */
int export_run(const struct export_config *config, struct session *session, struct error *error);

#endif
