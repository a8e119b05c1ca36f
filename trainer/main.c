/* pe-trainer - teach an image tower and a text tower to agree.
 *
 * One process, one device.  Join the world, read the run, build or restore the towers, then repeat
 *     batch -> embeddings -> contrastive loss -> gradients -> update
 * until the schedule ends.  Every step is a pure function of (run seed, step), so a run that was stopped or killed resumes bit-equal, on any
 * number of ranks. */
#include "trainer/step.h"

int main(int argc, char **argv)
{
    struct world world = world_join(&argc, &argv);
    struct error error = {0};
    struct run run;

    int rc = run_open(&run, &world, argc, argv, &error);
    while (rc == 0 && !run_finished(&run)) {
        rc = step_train(&run, &error);
        if (rc == 0) rc = run_after_step(&run, &error);
    }
    run_close(&run);
    return world_leave(&world, &error);
}
