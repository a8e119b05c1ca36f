/* Masks, quotas, and the sharing of both. */
#include "dist/cores.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/str.h"
#include "dist/world.h"

static bool has(const struct core_set *s, int core)
{
    return s->bits[core / 64] >> core % 64 & 1;
}

static int count_of(const struct core_set *s)
{
    int count = 0;
    for (int i = 0; i < CORES_MOST / 64; i++) count += __builtin_popcountll(s->bits[i]);
    return count;
}

static void include(struct core_set *to, const struct core_set *more)
{
    for (int i = 0; i < CORES_MOST / 64; i++) to->bits[i] |= more->bits[i];
}

/* Of `pid`, 0: this process; false when it cannot be told. */
static bool mask_of(pid_t pid, struct core_set *set)
{
    *set = (struct core_set){0};
    return sched_getaffinity(pid, sizeof set->bits, (cpu_set_t *)(void *)set->bits) == 0;
}

int cores_share(const struct core_seat *seats, int count, int which)
{
    const struct core_seat *me = &seats[which];
    double share = 1e-6; /* sums of thirds */
    int in_group = 0;
    for (int core = 0; core < CORES_MOST; core++) {
        int sharers = 0;
        for (int r = 0; has(&me->set, core) && r < count; r++)
            sharers += seats[r].machine == me->machine && has(&seats[r].set, core);
        if (sharers) share += 1. / sharers;
    }
    for (int r = 0; r < count; r++) in_group += seats[r].machine == me->machine && seats[r].group == me->group;
    if (me->quota > 0 && me->quota / in_group < share) share = me->quota / in_group + 1e-6;
    return share < 1 ? 1 : (int)share;
}

/* The path behind "0::", of the unified hierarchy; caller frees. */
static char *group_path(const char *proc)
{
    struct error none = {0};
    char *text, *path = NULL;
    size_t len;
    if (fs_read(proc, &text, &len, &none) < 0) return NULL;
    for (char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (!strncmp(line, "0::/", 4)) {
            path = mem_strdup(line + 3);
            path[strcspn(path, "\n")] = 0;
            break;
        }
    free(text);
    return path;
}

/* Take the folder's quota if it has one ("max": none), and the tightest so far. */
static void tighten(const char *folder, double *tightest, uint64_t *group)
{
    struct error none = {0};
    struct stat info;
    double quota, period;
    char *file = fs_join(folder, "cpu.max"), *text = NULL;
    size_t len;
    bool read = fs_read(file, &text, &len, &none) == 0, limited = read && sscanf(text, "%lf %lf", &quota, &period) == 2;
    if (limited && quota > 0 && period > 0 && (!*tightest || quota / period < *tightest) && stat(folder, &info) == 0) {
        *tightest = quota / period;
        *group = (uint64_t)info.st_ino;
    }
    free(file);
    free(text);
}

double cores_quota(const char *proc, const char *root, uint64_t *group)
{
    double tightest = 0;
    struct str folder = {0};
    char *path = group_path(proc), *slash = NULL;
    if (!path) return 0;
    str_printf(&folder, "%s%s", root, path);
    do {
        if (slash) *slash = 0;
        tighten(folder.data, &tightest, group);
        slash = strrchr(folder.data, '/');
    } while (slash >= folder.data + strlen(root));
    str_free(&folder);
    free(path);
    return tightest;
}

/* The same for all processes of one kernel, containers or not. */
static uint64_t machine_of(const struct world *world)
{
    struct error none = {0};
    char *boot = NULL;
    size_t len;
    int rc = fs_read("/proc/sys/kernel/random/boot_id", &boot, &len, &none);
    uint64_t machine = rc == 0 ? XXH3_64bits(boot, len) : XXH3_64bits(world->host, strlen(world->host));
    free(boot);
    return machine;
}

struct cores cores_of(const struct world *world)
{
    struct core_seat mine = {.machine = machine_of(world)}, *all = mem_alloc((size_t)world->size, sizeof *all);
    struct core_set together = {0}, launcher;
    struct cores cores = {0};
    if (!mask_of(0, &mine.set)) mine.set.bits[0] = 1;
    mine.quota = cores_quota("/proc/self/cgroup", "/sys/fs/cgroup", &mine.group);
    world_gather_all(world, &mine, sizeof mine, all);
    for (int r = 0; r < world->size; r++)
        if (all[r].machine == mine.machine) include(&together, &all[r].set);
    cores.mine = cores_share(all, world->size, world->rank);
    cores.used = cores.offered = count_of(&together);
    if (getenv("OMPI_COMM_WORLD_SIZE") && mask_of(getppid(), &launcher)) cores.offered = count_of(&launcher);
    free(all);
    return cores;
}
