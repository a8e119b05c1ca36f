/* pe-evaluator - what a Perception Encoder can do, in numbers.
 *
 *   embed       features of pictures or texts, as .npy
 *   zeroshot    classification by class names
 *   retrieval   text -> image and image -> text
 *   export      weights for open_clip, timm or PE
 *
 * A verb is a task (task.h), or export.  All ranks share the pictures; the figures are the same on any number of them.
 */
#include <stdlib.h>

#include "evaluator/export.h"
#include "evaluator/task.h"
#include "log/log.h"

enum { VERBS_MAX = 64 };
static const char program[] = "pe-evaluator", summary[] = "what a Perception Encoder can do, in numbers";

/* The task that argv asks for, NULL: export.  -1 when there is nothing to do. */
static int choose(int argc, char **argv, bool quiet, const struct task **task, struct error *error)
{
    struct option_program verbs[VERBS_MAX];
    const struct option_program *list[VERBS_MAX + 1] = {0};
    int count = 0;
    for (; task_list[count]; count++)
        verbs[count] = (struct option_program){program, task_list[count]->name, task_list[count]->summary, NULL};
    verbs[count] = export_program;
    for (int i = 0; i <= count; i++) list[i] = &verbs[i];
    int verb = options_verb(list, summary, argc, argv, quiet, error);
    if (verb >= 0) *task = task_list[verb];
    return verb < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
    struct world world = world_join(&argc, &argv);
    struct error error = {0};
    struct session session;
    const struct task *task;
    log_open(world.rank);

    if (choose(argc, argv, world.rank > 0, &task, &error) < 0) return world_leave(&world, &error);
    struct option options[] = {{OPTION_TABLE, .table = session_options},
                               {OPTION_TABLE, .offset = sizeof(struct session_settings),
                                .table = task ? task->options : export_program.options},
                               {0}};
    struct option_program verb = {program, task ? task->name : export_program.verb,
                                  task ? task->summary : export_program.summary, options};
    struct session_settings *config =
        mem_zalloc(1, sizeof *config + (task ? task->bytes : sizeof(struct export_settings)));
    void *self = config + 1; /* what the verb's own options fill */
    if (options_parse(&verb, config, argc - 2, argv + 2, world.rank > 0, &error) == OPTIONS_OK) {
        if (session_open(&session, &world, config, task ? task->use(self) : USE_WEIGHTS, &error) == 0) {
            if (task)
                tasks_run(&task, &self, 1, &session, &error);
            else
                export_run(self, &session, &error);
        }
        session_close(&session);
    }
    options_free(&verb, config);
    free(config);
    return world_leave(&world, &error);
}
