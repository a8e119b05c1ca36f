/* The tasks, and how several run in one session. */
#include "evaluator/task.h"

extern const struct task task_embed, task_zeroshot, task_retrieval, task_track, task_pca;

const struct task *const task_list[] = {
    &task_embed,
    &task_zeroshot,
    &task_retrieval,
    &task_track,
    &task_pca,
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

enum session_use task_reads_texts(const void *self)
{
    (void)self;
    return USE_TEXTS;
}
