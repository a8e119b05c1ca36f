/* One of several that did not find each other: srun without --mpi=pmix, or the mpirun of another MPI, starts n
 * processes that are each a world of one, and would all do the same work in the same folders. */
#ifndef DIST_LAUNCH_H
#define DIST_LAUNCH_H

#include <stdbool.h>

/* Is this process, in a world of `size` ranks, one of those?  The first of them says so on stderr.  A program that is
 * started directly, in a job or not, is none. */
bool launch_torn(int size);

#endif
