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
#include "captioner/captioner.h"
#include "captioner/train.h"
#include "log/log.h"

static const struct option_program *const programs[] = {&train_program, &caption_program, &refine_export_program, &refine_import_program, &summarize_program, &caption_pack_program, NULL};
static int (*const verbs[])(const struct world *, const struct captioner_config *, struct error *) = {NULL, caption_run, refine_export_run, refine_import_run, summarize_run, caption_pack_run};

int main(int argc, char **argv)
{
    struct world world = world_join(&argc, &argv);
    struct error error = {0};
    struct captioner_config config = {0};
    log_open(world.rank);

    int verb = options_verb(programs, "words for videos: train a Perception LM, caption, refine, summarize, pack", argc, argv, world.rank > 0, &error);
    if (verb < 0) return world_leave(&world, &error);
    if (programs[verb] == &train_program) training_run(&world, &train_program, &caption_objective, argc - 2, argv + 2, &error);
    else if (options_parse(programs[verb], &config, argc - 2, argv + 2, world.rank > 0, &error) == OPTIONS_OK) {
        verbs[verb](&world, &config, &error);
        options_free(programs[verb], &config);
    }
    return world_leave(&world, &error);
}
