/* What is measured: one file in tasks/ each, and one line in task_list.c.
 *
 *   open      its data and what it holds them against; it adds takers to inputs of the session (input_add)
 *             one pass over each input then feeds the takers of all tasks
 *   report    the figures
 *
 * Tasks that name the same data share its pass. */
#ifndef EVALUATOR_TASK_H
#define EVALUATOR_TASK_H

#include "evaluator/session.h"

struct task {
    const char *name, *summary;   /* the verb, and its line in --help */
    const struct option *options; /* fields of its own struct, beside session_options */
    size_t bytes;                 /* of that struct, zeroed, then filled from the options */
    enum session_use (*use)(const void *self);
    int (*open)(void *self, struct session *session, struct error *error);   /* (all) */
    int (*report)(void *self, struct session *session, struct error *error); /* (all) */
    void (*close)(void *self); /* also when open failed; options are not its own */
    const char *result;        /* what result files call it; NULL: its name */
    bool layered;              /* it takes --layers, and its metrics are those of layers_metrics */
};

extern const struct task *const task_list[]; /* ends with NULL */

/* (all) The program that measures this task alone, of one encoder or of several (sweep.c); argv: what follows its
 * name. */
int task_run(const struct task *task, const struct world *world, int argc, char **argv, struct error *error);

/* (all) Open `count` tasks, pass the pictures, report: each to its file of outputs [count]. */
int tasks_run(const struct task *const *tasks, void *const *selves, const char *const *outputs, int count,
              struct session *session, struct error *error);

/* For tasks that read texts: use. */
enum session_use task_reads_texts(const void *self);

#endif
