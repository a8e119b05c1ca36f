/* Which cores a rank computes on, and whether it is alone by mistake: rules over masks, control groups, environment. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "dist/cores.h"
#include "dist/launch.h"
#include "test/harness.h"

/* Cores [from, end) of machine 1. */
static struct core_seat seat(int from, int end)
{
    struct core_seat s = {.machine = 1};
    for (int core = from; core < end; core++) s.set.bits[core / 64] |= 1ull << core % 64;
    return s;
}

static void shares(const char *what, const struct core_seat *seats, int count, const int *wanted)
{
    for (int i = 0; i < count; i++) {
        int got = cores_share(seats, count, i);
        EXPECT(got == wanted[i], "%s: rank %d gets %d cores, should get %d", what, i, got, wanted[i]);
    }
}

static void masks(void)
{
    struct core_seat two_hosts[] = {seat(0, 16), seat(0, 16), seat(0, 16)};
    two_hosts[2].machine = 2;
    shares("alone", (struct core_seat[]){seat(0, 6)}, 1, (int[]){6});
    shares("unbound", (struct core_seat[]){seat(0, 16), seat(0, 16)}, 2, (int[]){8, 8});
    shares("bound apart", (struct core_seat[]){seat(0, 8), seat(8, 16)}, 2, (int[]){8, 8});
    shares("beyond 64", (struct core_seat[]){seat(0, 96), seat(96, 192)}, 2, (int[]){96, 96});
    shares("overlapping", (struct core_seat[]){seat(0, 8), seat(4, 12), seat(20, 21)}, 3, (int[]){6, 6, 1});
    shares("three on ten", (struct core_seat[]){seat(0, 10), seat(0, 10), seat(0, 10)}, 3, (int[]){3, 3, 3});
    shares("three on nine", (struct core_seat[]){seat(0, 9), seat(0, 9), seat(0, 9)}, 3, (int[]){3, 3, 3});
    shares("more ranks than cores", (struct core_seat[]){seat(0, 2), seat(0, 2), seat(0, 2)}, 3, (int[]){1, 1, 1});
    shares("two hosts", two_hosts, 3, (int[]){8, 8, 16});
}

static void quotas(void)
{
    struct core_seat seats[] = {seat(0, 16), seat(0, 16), seat(0, 16), seat(0, 16)};
    seats[0].quota = seats[1].quota = 5, seats[0].group = seats[1].group = 7;
    seats[2].quota = .5, seats[2].group = 8;
    shares("quotas", seats, 4, (int[]){2, 2, 1, 4});
}

static void write_text(const char *folder, const char *name, const char *text)
{
    struct error error = {0};
    char *path = fs_join(folder, name);
    EXPECT(fs_make_folders(folder, &error) == 0 && fs_write(path, text, strlen(text), &error) == 0, "%s", error.text);
    free(path);
}

static void control_groups(void)
{
    char *root = fs_join(test_folder(), "groups"), *inner = fs_join(root, "pod/job"), *pod = fs_join(root, "pod");
    char *proc = fs_join(test_folder(), "cgroup");
    uint64_t group = 0, outer = 0;
    write_text(test_folder(), "cgroup", "1:cpu:/elsewhere\n0::/pod/job\n");
    write_text(inner, "cpu.max", "max 100000\n");
    EXPECT(cores_quota(proc, root, &group) == 0, "no quota");
    write_text(pod, "cpu.max", "400000 100000\n");
    EXPECT(cores_quota(proc, root, &outer) == 4, "of the group above");
    write_text(inner, "cpu.max", "250000 100000\n");
    EXPECT(cores_quota(proc, root, &group) == 2.5 && group != outer, "the tightest");
    write_text(test_folder(), "cgroup", "0::/\n");
    write_text(root, "cpu.max", "150000 100000\n");
    EXPECT(cores_quota(proc, root, &group) == 1.5, "of a container's root");
    EXPECT(cores_quota("/nowhere", root, &group) == 0, "without control groups");
    free(root), free(inner), free(pod), free(proc);
}

static void torn(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "PMI_SIZE",
                                        "SLURM_STEP_NUM_TASKS"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unsetenv(names[i]);
    setenv("SLURM_PROCID", "1", 1); /* nothing is printed but by the first */
    EXPECT(!launch_torn(1), "started alone");
    setenv("SLURM_NTASKS", "8", 1);
    EXPECT(!launch_torn(1), "in a batch script, or a shell of salloc");
    setenv("SLURM_STEP_NUM_TASKS", "1", 1);
    EXPECT(!launch_torn(1), "a step of one task");
    setenv("SLURM_STEP_NUM_TASKS", "2", 1);
    EXPECT(launch_torn(1) && !launch_torn(2), "a step of two tasks that do not find each other");
    setenv("OMPI_COMM_WORLD_SIZE", "1", 1);
    EXPECT(!launch_torn(1), "mpirun -n 1 in a job on two hosts");
    setenv("OMPI_COMM_WORLD_SIZE", "4", 1);
    setenv("OMPI_COMM_WORLD_RANK", "3", 1);
    EXPECT(launch_torn(1) && !launch_torn(4), "another mpirun");
}

int main(int argc, char **argv)
{
    return test_main(argc, argv,
                     (struct test[]){{"cores_are_shared_where_masks_overlap", masks},
                                     {"cores_of_a_quota", quotas},
                                     {"quota_of_control_groups", control_groups},
                                     {"worlds_that_are_torn", torn},
                                     {0}});
}
