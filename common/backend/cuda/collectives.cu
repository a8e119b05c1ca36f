/* NCCL: one communicator for the ranks of a world, a GPU each. */
#include "backend/cuda/cuda.h"

#include <nccl.h>

#define NCCL_TRY(call) \
    do { \
        ncclResult_t nccl_code = (call); \
        CHECK(nccl_code == ncclSuccess, "%s: %s", #call, ncclGetErrorString(nccl_code)); \
    } while (0)

static ncclComm_t group_of(struct device *d)
{
    return (ncclComm_t)state_of(d)->group;
}

static void broadcast(struct device *d, void *data, size_t bytes, int root)
{
    if (!d->planning) NCCL_TRY(ncclBroadcast(data, data, bytes, ncclUint8, root, group_of(d), state_of(d)->stream));
}

static void reduce_on(struct device *d, float *data, int64_t count, int root, cudaStream_t stream)
{
    if (!d->planning) NCCL_TRY(ncclReduce(data, data, (size_t)count, ncclFloat32, ncclSum, root, group_of(d), stream));
}

static void reduce(struct device *d, float *data, int64_t count, int root)
{
    reduce_on(d, data, count, root, state_of(d)->stream);
}

/* Parts of one size go in one call; others as broadcasts that NCCL runs together. */
static void gather(struct device *d, void *all, const size_t *starts)
{
    struct cuda_state *s = state_of(d);
    char *base = (char *)all;
    bool even = true;
    if (d->planning) return;
    for (int r = 0; r < s->ranks; r++) even = even && starts[r + 1] - starts[r] == starts[1];
    if (even) {
        NCCL_TRY(ncclAllGather(base + starts[s->rank], all, starts[1], ncclUint8, group_of(d), s->stream));
        return;
    }
    NCCL_TRY(ncclGroupStart());
    for (int r = 0; r < s->ranks; r++) broadcast(d, base + starts[r], starts[r + 1] - starts[r], r);
    NCCL_TRY(ncclGroupEnd());
}

/* All ranks call these in the same order as the others: one communicator serves both streams. */
static void reduce_beside(struct device *d, float *data, int64_t count, int root)
{
    struct cuda_state *s = state_of(d);
    if (d->planning) return;
    CUDA_TRY(cudaEventRecord(s->forked, s->stream));
    CUDA_TRY(cudaStreamWaitEvent(s->beside, s->forked, 0));
    reduce_on(d, data, count, root, s->beside);
}

static void join(struct device *d)
{
    struct cuda_state *s = state_of(d);
    if (d->planning) return;
    CUDA_TRY(cudaEventRecord(s->joined, s->beside));
    CUDA_TRY(cudaStreamWaitEvent(s->stream, s->joined, 0));
}

const struct collectives cuda_collectives = {broadcast, reduce, gather, reduce_beside, join};

int cuda_group_id(struct device *d, unsigned char *id, struct error *error)
{
    ncclUniqueId unique;
    (void)d;
    static_assert(sizeof unique <= COLLECTIVES_ID, "an NCCL id does not fit");
    ncclResult_t code = ncclGetUniqueId(&unique);
    if (code != ncclSuccess) return error_set(error, ERROR_FAILED, "NCCL makes no id: %s", ncclGetErrorString(code));
    memcpy(id, &unique, sizeof unique);
    return 0;
}

int cuda_group_join(struct device *d, const unsigned char *id, int rank, int size, struct error *error)
{
    struct cuda_state *s = state_of(d);
    ncclUniqueId unique;
    ncclComm_t group;
    memcpy(&unique, id, sizeof unique);
    ncclResult_t code = ncclCommInitRank(&group, size, unique, rank);
    if (code != ncclSuccess)
        return error_set(error, ERROR_FAILED, "NCCL joins no group of %d: %s", size, ncclGetErrorString(code));
    s->group = group;
    s->rank = rank;
    s->ranks = size;
    d->collectives = &cuda_collectives;
    return 0;
}

void cuda_group_leave(struct device *d)
{
    if (state_of(d)->group) ncclCommDestroy(group_of(d));
    state_of(d)->group = NULL;
}
