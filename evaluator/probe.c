/* pe-evaluator probe --kind KIND: how much a small head finds in features that stay as they are.
 *
 * Kinds are verbs of their own, each with its options: probe_list. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "evaluator/probe.h"

/* The kinds' names, joined; the caller frees. */
static char *kind_names(const char *between)
{
    struct str out = {0};
    for (int i = 0; probe_list[i]; i++) str_printf(&out, "%s%s", i ? between : "", probe_list[i]->name);
    return str_steal(&out);
}

/* --kind KIND or --kind=KIND is taken out of argv; NULL when it is not there. */
static const char *take_kind(int *argc, char **argv)
{
    const char *kind = NULL;
    int kept = 0;
    for (int i = 0; i < *argc; i++) {
        if (!strcmp(argv[i], "--kind") && i + 1 < *argc)
            kind = argv[++i];
        else if (!strncmp(argv[i], "--kind=", strlen("--kind=")))
            kind = argv[i] + strlen("--kind=");
        else
            argv[kept++] = argv[i];
    }
    *argc = kept;
    return kind;
}

static int show_kinds(const struct world *world)
{
    if (world->rank) return 0;
    printf("pe-evaluator probe - %s\n\n", verb_probe.summary);
    for (int i = 0; probe_list[i]; i++)
        printf("  pe-evaluator probe --kind %-10s %s\n", probe_list[i]->name, probe_list[i]->summary);
    printf("\npe-evaluator probe --kind KIND --help lists the options of a kind.\n");
    return 0;
}

static int run(const struct world *world, int argc, char **argv, struct error *error)
{
    const char *kind = take_kind(&argc, argv);
    if (!kind && argc > 0 && !strcmp(argv[0], "--help")) return show_kinds(world);
    for (int i = 0; kind && probe_list[i]; i++)
        if (!strcmp(probe_list[i]->name, kind)) return probe_list[i]->run(world, argc, argv, error);
    char *names = kind_names("|");
    error_set(error, ERROR_USAGE, "probe --kind %s: must be one of %s", kind ? kind : "(missing)", names);
    free(names);
    return -1;
}

const struct verb verb_probe = {"probe", "kNN, logistic regression, linear and attention heads on frozen features",
                                run};
