/* pe-trainer - teach an image tower and a text tower to agree.
 *
 * One process, one device.  Join the world, read the run, build or restore the towers, then repeat
 *     batch -> embeddings -> contrastive loss -> gradients -> update
 * until the schedule ends.  What is taught is in trainer.c and step.c; how a run lives, in run/training.h. */
#include "trainer/trainer.h"

int main(int argc, char **argv)
{
    struct world world = world_join(&argc, &argv);
    struct error error = {0};
    log_open(world.rank);
    training_run(&world, &trainer_program, &contrastive_objective, argc - 1, argv + 1, &error);
    return world_leave(&world, &error);
}
