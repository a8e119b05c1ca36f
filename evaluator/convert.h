/* Published questions as those that `pe-evaluator questions` asks (evaluator/question_rows.h).  One row each in
 * convert_list.c. */
#ifndef EVALUATOR_CONVERT_H
#define EVALUATOR_CONVERT_H

#include "base/json.h"
#include "evaluator/metrics/answers.h"

struct conversion {
    const struct source *source;
    const char *input, *questions, *images, *split, *corners;
    json_t *document; /* the input, where it is one JSON file; else NULL */
    json_t *names;    /* image id -> file name, of captions; question id -> text, of VQA */
    json_t *only;     /* ids or names of media that count; NULL: all */
    json_t *rows;     /* what has been made */
};

struct source {
    const char *name, *task, *files; /* files: what is read, for messages */
    const char *layout;              /* of metrics/answers.h; NULL: read whole by `each` */
    const char *question[3];         /* keys of what is asked */
    const char *media;               /* "image" or "video" */
    /* The file's name within --images, the caller's to free; NULL with `error`. */
    char *(*file)(const struct conversion *c, const struct question *q, struct error *error);
    /* More about a row. */
    int (*more)(const struct conversion *c, const struct question *q, json_t *row, struct error *error);
    /* Before the first row. */
    int (*prepare)(struct conversion *c, struct error *error);
    int (*each)(struct conversion *c, struct error *error);
};

extern const struct source sources[]; /* ends with a NULL name */

/* Add a row (reference taken) that shows this file of --images, unless --only leaves it out. */
void convert_add(struct conversion *c, const char *id, const char *media, const char *file, json_t *row);
/* A file of --images as rows name it, the caller's to free.  group: of its question, or NULL. */
char *convert_path(const struct conversion *c, const char *group, const char *file);

#endif
