/* pe-evaluator probe --kind KIND: how much a small head finds in features that stay as they are. */
#include "evaluator/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

extern const struct verb verb_probe;

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

static void show_kind(const char *name, const char *summary)
{
    printf("  pe-evaluator probe --kind %-10s %s\n", name, summary);
}

static int show_kinds(const struct world *world)
{
    if (world->rank) return 0;
    printf("pe-evaluator probe - %s\n\n", verb_probe.summary);
    for (int i = 0; probe_tasks[i]; i++) show_kind(probe_tasks[i]->name, probe_tasks[i]->summary);
    for (int i = 0; probe_runs[i]; i++) show_kind(probe_runs[i]->name, probe_runs[i]->summary);
    printf("\npe-evaluator probe --kind KIND --help lists the options of a kind.\n");
    return 0;
}

static int refuse(const char *kind, struct error *error)
{
    struct str names = {0};
    for (int i = 0; probe_tasks[i]; i++) str_printf(&names, "%s%s", names.len ? "|" : "", probe_tasks[i]->name);
    for (int i = 0; probe_runs[i]; i++) str_printf(&names, "%s%s", names.len ? "|" : "", probe_runs[i]->name);
    error_set(error, ERROR_USAGE, "probe --kind %s: must be one of %s", kind ? kind : "(missing)", names.data);
    str_free(&names);
    return -1;
}

static int run(const struct world *world, int argc, char **argv, struct error *error)
{
    const char *kind = take_kind(&argc, argv);
    if (!kind && argc > 0 && !strcmp(argv[0], "--help")) return show_kinds(world);
    for (int i = 0; kind && probe_tasks[i]; i++)
        if (!strcmp(probe_tasks[i]->name, kind)) return task_run(probe_tasks[i], world, argc, argv, error);
    for (int i = 0; kind && probe_runs[i]; i++)
        if (!strcmp(probe_runs[i]->name, kind)) return probe_runs[i]->run(world, argc, argv, error);
    return refuse(kind, error);
}

const struct verb verb_probe = {"probe", "kNN, logistic regression, linear and attention heads on frozen features",
                                run};
