/* Over fcntl. */
#include "dist/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log/log.h"

int lock_take(int *fd, const char *path, const char *folder, const char *option, struct error *error)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char holder[128] = "", host[64] = "";
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (*fd < 0) return error_set(error, ERROR_FAILED, "%s: cannot write: %s", path, strerror(errno));
    if (fcntl(*fd, F_SETLK, &lock) < 0) {
        if (errno != EACCES && errno != EAGAIN) {
            log_warn("%s: this file system has no locks (%s): make sure that no second job runs here", path,
                     strerror(errno));
            return 0;
        }
        ssize_t got = read(*fd, holder, sizeof holder - 1);
        holder[got > 0 ? strcspn(holder, "\n") : 0] = 0;
        return error_set(error, ERROR_USAGE,
                         "%s: a job is at work here already (%s); wait for it, or choose another %s", folder,
                         *holder ? holder : "it does not say which", option);
    }
    gethostname(host, sizeof host - 1);
    int len = snprintf(holder, sizeof holder, "host %s, pid %ld\n", host, (long)getpid());
    if (ftruncate(*fd, 0) < 0 || pwrite(*fd, holder, (size_t)len, 0) != len)
        return error_set(error, ERROR_FAILED, "%s: cannot write: %s", path, strerror(errno));
    return 0;
}
