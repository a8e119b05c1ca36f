/* Files of questions, one a line of JSON:
 *
 *   {"id": 7, "image": PATH | "images": [PATH, ...] | "video": PATH, "question": TEXT, "answers": [TEXT, ...],
 *    "options": [TEXT, ...], "task": NAME, "type": TEXT, "group": TEXT}
 *
 * What they show: models/row_media.h; paths that are not absolute begin at the file's folder.  "answers" may be one
 * text, of options also the letter of the right one, of refcoco [x1, y1, x2, y2] in pixels.  Captions need no question;
 * type and group are kinds that get a figure of their own.  "task" (question_tasks.h) may be said for all at once. */
#ifndef EVALUATOR_QUESTION_ROWS_H
#define EVALUATOR_QUESTION_ROWS_H

#include "base/error.h"
#include "config/options.h"
#include "evaluator/question_tasks.h"

struct question_row {
    json_t *row;
    char *id;
    const char *root; /* of its paths */
    const struct question_task *task;
};

struct question_rows {
    struct question_row *list; /* [count] in the files' order */
    int64_t count;
    char **roots; /* [root_count] */
    int64_t root_count;
    json_t *ids;
    uint64_t identity;                  /* of the files' bytes */
    const struct question_task **tasks; /* [task_count] those of its rows, in the order they appear in */
    int64_t task_count;
};

/* task: that of rows which name none, or NULL.  All rows are checked before any is asked.  Errors name file and line.
 * Close it whether or not it fails. */
int question_rows_open(struct question_rows *rows, const struct option_list *paths, const char *task,
                       struct error *error);
void question_rows_close(struct question_rows *rows);

#endif
