/* pe-evaluator export: weights in another naming; for open_clip a folder that it loads as local-dir:FOLDER. */
#ifndef EVALUATOR_EXPORT_H
#define EVALUATOR_EXPORT_H

#include "evaluator/session.h"

struct export_settings {
    char *naming;
};
extern const struct option_program export_program; /* options of export_settings, beside session_options */

/* (all) */
int export_run(const struct export_settings *config, struct session *session, struct error *error);

#endif
