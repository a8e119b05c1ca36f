/* Checkpoint folders of a run.
 *
 *   RUN/checkpoints/step-00001000/   model.safetensors               parameters, PE names
 *                                    optimizer-R-of-N.safetensors    "m", "v": floats [first, end) of the flat store
 *                                                                    (metadata)
 *                                    state.json                      step, identity, config, changes, checksums
 *                                                                    of the other files
 *   RUN/checkpoints/latest -> step-00001000
 *
 * All ranks write into step-N.tmp; when every file is on disk rank 0 writes state.json, syncs, renames the folder and
 * moves `latest` last.  Whatever is not whole (no state.json, a checksum that does not match) is skipped with a
 * warning. */
#ifndef CHECKPOINT_CHECKPOINT_H
#define CHECKPOINT_CHECKPOINT_H

#include <jansson.h>

#include "dist/world.h"

/* A folder being written. */
struct checkpoint_writer {
    char *folder, *aside; /* final and temporary path */
    char *root;
};
/* (all) Create the temporary folder RUN/checkpoints/step-N.tmp; those that a killed save has left are removed. */
int checkpoint_begin(struct checkpoint_writer *w, const struct world *world, const char *run, int64_t step,
                     struct error *error);
/* Path for a file of this checkpoint; the caller frees. */
char *checkpoint_file(const struct checkpoint_writer *w, const char *name);
/* (all) rc: how this rank's files went; sums: name -> hex checksum of the files this rank wrote (stolen).  On success
 * the folder is in place and all are removed but it and the `keep` - 1 before it (keep 0: all stay); later
 * ones, which are damaged, stay too.  state (borrowed) is read on rank 0. */
int checkpoint_commit(struct checkpoint_writer *w, const struct world *world, int rc, json_t *sums, const json_t *state,
                      int64_t keep, struct error *error);

/* (all) The newest whole checkpoint below RUN: its folder (caller frees) and state (new reference).  Returns 1 when
 * found, 0 when there is none; that all there are are damaged is an error.  Files are verified by ranks in turn. */
int checkpoint_find(const struct world *world, const char *run, char **folder, json_t **state, struct error *error);
/* (all) The checkpoint in `path`, its links resolved; likewise.  Returns 1. */
int checkpoint_open(const struct world *world, const char *path, char **folder, json_t **state, struct error *error);

/* Rank 0: going on from `folder`, one of RUN's, makes those of later steps another run's: they get the ending
 * .superseded, and are not found any more; `latest` points to `folder`. */
int checkpoint_supersede(const char *run, const char *folder, struct error *error);

#endif
