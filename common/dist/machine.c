/* Opening of a rank's device. */
#include "dist/machine.h"

#include <omp.h>

#include "log/log.h"

#define AT(field) offsetof(struct machine_settings, field)
/* clang-format off */
const struct option machine_options[] = {
    {OPTION_GROUP, "machine", 0, NULL, 0, 0, NULL, NULL},
    {OPTION_STRING, "device", AT(device), "cpu", 0, 0, NULL, "cpu, cuda (a GPU for each rank of a host) or cuda:N"},
    {OPTION_CHOICE, "precision", AT(precision), "fp32", 0, 0, "fp32|bf16", "arithmetic of the model; bf16 keeps fp32 weights and sums beside it"},
    {OPTION_STRING, "cpu-level", AT(cpu_level), NULL, 0, 0, NULL, "force an instruction level: portable, x86-64-v3, x86-64-v4"},
    {OPTION_INT, "threads", AT(threads), "0", 0, 1024, NULL, "compute threads of a rank; 0: its share of the cores"},
    {0}};
/* clang-format on */

int machine_threads(const struct world *world, int64_t threads)
{
    return threads ? (int)threads : world->cores.mine;
}

void machine_advise(const struct world *world, int64_t threads)
{
    const struct cores *c = &world->cores;
    if (world->rank || 2 * c->used > c->offered || (threads && threads <= c->mine)) return;
    log_warn(
        "the ranks on this host use %d of its %d cores: mpirun binds each rank to one; start it with --bind-to none, "
        "or with --map-by slot:PE=%d",
        c->used, c->offered, c->offered / world->node_ranks);
}

int machine_open(struct device *device, const struct world *world, const struct machine_settings *c,
                 struct error *error)
{
    int threads = machine_threads(world, c->threads);
    machine_advise(world, c->threads);
    omp_set_num_threads(threads);
    return device_open(device, c->device, c->precision, c->cpu_level, threads, world->node_rank, error);
}

int machine_open_host(struct device *device, const struct world *world, const struct machine_settings *c,
                      struct error *error)
{
    return device_open(device, "cpu", "fp32", c->cpu_level, machine_threads(world, c->threads), 0, error);
}
