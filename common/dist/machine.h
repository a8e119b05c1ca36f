/* What a rank computes on: a device and its share of the cores, as options of a program say it. */
#ifndef DIST_MACHINE_H
#define DIST_MACHINE_H

#include "backend/device.h"
#include "config/options.h"
#include "dist/world.h"

struct machine_settings {
    char *device, *precision, *cpu_level;
    int64_t threads;
};
extern const struct option machine_options[];

/* Threads of this rank: as many as an option says, with 0 its share of the machine's cores (dist/cores.h). */
int machine_threads(const struct world *world, int64_t threads);
/* Rank 0 warns when mpirun, as it does by default, has bound the ranks to a small part of the machine. */
void machine_advise(const struct world *world, int64_t threads);

/* The device of the options; advises, and sets the threads of OpenMP regions that name none. */
int machine_open(struct device *device, const struct world *world, const struct machine_settings *config,
                 struct error *error);
/* The CPU in fp32, for figures over host arrays beside a GPU. */
int machine_open_host(struct device *device, const struct world *world, const struct machine_settings *config,
                      struct error *error);

#endif
