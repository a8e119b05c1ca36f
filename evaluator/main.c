/* pe-evaluator - what a Perception Encoder can do, in numbers.
 *
 *   embed       features of pictures or texts, as .npy
 *   zeroshot    classification by class names
 *   retrieval   text -> image and image -> text
 *   export      weights for open_clip, timm or PE
 *
 * All ranks share the pictures; the figures are the same on any number of them. */
#include "evaluator/session.h"
#include "log/log.h"

static const struct option_program *const programs[] = {&embed_program, &zeroshot_program, &retrieval_program, &export_program, NULL};
static int (*const verbs[])(struct session *, struct error *) = {embed_run, zeroshot_run, retrieval_run, export_run};

int main(int argc, char **argv)
{
    struct world world = world_join(&argc, &argv);
    struct error error = {0};
    struct evaluator_config config = {0};
    struct session session;
    log_open(world.rank);

    int verb = options_verb(programs, "what a Perception Encoder can do, in numbers", argc, argv, world.rank > 0, &error);
    if (verb < 0) return world_leave(&world, &error);
    if (options_parse(programs[verb], &config, argc - 2, argv + 2, world.rank > 0, &error) == OPTIONS_OK) {
        if (session_open(&session, &world, &config, &error) == 0) verbs[verb](&session, &error);
        session_close(&session);
    }
    options_free(programs[verb], &config);
    return world_leave(&world, &error);
}
