/* PyTorch's .pt and .pth files (torch.save), read without running anything.
 *
 *   zip archive, members stored:  NAME/data.pkl   a pickle: a dictionary of tensors, or one such inside under
 *                                                 "state_dict", "model" or "weights"
 *                                 NAME/data/KEY   the bytes of each storage
 *
 * A pickle is a program; here only the few instructions that build dictionaries of tensors are understood, and the only
 * names it may call are PyTorch's tensor rebuilders and OrderedDict.  Anything else is refused by its name.  Values
 * that are no tensors (step counts, options) are passed over. */
#ifndef CHECKPOINT_PYTORCH_H
#define CHECKPOINT_PYTORCH_H

#include "checkpoint/safetensors.h"

/* The tensors as if they were those of a safetensors file: safetensors_find, _read and _close work on them. */
int pytorch_open(struct safetensors *file, const char *path, struct error *error);
/* The same over bytes the caller keeps; `path` names them in messages. */
int pytorch_parse(struct safetensors *file, const char *path, const unsigned char *bytes, size_t len,
                  struct error *error);

#endif
