/* pe-dataloader - turn raw pictures and captions into shards, and look after them.
 *
 *   pack      sources -> dataset.json + shard-*.lmdb, sharing the work over ranks, listing what it could not use
 *   info      what a data set holds
 *   verify    every record and shard against its checksum
 *   export    back to webdataset tars
 */
#include "dataloader/inspect.h"
#include "dataloader/pack.h"
#include "log/log.h"

static const struct option_program *const programs[] = {&pack_program, &info_program, &verify_program, &export_program,
                                                        NULL};
static int (*const inspections[])(const struct world *, const struct inspect_settings *,
                                  struct error *) = {NULL, info_run, verify_run, export_run};

int main(int argc, char **argv)
{
    struct world world = world_join(&argc, &argv);
    struct error error = {0};
    struct pack_settings pack = {0};
    struct inspect_settings inspect = {0};
    log_open(world.rank);

    int verb = options_verb(programs, "LMDB shards of images and captions", argc, argv, world.rank > 0, &error);
    if (verb < 0) return world_leave(&world, &error);
    void *config = verb == 0 ? (void *)&pack : &inspect;
    if (options_parse(programs[verb], config, argc - 2, argv + 2, world.rank > 0, &error) == OPTIONS_OK) {
        if (verb == 0)
            pack_run(&world, &pack, &error);
        else
            inspections[verb](&world, &inspect, &error);
    }
    options_free(programs[verb], config);
    return world_leave(&world, &error);
}
