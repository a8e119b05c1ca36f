/* A folder in which one job at a time works: the system's lock on a file in it, which goes when its holder does, also
 * by kill -9.  The text in the file only says who: "host NAME, pid N". */
#ifndef DIST_LOCK_H
#define DIST_LOCK_H

#include "base/error.h"

/* *fd: the file, for the caller to close, and the lock goes with it.  folder, option: what the message calls a folder
 * in which another job is at work, and the option that chooses another.  A file system without locks: a warning. */
int lock_take(int *fd, const char *path, const char *folder, const char *option, struct error *error);

#endif
