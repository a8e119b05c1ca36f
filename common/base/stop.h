/* Being asked to stop: SIGTERM and SIGUSR1 set a flag, which work asks at points where it can end, having saved or put
 * back what it holds; the program then exits with ERROR_STOPPED.  A file over its size limit (SIGXFSZ) is a failed
 * write, not a death.  SIGCONT, which mpirun sends before SIGTERM, means nothing here. */
#ifndef BASE_STOP_H
#define BASE_STOP_H

#include <stdbool.h>

/* Once, before anything that takes time: world_join does. */
void stop_catch(void);
/* Any thread. */
bool stop_asked(void);

#endif
