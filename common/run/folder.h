/* The folder of a run, logs/NAME, as rank 0 keeps it:
 *
 *   lock            held while a job works here: one line, host and pid
 *   config.json     all options with their values: as --config it starts the same run again
 *   out.log         what was said, from version and command line to the error that ended it
 *   metrics.jsonl, tensorboard/    each step once, also after a crash
 *   checkpoints/    checkpoint/checkpoint.h */
#ifndef RUN_FOLDER_H
#define RUN_FOLDER_H

#include <stdbool.h>

#include "log/metrics.h"

struct run_folder {
    char *path;
    int lock; /* file descriptor, -1: none */
    struct metrics metrics;
};

/* Create it and take the lock, unless this job has it; another job that holds it is named.  Nothing else is written
 * yet. */
int folder_lock(struct run_folder *folder, struct error *error);
/* Open the logs; rows of steps after `step` are cut off: they will come again. */
int folder_open(struct run_folder *folder, const json_t *config, int64_t step, struct error *error);
/* ended: what the run failed of goes to out.log; NULL or without a code: nothing. */
void folder_close(struct run_folder *folder, const struct error *ended);

#endif
