/* pe-captioner - words for videos.
 *
 *   train          teach a Perception LM: its projector, then all of it, then with what people corrected
 *   caption        what it says of each video, of frames, of pictures
 *   refine-export  captions for people to correct
 *   refine-import  and back
 *   summarize      metadata and captions into one short caption, by a language model
 *   pack           video-text shards for pe-trainer
 *
 * caption and summarize share their items over all ranks and can be killed at any time: run again, they go on. */
#include <stdlib.h>

#include "base/memory.h"
#include "captioner/captioner.h"
#include "captioner/train.h"
#include "log/log.h"

static const struct verb *const verbs[] = {&caption_verb, &refine_export_verb, &refine_import_verb, &summarize_verb,
                                           &caption_pack_verb};
enum { VERBS = sizeof verbs / sizeof *verbs };

static void run(const struct verb *verb, const struct world *world, int argc, char **argv, struct error *error)
{
    void *config = mem_zalloc(verb->bytes, 1);
    if (options_parse(verb->program, config, argc, argv, world->rank > 0, error) == OPTIONS_OK)
        verb->run(world, config, error);
    options_free(verb->program, config);
    free(config);
}

int main(int argc, char **argv)
{
    struct world world = world_join(&argc, &argv);
    struct error error = {0};
    const struct option_program *programs[1 + VERBS + 1] = {&train_program};
    log_open(world.rank);

    for (int i = 0; i < VERBS; i++) programs[1 + i] = verbs[i]->program;
    int verb = options_verb(programs, "words for videos: train a Perception LM, caption, refine, summarize, pack", argc,
                            argv, world.rank > 0, &error);
    if (verb == 0)
        training_run(&world, &train_program, &caption_objective, argc - 2, argv + 2, &error);
    else if (verb > 0)
        run(verbs[verb - 1], &world, argc - 2, argv + 2, &error);
    return world_leave(&world, &error);
}
