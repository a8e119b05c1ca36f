/* Metrics of a run: one JSON object a line in metrics.jsonl, and the same numbers as TensorBoard scalars.
 *
 * An event file is a sequence of TFRecords: | u64 length | masked crc32c of it | bytes | masked crc32c of the bytes |,
 * the bytes being a tensorflow.Event message (wall_time = 1, step = 2, file_version = 3, summary = 5 { value = 1 { tag
 * = 1, simple_value = 2 } }). */
#ifndef LOG_METRICS_H
#define LOG_METRICS_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

struct metrics {
    FILE *lines, *events;
};

/* Append to folder/metrics.jsonl, and to a new event file in folder/tensorboard/.  Rows of steps after `step` are cut
 * off the one, and disowned in the other (SessionLog START): a run that goes on from `step` will write them again. */
int metrics_open(struct metrics *metrics, const char *folder, int64_t step, struct error *error);
void metrics_close(struct metrics *metrics);

/* Write a row { "step", "split", "time" (seconds since 1970), members of `row` (reference taken) }; its numbers become
 * scalars split/key. */
void metrics_write(struct metrics *metrics, const char *split, int64_t step, json_t *row);

#endif
