/* The ways in which questions and answers are published (answers.h lists them). */
#ifndef EVALUATOR_METRICS_LAYOUTS_H
#define EVALUATOR_METRICS_LAYOUTS_H

#include <stdbool.h>

#include "base/json.h"

struct layout {
    const char *name, *list; /* list: the member with the rows; NULL: the file is rows */
    const char *mark;        /* a key that its rows have and those of later layouts with this list have not */
    const char *id;          /* NULL: the row's number */
    const char *answers;     /* key of a text, texts, objects with "answer" or boxes */
    const char *right;       /* key of the right choice's number, from 0 */
    const char *choices, *type, *group, *text; /* keys, NULL: none; text: the question */
    const char *words;                         /* what else the value at mark must be, separated by '|'; NULL: any */
    bool captions;                             /* rows of one id are one question */
    bool unique;                               /* ids are unique beyond the file, which is no group */
};

/* That of a row of truth, which the file's member `list` holds (NULL: the file is rows); NULL with `error`. */
const struct layout *layout_find(const char *list, const json_t *row, struct error *error);

#endif
