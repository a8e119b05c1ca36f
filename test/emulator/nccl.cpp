/* Collectives over MPI, which the program has started. */
#include <mpi.h>
#include <nccl.h>

#include <vector>

#include "emulator.h"

static MPI_Datatype type_of(ncclDataType_t type)
{
    return type == ncclFloat32 ? MPI_FLOAT : type == ncclFloat64 ? MPI_DOUBLE : MPI_BYTE;
}

const char *ncclGetErrorString(ncclResult_t) { return "no error"; }
ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    memset(id, 7, sizeof *id);
    return ncclSuccess;
}
ncclResult_t ncclCommInitRank(ncclComm_t *group, int, ncclUniqueId, int)
{
    *group = (ncclComm_t)1;
    return ncclSuccess;
}
ncclResult_t ncclCommDestroy(ncclComm_t) { return ncclSuccess; }

ncclResult_t ncclBroadcast(const void *, void *to, size_t count, ncclDataType_t type, int root, ncclComm_t, cudaStream_t stream)
{
    emulator_enqueue(stream, [=] { MPI_Bcast(to, (int)count, type_of(type), root, MPI_COMM_WORLD); });
    return ncclSuccess;
}

ncclResult_t ncclReduce(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t, int root, ncclComm_t, cudaStream_t stream)
{
    emulator_enqueue(stream, [=] {
        int rank;
        MPI_Comm_rank(MPI_COMM_WORLD, &rank);
        MPI_Reduce(rank == root && from == to ? MPI_IN_PLACE : from, to, (int)count, type_of(type), MPI_SUM, root, MPI_COMM_WORLD);
    });
    return ncclSuccess;
}

ncclResult_t ncclAllGather(const void *, void *to, size_t count, ncclDataType_t type, ncclComm_t, cudaStream_t stream)
{
    emulator_enqueue(stream, [=] { MPI_Allgather(MPI_IN_PLACE, 0, type_of(type), to, (int)count, type_of(type), MPI_COMM_WORLD); });
    return ncclSuccess;
}

ncclResult_t ncclAllReduce(const void *, void *to, size_t count, ncclDataType_t type, ncclRedOp_t, ncclComm_t, cudaStream_t stream)
{
    emulator_enqueue(stream, [=] { MPI_Allreduce(MPI_IN_PLACE, to, (int)count, type_of(type), MPI_SUM, MPI_COMM_WORLD); });
    return ncclSuccess;
}
