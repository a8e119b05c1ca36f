/* The cores a rank computes on: those its affinity mask allows, shared with the ranks of its machine that may use them
 * too, and no more than the CPU quota of its control group gives.  Ranks bound to cores of their own do not divide them
 * again. */
#ifndef DIST_CORES_H
#define DIST_CORES_H

#include <stdbool.h>
#include <stdint.h>

enum { CORES_MOST = 4096 };

struct core_set {
    uint64_t bits[CORES_MOST / 64];
};

/* What one rank may use. */
struct core_seat {
    uint64_t machine; /* ranks with the same number share its cores */
    uint64_t group;   /* the control group with the tightest quota, likewise */
    double quota;     /* its cores, 0: no limit */
    struct core_set set;
};

/* The share of seats[which], at least 1:  floor(sum over its cores of 1 / ranks that may use the core), at most
 * floor(quota / ranks of its group). */
int cores_share(const struct core_seat *seats, int count, int which);

/* The tightest CPU quota (cpu.max) on the way from this process's control group to the root; 0: none.  proc and root:
 * /proc/self/cgroup and /sys/fs/cgroup, or a test's. */
double cores_quota(const char *proc, const char *root, uint64_t *group);

struct cores {
    int mine;    /* of this rank: its threads, at least 1 */
    int used;    /* that the ranks of this machine may use together */
    int offered; /* that mpirun, which bound them, may use itself; `used` when nobody did */
};

struct world;
/* (all) */
struct cores cores_of(const struct world *world);

#endif
