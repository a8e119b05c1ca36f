/* pe-evaluator - what a Perception Encoder can do, in numbers.
 *
 *   embed       features of pictures or texts, as .npy
 *   zeroshot    classification by class names
 *   retrieval   text -> image and image -> text
 *   export      weights for open_clip, timm or PE
 *
 * All ranks share the pictures; the figures are the same on any number of them. */
#include <stdio.h>
#include <string.h>

#include "evaluator/session.h"
#include "log/log.h"

static const struct {
    const struct option_program *program;
    int (*run)(struct session *, struct error *);
} verbs[] = {{&embed_program, embed_run}, {&zeroshot_program, zeroshot_run}, {&retrieval_program, retrieval_run}, {&export_program, export_run}};

static int usage(const struct world *world, const char *verb, struct error *error)
{
    bool asked = verb && (!strcmp(verb, "--help") || !strcmp(verb, "-h")), version = verb && !strcmp(verb, "--version");
    if (verb && !asked && !version) return error_set(error, ERROR_USAGE, "unknown verb \"%s\" (embed, zeroshot, retrieval, export)", verb);
    if (!world->rank && version) printf("pe-evaluator %s\n", percept_version);
    if (world->rank || version) return 0;
    printf("pe-evaluator - what a Perception Encoder can do, in numbers\n\n");
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) printf("  pe-evaluator %-10s %s\n", verbs[i].program->verb, verbs[i].program->summary);
    printf("\npe-evaluator VERB --help lists the options of a verb.\n");
    return verb ? 0 : error_set(error, ERROR_USAGE, "a verb is missing");
}

int main(int argc, char **argv)
{
    struct world world = world_join(&argc, &argv);
    struct error error = {0};
    struct evaluator_config config = {0};
    struct session session;
    log_open(world.rank);

    size_t n = 0, count = sizeof verbs / sizeof *verbs;
    while (argc > 1 && n < count && strcmp(argv[1], verbs[n].program->verb)) n++;
    if (argc < 2 || n == count) {
        usage(&world, argc > 1 ? argv[1] : NULL, &error);
        return world_leave(&world, &error);
    }
    if (options_parse(verbs[n].program, &config, argc - 2, argv + 2, world.rank > 0, &error) == OPTIONS_OK) {
        if (session_open(&session, &world, &config, &error) == 0) verbs[n].run(&session, &error);
        session_close(&session);
    }
    options_free(verbs[n].program, &config);
    return world_leave(&world, &error);
}
