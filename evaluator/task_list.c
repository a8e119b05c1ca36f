/* The tasks, and how they run. */
#include <stdlib.h>

#include "evaluator/task.h"
#include "evaluator/verb.h"

extern const struct task task_embed, task_zeroshot, task_retrieval, task_track;

const struct task *const task_list[] = {
    &task_embed,
    &task_zeroshot,
    &task_retrieval,
    &task_track,
    NULL,
};

int tasks_run(const struct task *const *tasks, void *const *selves, const char *const *outputs, int count,
              struct session *session, struct error *error)
{
    int rc = 0, opened = 0;
    while (rc == 0 && opened < count) {
        rc = world_agree(session->world, tasks[opened]->open(selves[opened], session, error), error);
        opened++;
    }
    if (rc == 0) rc = session_pass(session, error);
    for (int i = 0; i < count && rc == 0; i++) {
        session->output = outputs[i];
        rc = tasks[i]->report(selves[i], session, error);
    }
    for (int i = 0; i < opened; i++) tasks[i]->close(selves[i]);
    return rc;
}

int task_run(const struct task *task, const struct world *world, int argc, char **argv, struct error *error)
{
    const size_t own = sizeof(struct session_settings); /* the task's own options lie behind the session's */
    struct option options[] = {
        {OPTION_TABLE, .table = session_options}, {OPTION_TABLE, .offset = own, .table = task->options}, {0}};
    struct option_program program = {PROGRAM, task->name, task->summary, options};
    char *settings = mem_zalloc(1, own + task->bytes);
    void *self = settings + own;
    struct session session;
    int rc = options_parse(&program, settings, argc, argv, world->rank > 0, error);
    if (rc == OPTIONS_OK) {
        rc = session_open(&session, world, (const void *)settings, task->use(self), error);
        const char *output = session.settings->output;
        if (rc == 0) rc = tasks_run(&task, &self, &output, 1, &session, error);
        session_close(&session);
    }
    options_free(&program, settings);
    free(settings);
    return rc < 0 ? -1 : 0;
}

enum session_use task_reads_texts(const void *self)
{
    (void)self;
    return USE_TEXTS;
}
