/* Collectives over MPI, which the program has started. */
#include <mpi.h>
#include <nccl.h>

#include <vector>

#include "emulator.h"

static MPI_Datatype type_of(ncclDataType_t type)
{
    return type == ncclFloat32 ? MPI_FLOAT : MPI_BYTE;
}

static MPI_Comm comm_of(ncclComm_t group)
{
    return *(MPI_Comm *)group;
}

const char *ncclGetErrorString(ncclResult_t)
{
    return "no error";
}

/* The id is who made it, as a number of the job. */
ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    int me;
    MPI_Comm_rank(MPI_COMM_WORLD, &me);
    memset(id, 0, sizeof *id);
    memcpy(id, &me, sizeof me);
    return ncclSuccess;
}

/* The members tell the maker of the id who they are, and are told who all are. */
ncclResult_t ncclCommInitRank(ncclComm_t *group, int size, ncclUniqueId id, int rank)
{
    enum { TAG = 77 };
    int maker, me, who[2];
    std::vector<int> members(size);
    MPI_Group all, some;
    MPI_Comm *comm = new MPI_Comm;
    memcpy(&maker, &id, sizeof maker);
    MPI_Comm_rank(MPI_COMM_WORLD, &me);
    who[0] = rank, who[1] = me;
    if (me != maker) {
        MPI_Send(who, 2, MPI_INT, maker, TAG, MPI_COMM_WORLD);
        MPI_Recv(members.data(), size, MPI_INT, maker, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    } else {
        members[rank] = me;
        for (int i = 1; i < size; i++) {
            MPI_Recv(who, 2, MPI_INT, MPI_ANY_SOURCE, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
            members[who[0]] = who[1];
        }
        for (int member : members)
            if (member != me) MPI_Send(members.data(), size, MPI_INT, member, TAG, MPI_COMM_WORLD);
    }
    MPI_Comm_group(MPI_COMM_WORLD, &all);
    MPI_Group_incl(all, size, members.data(), &some);
    MPI_Comm_create_group(MPI_COMM_WORLD, some, TAG, comm);
    MPI_Group_free(&some);
    MPI_Group_free(&all);
    *group = comm;
    return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t group)
{
    MPI_Comm_free((MPI_Comm *)group);
    delete (MPI_Comm *)group;
    return ncclSuccess;
}

ncclResult_t ncclGroupStart()
{
    return ncclSuccess;
}
ncclResult_t ncclGroupEnd()
{
    return ncclSuccess;
}

ncclResult_t ncclBroadcast(const void *, void *to, size_t count, ncclDataType_t type, int root, ncclComm_t group,
                           cudaStream_t stream)
{
    emulator_enqueue(stream, [=] { MPI_Bcast(to, (int)count, type_of(type), root, comm_of(group)); });
    return ncclSuccess;
}

ncclResult_t ncclReduce(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t, int root,
                        ncclComm_t group, cudaStream_t stream)
{
    emulator_enqueue(stream, [=] {
        int rank;
        MPI_Comm_rank(comm_of(group), &rank);
        MPI_Reduce(rank == root && from == to ? MPI_IN_PLACE : from, to, (int)count, type_of(type), MPI_SUM, root,
                   comm_of(group));
    });
    return ncclSuccess;
}

ncclResult_t ncclAllGather(const void *, void *to, size_t count, ncclDataType_t type, ncclComm_t group,
                           cudaStream_t stream)
{
    emulator_enqueue(
        stream, [=] { MPI_Allgather(MPI_IN_PLACE, 0, type_of(type), to, (int)count, type_of(type), comm_of(group)); });
    return ncclSuccess;
}
