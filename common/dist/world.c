/* MPI behind a handful of calls.  Large transfers go in pieces of 1 MB: they stay in cache and overlap (measured 2.8
 * times faster than one call on shared memory). */
#include "dist/world.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/stop.h"
#include "dist/launch.h"
#include "dist/share.h"

enum { PIECE = 1 << 18 }; /* floats a message carries */

struct group {
    MPI_Comm comm;
};

static void fail(int code, const char *call, int line)
{
    char text[MPI_MAX_ERROR_STRING] = "", host[64] = "";
    int len = 0, rank = -1;
    MPI_Error_string(code, text, &len);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    gethostname(host, sizeof host - 1);
    fprintf(stderr, "%s:%d: rank %d on %s: %s: %s\n", __FILE__, line, rank, host, call, text);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

#define MPI_TRY(call) \
    do { \
        int code = (call); \
        if (code != MPI_SUCCESS) fail(code, #call, __LINE__); \
    } while (0)

static void abort_job(int status)
{
    MPI_Abort(MPI_COMM_WORLD, status);
}

/* This process in a communicator. */
static struct world enter(MPI_Comm comm)
{
    struct world world = {.node_ranks = 1, .group = mem_alloc(1, sizeof *world.group)};
    world.group->comm = comm;
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    MPI_TRY(MPI_Comm_rank(comm, &world.rank));
    MPI_TRY(MPI_Comm_size(comm, &world.size));
    if (world.size > 1) {
        MPI_Comm node;
        MPI_TRY(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, world.rank, MPI_INFO_NULL, &node));
        MPI_TRY(MPI_Comm_size(node, &world.node_ranks));
        MPI_TRY(MPI_Comm_rank(node, &world.node_rank));
        MPI_TRY(MPI_Comm_free(&node));
    }
    gethostname(world.host, sizeof world.host - 1);
    return world;
}

struct world world_join(int *argc, char ***argv)
{
    stop_catch();
    /* Started alone: do not fork a daemon (0.3 s), nor load the drivers of networks, one of which first measures the
     * clock's rate (0.27 s); 0.08 s are left. */
    if (!getenv("OMPI_COMM_WORLD_SIZE") && !getenv("PMIX_RANK") && !getenv("PMI_RANK")) {
        setenv("OMPI_MCA_ess_singleton_isolated", "1", 0);
        setenv("OMPI_MCA_pml", "ob1", 0);
    }
    int provided;
    MPI_TRY(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided));
    check_on_abort(abort_job);
    struct world world = enter(MPI_COMM_WORLD);
    if (launch_torn(world.size)) MPI_Finalize(), exit(ERROR_USAGE);
    world.cores = cores_of(&world);
    return world;
}

struct world world_split(const struct world *world, int colour)
{
    MPI_Comm comm;
    if (!world->group) return *world;
    MPI_TRY(MPI_Comm_split(world->group->comm, colour, world->rank, &comm));
    struct world part = enter(comm);
    part.cores = world->cores;
    return part;
}

void world_free(struct world *world)
{
    if (world->group) MPI_TRY(MPI_Comm_free(&world->group->comm));
    free(world->group);
    *world = (struct world){0};
}

_Noreturn void world_abort(const struct world *world, const char *why)
{
    fprintf(stderr, "rank %d on %s: %s\n", world->rank, world->host, why);
    fflush(NULL);
    MPI_Abort(MPI_COMM_WORLD, 1);
    abort();
}

int world_leave(struct world *world, const struct error *error)
{
    int64_t status = world_max(world, error->code);
    struct error *all = mem_alloc((size_t)world->size, sizeof *all);
    world_gather_all(world, error, sizeof *error, all);
    /* The lowest rank that met this very error speaks. */
    bool speak = error->code && error->code != ERROR_STOPPED;
    for (int r = 0; r < world->rank; r++)
        if (!strcmp(all[r].text, error->text)) speak = false;
    if (speak) {
        if (world->size > 1)
            fprintf(stderr, "error: rank %d: %s\n", world->rank, error->text);
        else
            fprintf(stderr, "error: %s\n", error->text);
    }
    fflush(NULL);
    free(all);
    free(world->group);
    check_on_abort(NULL);
    MPI_Finalize();
    return (int)status;
}

int world_agree(const struct world *world, int rc, struct error *error)
{
    if (world->size == 1) return rc;
    int64_t first = -world_max(world, rc < 0 ? -world->rank : -(int64_t)world->size);
    if (first >= world->size) return 0;
    struct error theirs = *error;
    world_broadcast(world, &theirs, sizeof theirs, (int)first);
    *error = theirs;
    return -1;
}

void world_barrier(const struct world *world)
{
    if (world->size > 1) MPI_TRY(MPI_Barrier(world->group->comm));
}

enum { NUMBER_TAG = 7 };

void world_send_number(const struct world *world, int to, int64_t value)
{
    CHECK(to != world->rank && to < world->size, "a number for rank %d", to);
    MPI_TRY(MPI_Send(&value, 1, MPI_INT64_T, to, NUMBER_TAG, world->group->comm)); /* eight bytes are sent at once */
}

bool world_receive_number(const struct world *world, int *from, int64_t *value)
{
    int there = 0;
    MPI_Status status;
    if (world->size == 1) return false;
    MPI_TRY(MPI_Iprobe(MPI_ANY_SOURCE, NUMBER_TAG, world->group->comm, &there, &status));
    if (!there) return false;
    *from = status.MPI_SOURCE;
    MPI_TRY(MPI_Recv(value, 1, MPI_INT64_T, *from, NUMBER_TAG, world->group->comm, MPI_STATUS_IGNORE));
    return true;
}

void world_broadcast(const struct world *world, void *data, size_t bytes, int root)
{
    if (world->size == 1) return;
    for (char *at = data; bytes;) {
        size_t n = bytes < 4 * PIECE ? bytes : 4 * PIECE;
        MPI_TRY(MPI_Bcast(at, (int)n, MPI_BYTE, root, world->group->comm));
        at += n;
        bytes -= n;
    }
}

void world_gather_all(const struct world *world, const void *mine, size_t bytes, void *all)
{
    CHECK(bytes < (size_t)1 << 31, "%zu bytes", bytes);
    if (world->size == 1) {
        memcpy(all, mine, bytes);
        return;
    }
    MPI_TRY(MPI_Allgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, world->group->comm));
}

int64_t world_max(const struct world *world, int64_t value)
{
    int64_t top = value;
    if (world->size > 1) MPI_TRY(MPI_Allreduce(&value, &top, 1, MPI_INT64_T, MPI_MAX, world->group->comm));
    return top;
}

int64_t world_sum(const struct world *world, int64_t value)
{
    int64_t sum = value;
    if (world->size > 1) MPI_TRY(MPI_Allreduce(&value, &sum, 1, MPI_INT64_T, MPI_SUM, world->group->comm));
    return sum;
}

/* Send to one rank and receive from another at the same time; both know how much. */
static void exchange(const struct world *world, int to, const char *out, int64_t send, int from, char *in,
                     int64_t receive)
{
    enum { BYTES = PIECE * sizeof(float), TAG = 0 };
    for (int64_t at = 0; at < send || at < receive; at += BYTES) {
        int64_t s = send - at < 0 ? 0 : send - at < BYTES ? send - at : BYTES;
        int64_t r = receive - at < 0 ? 0 : receive - at < BYTES ? receive - at : BYTES;
        MPI_TRY(MPI_Sendrecv(out + at, (int)s, MPI_BYTE, s ? to : MPI_PROC_NULL, TAG, in + at, (int)r, MPI_BYTE,
                             r ? from : MPI_PROC_NULL, TAG, world->group->comm, MPI_STATUS_IGNORE));
    }
}

/* Large parts go round in a ring, so that each passes once from host to host. */
static void gather_ring(const struct world *world, char *data, int64_t units, int64_t unit)
{
    int size = world->size, rank = world->rank;
    for (int k = 0; k + 1 < size; k++) {
        int out = (rank + k) % size, in = (rank + k + 1) % size;
        int64_t o = share_first(units, size, out) * unit, i = share_first(units, size, in) * unit;
        exchange(world, (rank + size - 1) % size, data + o, share_first(units, size, out + 1) * unit - o,
                 (rank + 1) % size, data + i, share_first(units, size, in + 1) * unit - i);
    }
}

/* MPI gathers small ones in fewer steps. */
static void gather_small(const struct world *world, void *data, int64_t units, int unit)
{
    int *counts = mem_alloc((size_t)world->size, 2 * sizeof *counts), *starts = counts + world->size;
    MPI_Datatype type;
    MPI_TRY(MPI_Type_contiguous(unit, MPI_BYTE, &type));
    MPI_TRY(MPI_Type_commit(&type));
    for (int r = 0; r < world->size; r++) {
        starts[r] = (int)share_first(units, world->size, r);
        counts[r] = (int)share_first(units, world->size, r + 1) - starts[r];
    }
    MPI_TRY(MPI_Allgatherv(MPI_IN_PLACE, 0, type, data, counts, starts, type, world->group->comm));
    MPI_TRY(MPI_Type_free(&type));
    free(counts);
}

void world_gather(const struct world *world, void *data, int64_t units, size_t unit)
{
    enum { SMALL = 1 << 16 }; /* bytes of a rank */
    if (world->size == 1) return;
    if (units * (int64_t)unit <= (int64_t)world->size * SMALL && units < INT32_MAX) {
        gather_small(world, data, units, (int)unit);
    } else {
        gather_ring(world, data, units, (int64_t)unit);
    }
}

/* A reduction under way. */
struct reduction {
    const struct world *world;
    const struct tree *sums;
    int64_t from, count; /* of the part at hand the floats that travel now */
    bool wide;           /* each two of them are a double */
    MPI_Request *sent;
    int sent_count;
    float *piece; /* [PIECE] what was received */
};

static int owner_of(const struct reduction *r, int64_t leaf)
{
    return (int)share_owner(r->sums->leaves, r->world->size, leaf);
}

enum { SUM_TAG = 1 };

static void add(const struct reduction *r, float *sum, const float *theirs)
{
    double *wide = (void *)sum;
    const double *wide_theirs = (const void *)theirs;
    if (r->wide)
        for (int64_t i = 0; i < r->count / 2; i++) wide[i] += wide_theirs[i];
    else
        for (int64_t i = 0; i < r->count; i++) sum[i] += theirs[i];
}

/* The two sums of a node meet, as far as this rank has to do with it. */
static void meet(struct reduction *r, int64_t into, int64_t from, bool sending)
{
    int keeper = owner_of(r, into), giver = owner_of(r, from), rank = r->world->rank;
    MPI_Comm comm = r->world->group->comm;
    if (sending && giver == rank && keeper != rank) {
        MPI_Request *sent = &r->sent[r->sent_count++];
        MPI_TRY(MPI_Isend(tree_at(r->sums, from) + r->from, (int)r->count, MPI_FLOAT, keeper, SUM_TAG, comm, sent));
    }
    if (sending || keeper != rank) return;
    const float *theirs = giver == rank ? tree_at(r->sums, from) + r->from : r->piece;
    if (giver != rank) MPI_TRY(MPI_Recv(r->piece, (int)r->count, MPI_FLOAT, giver, SUM_TAG, comm, MPI_STATUS_IGNORE));
    add(r, tree_at(r->sums, into) + r->from, theirs);
}

/* The nodes of a height that lie on this rank and others, for the part that shall end with rank `part`. */
static void meet_at(struct reduction *r, int height, int part, bool sending)
{
    int64_t leaves = r->sums->leaves, size = (int64_t)1 << height, into, from;
    int64_t leaf = share_first(leaves, r->world->size, part);
    int64_t mine = share_first(leaves, r->world->size, r->world->rank);
    int64_t end = share_first(leaves, r->world->size, r->world->rank + 1);
    for (int64_t first = mine / size * size; first < end; first += size) {
        bool whole = first >= mine && (first + size <= end || end == leaves); /* summed here already */
        if (!whole && tree_meet(leaves, first, height, leaf, &into, &from)) meet(r, into, from, sending);
    }
}

/* Of vectors of `units` times `unit` floats a part for each of the ranks [first, end).  Height by height all that is to
 * be sent is on its way before anyone waits. */
static void reduce(const struct world *world, const struct tree *sums, int first, int end, int64_t units, int64_t unit,
                   bool wide)
{
    int parts = end - first, height = tree_height(sums->leaves);
    int64_t longest = (units + parts - 1) / parts * unit;
    CHECK(sums->leaves >= world->size && sums->count, "%d sums of %ld leaves over %d ranks", sums->count,
          (long)sums->leaves, world->size);
    if (world->size == 1) return;
    struct reduction r = {.world = world, .sums = sums, .wide = wide};
    r.sent = mem_alloc((size_t)(parts * sums->count), sizeof *r.sent);
    r.piece = mem_alloc(PIECE, sizeof *r.piece);
    for (int64_t at = 0; at < longest; at += PIECE) {
        for (int turn = 0; turn < 2 * height; turn++)
            for (int part = 0; part < parts; part++) {
                int64_t stop = share_first(units, parts, part + 1) * unit;
                r.from = share_first(units, parts, part) * unit + at;
                r.count = stop - r.from < PIECE ? stop - r.from : PIECE;
                if (r.count > 0) meet_at(&r, turn / 2 + 1, first + part, turn % 2 == 0);
            }
        MPI_TRY(MPI_Waitall(r.sent_count, r.sent, MPI_STATUSES_IGNORE));
        r.sent_count = 0;
    }
    free(r.sent);
    free(r.piece);
}

void world_reduce_scatter(const struct world *world, const struct tree *sums, int64_t units, int64_t unit)
{
    reduce(world, sums, 0, world->size, units, unit, false);
}

void world_reduce(const struct world *world, const struct tree *sums, int64_t count, int root)
{
    reduce(world, sums, root, root + 1, count, 1, false);
}

void world_reduce_wide(const struct world *world, const struct tree *sums, int64_t count, int root)
{
    reduce(world, sums, root, root + 1, count, 2, true);
}
