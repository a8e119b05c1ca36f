/* The signals of a program. */
#include "base/stop.h"

#include <signal.h>
#include <stddef.h>

/* Set by the signal handler: the one thing that cannot hang off a struct. */
static volatile sig_atomic_t asked;

static void on_signal(int number)
{
    asked = number;
}

void stop_catch(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    signal(SIGXFSZ, SIG_IGN);
}

bool stop_asked(void)
{
    return asked;
}
