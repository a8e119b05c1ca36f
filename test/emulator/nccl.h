/* What the CUDA backend uses of NCCL. */
#ifndef TEST_EMULATOR_NCCL_H
#define TEST_EMULATOR_NCCL_H

#include <cuda_runtime.h>

struct ncclUniqueId {
    char internal[128];
};
typedef void *ncclComm_t;
enum ncclResult_t { ncclSuccess };
enum ncclDataType_t { ncclUint8 = 1, ncclFloat32 = 7 };
enum ncclRedOp_t { ncclSum };

const char *ncclGetErrorString(ncclResult_t code);
ncclResult_t ncclGetUniqueId(ncclUniqueId *id);
ncclResult_t ncclCommInitRank(ncclComm_t *group, int size, ncclUniqueId id, int rank);
ncclResult_t ncclCommDestroy(ncclComm_t group);
ncclResult_t ncclGroupStart();
ncclResult_t ncclGroupEnd();
ncclResult_t ncclBroadcast(const void *from, void *to, size_t count, ncclDataType_t type, int root, ncclComm_t group,
                           cudaStream_t stream);
ncclResult_t ncclReduce(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t op, int root,
                        ncclComm_t group, cudaStream_t stream);
ncclResult_t ncclAllGather(const void *from, void *to, size_t count, ncclDataType_t type, ncclComm_t group,
                           cudaStream_t stream);

#endif
