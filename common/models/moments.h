/* The optimizer's moments in checkpoints: optimizer-RANK-of-RANKS.safetensors, "m" and "v" of floats [first, end) of
 * the flat parameter store, read back on any number of ranks. */
#ifndef MODELS_MOMENTS_H
#define MODELS_MOMENTS_H

#include "checkpoint/checkpoint.h"
#include "optim/optimizer.h"

/* This rank's file, if it has one to write. */
int moments_save(const struct optimizer *optimizer, const struct checkpoint_writer *writer, json_t *sums,
                 struct error *error);
/* This rank's part from all files named in `files` (of a checkpoint's state.json), which must hold all of it; more
 * (older stores were longer) is ignored. */
int moments_load(struct optimizer *optimizer, const char *folder, const json_t *files, struct error *error);

#endif
