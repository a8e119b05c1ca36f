/* pe-dataloader - turn raw pictures and captions into shards, and look after them.
 *
 *   pack      sources -> dataset.json + shard-*.lmdb, sharing the work over ranks, listing what it could not use
 *   info      what a data set holds
 *   verify    every record and shard against its checksum
 *   export    back to webdataset tars
 */
#include <stdio.h>
#include <string.h>

#include "dataloader/inspect.h"
#include "dataloader/pack.h"
#include "log/log.h"

static const struct {
    const struct option_program *program;
    int (*inspect)(const struct world *, const struct inspect_config *, struct error *);
} verbs[] = {{&pack_program, NULL}, {&info_program, info_run}, {&verify_program, verify_run}, {&export_program, export_run}};

static int usage(const struct world *world, const char *verb, struct error *error)
{
    if (verb && strcmp(verb, "--help") && strcmp(verb, "-h") && strcmp(verb, "--version"))
        return error_set(error, ERROR_USAGE, "unknown verb \"%s\" (pack, info, verify, export)", verb);
    if (verb && !strcmp(verb, "--version")) {
        if (!world->rank) printf("pe-dataloader %s\n", percept_version);
        return 0;
    }
    if (!world->rank) printf("pe-dataloader - LMDB shards of images and captions\n\n");
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs && !world->rank; i++)
        printf("  pe-dataloader %-8s %s\n", verbs[i].program->verb, verbs[i].program->summary);
    if (!world->rank) printf("\npe-dataloader VERB --help lists the options of a verb.\n");
    return verb ? 0 : error_set(error, ERROR_USAGE, "a verb is missing");
}

int main(int argc, char **argv)
{
    struct world world = world_join(&argc, &argv);
    struct error error = {0};
    struct pack_config pack = {0};
    struct inspect_config inspect = {0};
    log_open(world.rank);

    size_t n = 0, count = sizeof verbs / sizeof *verbs;
    while (argc > 1 && n < count && strcmp(argv[1], verbs[n].program->verb)) n++;
    if (argc < 2 || n == count) {
        usage(&world, argc > 1 ? argv[1] : NULL, &error);
        return world_leave(&world, &error);
    }
    const struct option_program *program = verbs[n].program;
    void *config = verbs[n].inspect ? (void *)&inspect : &pack;
    int rc = options_parse(program, config, argc - 2, argv + 2, world.rank > 0, &error);
    if (rc == OPTIONS_OK) {
        if (verbs[n].inspect) verbs[n].inspect(&world, &inspect, &error);
        else pack_run(&world, &pack, &error);
    }
    options_free(program, config);
    return world_leave(&world, &error);
}
