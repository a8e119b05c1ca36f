/* The parts of pe-evaluator layers: a task of one encoder each, with a result of its own in the folder OUTPUT without
 * its ending (curves/ENCODER-TASK.json).
 *
 * Tasks whose features come of one pass share it; those that train heads are runs of their own. */
#ifndef EVALUATOR_PARTS_H
#define EVALUATOR_PARTS_H

#include "dist/world.h"
#include "evaluator/task.h"
#include "evaluator/verb.h"

struct layers_settings {
    struct option_list weights, labels, tasks, train_data, data, track_data, segment_data, depth_data, detect_data,
        task_options;
    char *model, *layers, *feature, *output;
    bool skip_existing;
};

struct part {
    const char *name;
    const struct task *task; /* NULL: a run of its own, */
    const struct verb *verb;
    char *path; /* its result */
    bool done;
};

enum { PARTS_MAX = 32 };

struct parts {
    const struct layers_settings *settings;
    const struct world *world;
    const char *weights, *label; /* of the encoder; label: what it is called */
    struct part list[PARTS_MAX];
    int count;
};

/* The folder that a task has to itself, of --NAME-data; NULL: it uses --train-data and --data. */
const struct option_list *parts_own_data(const struct layers_settings *settings, const char *task);
/* OUTPUT without its ending, the caller frees: the folder of the results. */
char *parts_folder(const char *output);
/* (all) The tasks of those names, at most PARTS_MAX; with --skip-existing those are done whose result is there, and one
 * that was made otherwise is an error (recipe.h).  Close them whether or not it fails. */
int parts_open(struct parts *parts, const struct option_list *names, struct error *error);
void parts_close(struct parts *parts);
/* (all) Measures those that are not done. */
int parts_run(struct parts *parts, struct error *error);

#endif
