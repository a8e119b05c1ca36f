/* What a job writes: one line of JSON an item, so that a run that was killed, on any number of ranks, goes on without
 * doing an item twice.
 *
 *   OUT/NAME.json                its recipe: what the rows are made from and how; a later run must have the same
 *   OUT/NAME-rows-00000.jsonl    of each rank: {"item", ...} or {"item", "error"}; a torn last line is cut away
 *   OUT/NAME-begun-00000.jsonl   of each rank: numbers of items that were begun, -1 - number of those put back unharmed
 *   OUT/NAME.jsonl               at the end: all lines in order of items
 *   OUT/NAME-quarantine.jsonl    items that cannot be done, with the reason
 *   OUT/NAME.lock                held while a job works here (dist/lock.h): a second would take its items for begun
 *
 * An item that was begun by `attempts` runs and finished by none has killed them: it is quarantined. */
#ifndef SERVE_ROWS_H
#define SERVE_ROWS_H

#include <stdio.h>

#include "base/json.h"
#include "dist/world.h"

struct rows {
    char *folder;
    const char *name;
    const struct world *world;
    int64_t count;       /* items in all */
    bool *done;          /* [count] */
    int64_t left, *todo; /* [left] items not done, ascending */
    FILE *out, *begun;
    int lock; /* rank 0: file descriptor; else -1 */
};

/* (all) recipe (borrowed) is what must be the same. */
int rows_open(struct rows *rows, const struct world *world, const char *folder, const char *name, int64_t count,
              int64_t attempts, const json_t *recipe, struct error *error);
void rows_close(struct rows *rows);

int rows_begin(struct rows *rows, int64_t item, struct error *error);
/* An item that was begun and is left for another run: not its fault. */
int rows_put_back(struct rows *rows, int64_t item, struct error *error);
/* Reference to row taken; "item" is added. */
int rows_write(struct rows *rows, int64_t item, json_t *row, struct error *error);

/* (all) After the last row of all ranks: rank 0 writes NAME.jsonl and NAME-quarantine.jsonl; visit (may be NULL) sees
 * each whole row. */
int rows_merge(struct rows *rows, void (*visit)(void *context, json_t *row), void *context, struct error *error);

/* Each row of a file as programs or people leave it: blank lines, a mark of UTF-8 at its begin, a last line without its
 * end.  Errors name the line: one that is not JSON, or for which visit returns -1. */
int rows_each(const char *path, int (*visit)(void *context, json_t *row, struct error *error), void *context,
              struct error *error);
/* By item: array [count] of objects or NULL, new references; free with rows_free_list.  A row of no item is an error.
 */
int rows_read(const char *path, int64_t count, json_t ***list, struct error *error);
void rows_free_list(json_t **list, int64_t count);

#endif
