/* What the CUDA backend uses of the driver's virtual memory calls. */
#ifndef TEST_EMULATOR_CUDA_H
#define TEST_EMULATOR_CUDA_H

#include <cstdint>

enum CUresult { CUDA_SUCCESS, CUDA_ERROR_OUT_OF_MEMORY = 2 };
typedef unsigned long long CUdeviceptr, CUmemGenericAllocationHandle;
enum CUmemAllocationGranularity_flags { CU_MEM_ALLOC_GRANULARITY_MINIMUM };
enum { CU_MEM_ALLOCATION_TYPE_PINNED = 1, CU_MEM_LOCATION_TYPE_DEVICE = 1, CU_MEM_ACCESS_FLAGS_PROT_READWRITE = 3 };
struct CUmemLocation {
    int type, id;
};
struct CUmemAllocationProp {
    int type;
    CUmemLocation location;
};
struct CUmemAccessDesc {
    CUmemLocation location;
    int flags;
};

#endif
