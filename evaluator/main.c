/* pe-evaluator - what a Perception Encoder can do, in numbers.
 *
 *   embed       features of pictures or texts, as .npy
 *   zeroshot    classification by class names
 *   retrieval   text -> image and image -> text
 *   track       objects followed through videos
 *   pca         features as maps of colours
 *   probe       what small heads find in features that stay as they are
 *   segment     classes of pixels, by heads on a frozen encoder
 *   depth       metres of pixels, likewise
 *   detect      boxes, likewise
 *   layers      tasks at every layer, as curves
 *   questions   questions and captions through a Perception LM
 *   convert     published questions as `questions` asks them
 *   score       figures from files of truth and predictions
 *   build       many results in one table
 *   report      runs and results as one page to look at
 *   export      weights for open_clip, timm or PE
 *
 * What needs an encoder is a task (task.h), the rest a verb (verb.h).  All ranks share the work; the figures are the
 * same on any number of them. */
#include "evaluator/task.h"
#include "evaluator/verb.h"
#include "log/log.h"

enum { VERBS_MAX = 64 };

/* What argv asks for: a task or a verb, the other NULL.  -1 when there is nothing to do. */
static int choose(int argc, char **argv, bool quiet, const struct task **task, const struct verb **verb,
                  struct error *error)
{
    struct option_program programs[VERBS_MAX];
    const struct option_program *list[VERBS_MAX + 1] = {0};
    int tasks = 0, count = 0;
    for (; task_list[tasks]; tasks++)
        programs[count++] = (struct option_program){PROGRAM, task_list[tasks]->name, task_list[tasks]->summary, NULL};
    for (int i = 0; verb_list[i]; i++)
        programs[count++] = (struct option_program){PROGRAM, verb_list[i]->name, verb_list[i]->summary, NULL};
    for (int i = 0; i < count; i++) list[i] = &programs[i];
    int chosen = options_verb(list, "what a Perception Encoder can do, in numbers", argc, argv, quiet, error);
    if (chosen < 0) return -1;
    *task = chosen < tasks ? task_list[chosen] : NULL;
    *verb = chosen < tasks ? NULL : verb_list[chosen - tasks];
    return 0;
}

int main(int argc, char **argv)
{
    struct world world = world_join(&argc, &argv);
    struct error error = {0};
    const struct task *task;
    const struct verb *verb;
    log_open(world.rank);

    if (choose(argc, argv, world.rank > 0, &task, &verb, &error) == 0) {
        if (task)
            task_run(task, &world, argc - 2, argv + 2, &error);
        else
            verb->run(&world, argc - 2, argv + 2, &error);
    }
    return world_leave(&world, &error);
}
