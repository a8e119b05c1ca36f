/* pe-dataloader info, verify and export: looking at a data set. */
#ifndef DATALOADER_INSPECT_H
#define DATALOADER_INSPECT_H

#include "config/options.h"
#include "dist/world.h"

struct inspect_settings {
    char *data, *output;
    int64_t sample;
};

extern const struct option_program info_program, verify_program, export_program;

int info_run(const struct world *world, const struct inspect_settings *config, struct error *error);
int verify_run(const struct world *world, const struct inspect_settings *config, struct error *error);
int export_run(const struct world *world, const struct inspect_settings *config, struct error *error);

#endif
