/* The tensors of a published model, in whatever files it comes:
 *
 *   FILE.safetensors | FILE.pt, FILE.pth (pytorch.h) | a folder with one of
 *     model.safetensors, open_clip_model.safetensors, model.safetensors.index.json (parts), consolidated.safetensors,
 *     consolidated.pth, consolidated.00.pth */
#ifndef CHECKPOINT_TENSORS_H
#define CHECKPOINT_TENSORS_H

#include "checkpoint/safetensors.h"

/* All of them as one list: safetensors_find, _read and _close work on it. */
int tensors_open(struct safetensors *file, const char *path, struct error *error);

/* identity[key] = checksum over the bytes of all files of the model at `path`; nothing where path is NULL. */
int tensors_identify(json_t *identity, const char *key, const char *path, struct error *error);

#endif
