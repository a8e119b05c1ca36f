/* pe-aligner - bring what an encoder knows inside to where it ends.
 *
 *   spatial        the last layer learns from the encoder's own best layer and from a teacher of places
 *
 * An alignment is an objective of the run that all training programs share (run/training.h). */
#include "aligner/spatial.h"

int main(int argc, char **argv)
{
    struct world world = world_join(&argc, &argv);
    struct error error = {0};
    const struct option_program *programs[] = {&spatial_program, NULL};
    log_open(world.rank);

    int verb = options_verb(programs, "align a Perception Encoder: spatial", argc, argv, world.rank > 0, &error);
    if (verb == 0) training_run(&world, &spatial_program, &spatial_objective, argc - 2, argv + 2, &error);
    return world_leave(&world, &error);
}
