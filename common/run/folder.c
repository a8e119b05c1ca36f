/* Lock, config and logs of a run. */
#include "run/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "log/log.h"

/* The lock is the system's on the file (it goes when its holder does, also by kill -9); the text in it only says who.
 * */
static int hold(struct run_folder *f, const char *path, struct error *error)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char holder[128] = "", host[64] = "";
    f->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (f->lock < 0) return error_set(error, ERROR_FAILED, "%s: cannot write: %s", path, strerror(errno));
    if (fcntl(f->lock, F_SETLK, &lock) < 0) {
        if (errno != EACCES && errno != EAGAIN) {
            log_warn("%s: this file system has no locks (%s): make sure that no second job runs here", path,
                     strerror(errno));
            return 0;
        }
        ssize_t got = read(f->lock, holder, sizeof holder - 1);
        holder[got > 0 ? strcspn(holder, "\n") : 0] = 0;
        return error_set(error, ERROR_USAGE,
                         "%s: a job is at work here already (%s); wait for it, or choose another --name", f->path,
                         *holder ? holder : "it does not say which");
    }
    gethostname(host, sizeof host - 1);
    int len = snprintf(holder, sizeof holder, "host %s, pid %ld\n", host, (long)getpid());
    if (ftruncate(f->lock, 0) < 0 || pwrite(f->lock, holder, (size_t)len, 0) != len)
        return error_set(error, ERROR_FAILED, "%s: cannot write: %s", path, strerror(errno));
    return 0;
}

int folder_lock(struct run_folder *f, struct error *error)
{
    if (f->lock >= 0) return 0;
    char *lock = fs_join(f->path, "lock");
    int rc = fs_make_folders(f->path, error);
    if (rc == 0) rc = hold(f, lock, error);
    free(lock);
    return rc;
}

int folder_open(struct run_folder *f, const json_t *config, int64_t step, struct error *error)
{
    char *log = fs_join(f->path, "out.log"), *resolved = fs_join(f->path, "config.json"),
         *checkpoints = fs_join(f->path, "checkpoints");
    int rc = fs_make_folders(checkpoints, error);
    if (rc == 0) rc = log_file(log, error);
    if (rc == 0) rc = json_write(resolved, config, error);
    if (rc == 0) rc = metrics_open(&f->metrics, f->path, step, error);
    free(log);
    free(resolved);
    free(checkpoints);
    return rc;
}

void folder_close(struct run_folder *f, const struct error *ended)
{
    metrics_close(&f->metrics);
    if (ended && ended->code && ended->code != ERROR_STOPPED) log_end(ended->text);
    log_close();
    if (f->lock >= 0) close(f->lock);
    free(f->path);
    *f = (struct run_folder){.lock = -1};
}
