/* What launchers say in the environment. */
#include "dist/launch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In this order the innermost speaks: mpirun in a job of Slurm starts ranks through a step of srun, one task a host,
 * whose variables they keep.  SLURM_NTASKS says nothing: a batch script has it, and may start a program on its own. */
static const struct {
    const char *size, *rank, *name;
} launchers[] = {{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "mpirun"},
                 {"PMI_SIZE", "PMI_RANK", "a launcher that speaks PMI"},
                 {"SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "srun"}};

bool launch_torn(int size)
{
    for (size_t i = 0; size == 1 && i < sizeof launchers / sizeof *launchers; i++) {
        const char *said = getenv(launchers[i].size), *rank = getenv(launchers[i].rank);
        if (!said) continue;
        if (atoi(said) <= 1) return false;
        if (!rank || !strcmp(rank, "0"))
            fprintf(stderr,
                    "error: %s started %s processes that do not find each other: use srun --mpi=pmix, or the mpirun "
                    "of the Open MPI this was built with (on purpose: unset %s)\n",
                    launchers[i].name, said, launchers[i].size);
        return true;
    }
    return false;
}
