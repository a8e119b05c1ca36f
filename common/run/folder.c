/* Lock, config and logs of a run. */
#include "run/folder.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/memory.h"
#include "dist/lock.h"
#include "log/log.h"

int folder_lock(struct run_folder *f, struct error *error)
{
    if (f->lock >= 0) return 0;
    char *lock = fs_join(f->path, "lock");
    int rc = fs_make_folders(f->path, error);
    if (rc == 0) rc = lock_take(&f->lock, lock, f->path, "--name", error);
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
