/* What pe-evaluator can be asked for beside the tasks: one file each, and one line in verb_list.c. */
#ifndef EVALUATOR_VERB_H
#define EVALUATOR_VERB_H

#include "config/options.h"
#include "dist/world.h"

struct verb {
    const char *name, *summary; /* its line in --help */
    /* (all) argv: what follows the verb. */
    int (*run)(const struct world *world, int argc, char **argv, struct error *error);
};

extern const struct verb *const verb_list[]; /* ends with NULL */

#define PROGRAM "pe-evaluator"

#endif
